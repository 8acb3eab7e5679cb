"""A document: its value, its text and the place of each of its parts.

A place is asked for by the path of keys and positions that leads to it, such as ``("steps", 0, "timeout")``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from drctl.read.diagnostics import Diagnostic, Severity
from drctl.read.text import SourceText
from drctl.read.yaml import Node

if TYPE_CHECKING:
    from drctl.model.plan import Source

Path = Sequence[str | int]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Line and column count from 1; ``length`` is in characters and within the line."""

    line: int
    column: int
    length: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the parts of a document stand."""

    source: SourceText
    root: Node

    def of(self, path: Path, *, key: bool = False) -> Place:
        """The place of the part at the path, or of its key; of the nearest part that there is when it is absent."""
        node, key_node = self._find(path)
        return _place(key_node if key and key_node is not None else node)

    def within(self, path: Path, words: str, pattern: str | None = None) -> Place:
        """The place of words within the text at the path; ``pattern`` finds them where plain words would not do."""
        node, _ = self._find(path)
        expression = re.compile(pattern if pattern is not None else re.escape(words))
        last = min(node.end.line, len(self.source.lines) - 1)
        for number in range(node.start.line, last + 1):
            line = self.source.lines[number]
            begin = node.start.column if number == node.start.line else 0
            found = expression.search(line, begin)
            if found and not (_is_block(node) and number == node.start.line):
                return Place(line=number + 1, column=found.start() + 1, length=max(1, len(found.group())))
        return _place(node)

    def in_script(self, path: Path, line: int, column: int, name: str) -> Place:
        """The place of ``$name`` in a script, given by its line and column there (both from 0).

        It is exact in a literal block. Elsewhere YAML folds lines and takes escapes out, so the words are looked for.
        """
        node, _ = self._find(path)
        if node.style != "|":
            return self.within(path, name, rf"\$\{{?[#!]?{re.escape(name)}(?![A-Za-z0-9_])")
        number = self.script_line(path) - 1 + line
        indent = _block_indent(self.source.lines, node.start.line + 1)
        return Place(line=number + 1, column=indent + column + 1, length=len(name) + 1)

    def script_line(self, path: Path) -> int:
        """The line of the file, from 1, that the text's first line stands in."""
        node, _ = self._find(path)
        return int(node.start.line) + (2 if _is_block(node) else 1)

    def problem(
        self,
        path: Path,
        message: str,
        *,
        key: bool = False,
        hint: str = "",
        severity: Severity = Severity.ERROR,
        place: Place | None = None,
    ) -> Diagnostic:
        """A diagnostic about the part at the path; its message begins with that path, as people say it.

        ``key`` points at the part's key, where it stands, and not at its value.
        """
        where = place if place is not None else self.of(path, key=key)
        said = spoken(path)
        return self.source.diagnostic(
            f"{said}: {message}" if said else message,
            line=where.line,
            column=where.column,
            length=where.length,
            hint=hint,
            severity=severity,
        )

    def _find(self, path: Path) -> tuple[Node, Node | None]:
        node: Node = self.root
        key_node: Node | None = None
        for part in path:
            if node.keyed is not None and str(part) in node.keyed:
                key_node, node = node.keyed[str(part)]
            elif isinstance(part, int) and part < len(node.items):
                key_node, node = None, node.items[part]
            else:
                break
        return node, key_node


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Document(Generic[Value]):
    """A runbook or an inventory as it was read. Two readings are two documents, whatever is in them."""

    value: Value
    places: Places
    called: Mapping[str, Document[Any]] = field(default_factory=dict)  # by name: the runbooks that this one calls

    @property
    def file(self) -> str:
        """The path as the user gave it."""
        return self.places.source.file

    @property
    def source(self) -> Source:
        """The text that a plan carries, and its sha256."""
        import hashlib

        from drctl.model.plan import Source

        text = self.places.source.text
        return Source(path=self.file, sha256=hashlib.sha256(text.encode()).hexdigest(), text=text)


def spoken(path: Path) -> str:
    """``steps.0.verify.run``."""
    return ".".join(str(part) for part in path)


def _is_block(node: Node) -> bool:
    return node.style in ("|", ">")


def _block_indent(lines: tuple[str, ...], first: int) -> int:
    for line in lines[first:]:
        if line.strip():
            return len(line) - len(line.lstrip(" "))
    return 0


def _place(node: Node) -> Place:
    start, end = node.start, node.end
    length = end.column - start.column if end.line == start.line else 1
    return Place(line=start.line + 1, column=start.column + 1, length=max(1, length))
