"""A file on disk → text that is fit to be read as YAML, or the reason why it is not.

What cannot be seen must not count: a byte order mark, a NUL, a character that turns the direction of writing. Whoever
reviews a runbook must see what will run.
"""

from __future__ import annotations

import re
import stat
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from drctl.read.diagnostics import Diagnostic, Severity

MAX_BYTES = 1_048_576

_TOO_LARGE = (
    "is larger than 1 MiB, which no runbook and no inventory is",
    "ansible-inventory --list takes --limit GROUP",
)

_LINE_BREAK = re.compile(r"\r\n|\n|\r")
# Everything that is not shown as itself: C0 and C1 controls but tab and line breaks, DEL, the Unicode line
# separators, the characters that turn the direction of writing, and a byte order mark in mid-text.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceText:
    """A file's text and its lines; ``file`` is its path as the user gave it."""

    file: str
    text: str
    lines: tuple[str, ...]

    def diagnostic(
        self,
        message: str,
        *,
        line: int = 0,
        column: int = 0,
        length: int = 1,
        hint: str = "",
        severity: Severity = Severity.ERROR,
    ) -> Diagnostic:
        """A problem at a place of this file; lines and columns count from 1."""
        source_line = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return Diagnostic(
            severity=severity,
            message=message,
            file=self.file,
            line=line,
            column=column,
            length=length,
            source_line=source_line,
            hint=hint,
        )


def split_lines(text: str) -> tuple[str, ...]:
    """Lines as YAML counts them."""
    return tuple(_LINE_BREAK.split(text))


def read_text(path: Path) -> tuple[SourceText | None, list[Diagnostic]]:
    """The file's text, or the problems that keep it from being read. Never raises for what a file can be."""
    data, problem = _read_bytes(path)
    if data is None:
        return None, [_whole(path, problem[0], problem[1])]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None, [_whole(path, "is written in UTF-16", "save it as UTF-8")]
    if data.startswith(b"\xef\xbb\xbf"):
        return None, [_whole(path, "begins with a byte order mark, which no editor shows", "save it without BOM")]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, [_not_utf8(path, data, error)]
    source = SourceText(file=str(path), text=text, lines=split_lines(text))
    unseen = [_unseen(source, match) for match in _UNSEEN.finditer(text)][:20]
    if unseen:
        return None, unseen
    if not text.strip():
        hint = "drctl schema runbook and drctl schema inventory say what belongs in a document"
        return None, [_whole(path, "is empty", hint)]
    return source, []


@cache
def _standard_input() -> bytes:
    """Read once, as it can be; a document may be asked for more than once."""
    return sys.stdin.buffer.read(MAX_BYTES + 1)


def _read_bytes(path: Path) -> tuple[bytes | None, tuple[str, str]]:
    try:
        if str(path) == "-":
            data = _standard_input()
            return (data, ("", "")) if len(data) <= MAX_BYTES else (None, _TOO_LARGE)
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return None, ("is a directory, not a file", f"name the file, such as {path}/failover.yml")
        if not stat.S_ISREG(mode):
            return None, ("is not a regular file", "")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None, ("there is no such file", "look for its name with: ls " + (str(path.parent) or "."))
    except PermissionError:
        return None, ("cannot be read: permission denied", f"look at its owner and mode with: ls -l {path}")
    except (OSError, ValueError) as error:
        return None, (f"cannot be read: {error.strerror if isinstance(error, OSError) else error}", "")
    if len(data) > MAX_BYTES:
        return None, _TOO_LARGE
    return data, ("", "")


def _whole(path: Path, message: str, hint: str) -> Diagnostic:
    return Diagnostic(severity=Severity.ERROR, message=message, file=str(path), hint=hint)


def _not_utf8(path: Path, data: bytes, error: UnicodeDecodeError) -> Diagnostic:
    before = split_lines(data[: error.start].decode("utf-8", "replace"))
    whole = split_lines(data.decode("utf-8", "replace"))
    source = SourceText(file=str(path), text="", lines=whole)
    return source.diagnostic(
        f"is not UTF-8: byte 0x{data[error.start]:02x} begins no character",
        line=len(before),
        column=len(before[-1]) + 1,
        hint="save it as UTF-8",
    )


def _unseen(source: SourceText, match: re.Match[str]) -> Diagnostic:
    before = split_lines(source.text[: match.start()])
    code = ord(match.group())
    if code == 0:
        what = "a NUL character"
    elif code < 0xA0:
        what = f"a control character (U+{code:04X})"
    else:
        what = f"a character that is not seen and changes how the text looks (U+{code:04X})"
    return source.diagnostic(
        f"holds {what}",
        line=len(before),
        column=len(before[-1]) + 1,
        hint='remove it; within a double-quoted text it can be written as an escape such as "\\e"',
    )
