"""Problems of a document: values with their place, and how they are shown.

A problem is shown with the line that it is about and a rule under the words, because at three in the morning
``line 8, column 5`` is not enough. What a document says is data: its control characters are made visible, so that a
quoted line cannot move the cursor or hide a part of itself.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from drctl.errors import DocumentError

_SHOWN_WIDTH = 160
_SHOWN_PROBLEMS = 200


class Severity(StrEnum):
    """An error refuses the document; a warning is for its author to weigh."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One problem. Lines and columns count from 1; 0 means "the whole file". ``length`` is in characters."""

    severity: Severity
    message: str
    file: str
    line: int = 0
    column: int = 0
    length: int = 1
    source_line: str = ""
    hint: str = ""

    @property
    def where(self) -> str:
        """``file:line:column``, as editors open it."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


def visible(text: str) -> str:
    """The text with each control or direction character replaced by one visible character."""
    return "".join(_visible_character(character) for character in text)


def _visible_character(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return "\ufffd" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else character


def quoted(text: str, *, limit: int = 60) -> str:
    """The text in double quotes, on one line and not longer than a message can bear."""
    shown = visible(text)
    return f'"{shown if len(shown) <= limit else shown[: limit - 1] + "…"}"'


def errors(problems: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Those that refuse the document."""
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def in_order(problems: Iterable[Diagnostic]) -> list[Diagnostic]:
    """By file, line and column, each once."""
    return sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line, p.column, p.severity, p.message))


def render(problem: Diagnostic) -> str:
    """The problem as text, over several lines, without a newline at the end."""
    kind = "warning: " if problem.severity is Severity.WARNING else ""
    lines = [f"{visible(problem.where)}: {kind}{problem.message}"]
    if problem.line and problem.source_line.strip():
        shown, start = _window(visible(problem.source_line), problem.column - 1)
        number = str(problem.line)
        length = max(1, min(problem.length, len(shown) - start))
        before, under = _width(shown[:start]), _width(shown[start : start + length])
        lines.append(f"  {number} | {shown}")
        lines.append(f"  {' ' * len(number)} | {' ' * before}{'^' * max(1, under)}")
    if problem.hint:
        lines.append(f"  hint: {problem.hint}")
    return "\n".join(lines)


def render_all(problems: Sequence[Diagnostic]) -> str:
    """All problems in order, a blank line between them."""
    ordered = in_order(problems)
    shown = [render(problem) for problem in ordered[:_SHOWN_PROBLEMS]]
    if len(ordered) > _SHOWN_PROBLEMS:
        shown.append(f"… and {len(ordered) - _SHOWN_PROBLEMS} more")
    return "\n\n".join(shown)


def as_json(problem: Diagnostic) -> dict[str, Any]:
    """The problem as a JSON object; the names are those of the attributes."""
    return asdict(problem) | {"severity": problem.severity.value}


def count(problems: Iterable[Diagnostic]) -> str:
    """``2 errors, 1 warning``; ``no problems`` when there are none."""
    found = list(problems)
    bad = len(errors(found))
    parts = [_some(bad, "error"), _some(len(found) - bad, "warning")]
    return ", ".join(part for part in parts if part) or "no problems"


def raise_on_problems(problems: Sequence[Diagnostic], *, hint: str = "") -> None:
    """Refuse to go on when there is an error among the problems; warnings are shown with them.

    Raises:
        DocumentError: its message holds every problem, rendered; its ``hint`` the next command to type.
    """
    bad = errors(problems)
    if not bad:
        return
    first = in_order(bad)[0]
    raise DocumentError(
        f"{count(problems)}\n\n{render_all(problems)}",
        where=first.where,
        state="nothing was connected to and nothing was changed",
        hint=hint or _again(first.file),
    )


def _again(file: str) -> str:
    if file == "-":
        return "correct what comes on standard input, then the same command again"
    return f"correct the file, then: drctl validate {file}"


def _some(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}" if number else ""


def _window(line: str, at: int) -> tuple[str, int]:
    """A part of a long line around the place, and where the place is in it."""
    if len(line) <= _SHOWN_WIDTH:
        return line, min(at, len(line))
    start = max(0, min(at - _SHOWN_WIDTH // 2, len(line) - _SHOWN_WIDTH))
    part = line[start : start + _SHOWN_WIDTH]
    if start:
        part = "…" + part[1:]
    if start + _SHOWN_WIDTH < len(line):
        part = part[:-1] + "…"
    return part, min(at - start, len(part))


def _width(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
