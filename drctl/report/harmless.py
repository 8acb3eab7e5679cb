"""Text from hosts and people, made harmless before it is shown (design, law 11).

Remote output is data. An escape sequence in it must not move the operator's cursor, a right-to-left mark must not
turn a path around, and a Markdown fence or an HTML tag must not get out of its place in a report.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# CSI and OSC sequences and the other two-character escapes: a screen leaves them out, a report shows the ESC.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor moves
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\n]*?(?:\x07|\x1b\\|\x9c|(?=\n)|$)"  # OSC, DCS; never past the line
    r"|\x1b[ -/]*[0-~]"
)
_SURPRISING = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")  # controls, bidi marks, zero widths, lone surrogates
_LONGEST_LINE = 2_000
_MARKDOWN = re.compile(r"([\\`*\[\]|~$])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_AT_THE_BEGINNING = re.compile(r"^(?:([#+>=-])|(\d+)([.)]))")


def visible(text: str) -> str:
    """Every character that is no plain text as a sign for it: ESC as ``␛``, a right-to-left mark as ``\\u202e``.

    Line ends stay (``\\r\\n`` becomes ``\\n``), and a tab becomes four blanks.
    """
    plain = text.replace("\r\n", "\n").replace("\t", "    ")
    # Nothing of _SURPRISING is printable in Python's sense, and nearly all text is: a large report has millions of it.
    if plain.replace("\n", "").isprintable():
        return plain
    return "".join(_sign(c) for c in plain)


def _sign(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in _SURPRISING:
        return character
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """Visible text on one line: a line end becomes a blank, and runs of blanks become one."""
    return " ".join(visible(text).split())


def screen_lines(raw: str) -> list[str]:
    """Output as its last lines look on a screen: sequences left out, ``\\r`` writing over, the rest made visible."""
    lines = []
    for line in _SEQUENCE.sub("", raw.replace("\r\n", "\n")).split("\n"):
        last = line.rstrip("\r").rsplit("\r", 1)[-1][:_LONGEST_LINE]
        lines.append("".join(c for c in visible(last) if c != "␇").rstrip())
    return lines


def tail_lines(raw: str, count: int) -> list[str]:
    """The last ``count`` lines that are not empty at the end."""
    lines = screen_lines(raw)
    while lines and not lines[-1]:
        lines.pop()
    return lines[-count:] if count > 0 else []


def html(text: str) -> str:
    """Visible text for HTML, also within an attribute in double quotes."""
    escaped = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace('"', "&quot;").replace("'", "&#39;")


def markdown(text: str) -> str:
    """Text on one line for a paragraph or a table cell of Markdown: no markup, no HTML, no cell's end."""
    escaped = _MARKDOWN.sub(lambda m: f"\\{m.group(0)}", one_line(text))
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = _AT_THE_BEGINNING.sub(lambda m: rf"{m.group(2) or ''}\{m.group(3) or m.group(1)}", escaped)
    # A bare address must not become a link, nor a name a mention.
    return escaped.replace("://", ":&#47;/").replace("www.", "www&#46;").replace("@", "&#64;")


def code(text: str) -> str:
    """A code span of Markdown; text that could get out of one is escaped instead."""
    plain = one_line(text)
    return markdown(plain) if "`" in plain or "|" in plain or not plain else f"`{plain}`"


def fenced(text: str, language: str = "text") -> str:
    """A Markdown code block whose fence is longer than any run of backticks in the text."""
    body = visible(text).rstrip("\n")
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def joined(parts: Iterable[str], separator: str = ", ") -> str:
    """Those of the parts that are not empty."""
    return separator.join(p for p in parts if p)
