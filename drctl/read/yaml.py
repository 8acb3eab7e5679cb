"""Hardened YAML: text → plain values, each with its place in the file.

A runbook is code that runs as root, so its YAML is read by the narrowest rules that still feel like YAML. Numbers,
``true``, ``false`` and ``null`` are what YAML 1.2 and JSON agree on; ``on``, ``no``, ``22:30`` and ``0755`` are text.
Anchors, aliases, merge keys, tags and duplicate keys are refused: each makes a document mean something other than
what it shows. The values are made of the parser's events, and not by libyaml's composer, which dies of 50,000 nested
brackets: here the first that goes too deep ends the reading.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

from drctl.model.scalars import WrittenFloat, WrittenInt
from drctl.read.diagnostics import Diagnostic, quoted
from drctl.read.text import SourceText

MAX_DEPTH = 64
MAX_EVENTS = 100_000
_MAX_REFUSED = 50
_WRITE_IT_OUT = "write the value out where it is used"

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NUMERIC = "+-0123456789"  # what a number begins with
_MAX_DIGITS = 300  # int() refuses beyond 4300; a float has no use for more

Path = tuple[str | int, ...]
_Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Node(NamedTuple):
    """Where a part of the document stands, and the parts in it. Lines and columns of marks count from 0."""

    start: Any  # a mark of yaml: line and column
    end: Any
    style: str | None = None  # of a text: | > ' "
    keyed: Mapping[str, tuple[Node, Node]] | None = None  # of a mapping: each key, and where it and its value stand
    items: tuple[Node, ...] = ()  # of a list


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The document's value and its tree of nodes, which knows the places; and the paths that have no value."""

    value: Any
    root: Node
    empty: tuple[Path, ...] = ()


def load(source: SourceText) -> tuple[Loaded | None, list[Diagnostic]]:
    """The one document in the text, or the reasons why it is refused."""
    builder, found = _Builder(source), None
    try:
        found = builder.document()
    except yaml.YAMLError as error:
        return None, [_syntax(source, error)]
    except _Enough:
        pass
    if builder.refused:
        return None, builder.refused
    if found is None:
        return None, [source.diagnostic("holds comments only", line=1, column=1)]
    value, root = found
    return (None if builder.fatal else Loaded(value=value, root=root, empty=tuple(builder.empty))), builder.problems


class _Enough(Exception):
    """Something was refused after which nothing more is read."""


class _Builder:
    """Events → values. ``refused`` is what no document may hold, whatever else is in it.

    ``problems`` are those of single values; ``fatal`` is set when a value cannot be made without one of them.
    """

    def __init__(self, source: SourceText) -> None:
        self.source = source
        self.refused: list[Diagnostic] = []
        self.problems: list[Diagnostic] = []
        self.empty: list[Path] = []
        self.fatal = False
        self._events = _Base(source.text)
        self._number = self._depth = 0

    def document(self) -> tuple[Any, Node] | None:
        """Its value and its nodes; None when there is none."""
        self._next()  # the stream begins
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        found = self._build(self._next(), ())
        self._next()  # the document ends
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            hint = "one file holds one runbook or one inventory"
            self._refuse(event, "a second document begins here", hint, length=3)
        return found

    def _next(self) -> Any:
        """The next event, looked at for what is refused wherever it stands."""
        event = self._events.get_event()
        if self._number > MAX_EVENTS:
            self._refuse(event, f"holds more than {MAX_EVENTS:,} values")
            raise _Enough
        self._number += 1
        if isinstance(event, yaml.CollectionEndEvent):
            self._depth -= 1
        elif isinstance(event, yaml.NodeEvent):
            self._look_at(event)
        return event

    def _look_at(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"alias {quoted(f'*{event.anchor}')} is refused", _WRITE_IT_OUT)
            return
        if event.anchor is not None:
            self._refuse(event, f"anchor {quoted(f'&{event.anchor}')} is refused", _WRITE_IT_OUT)
        if event.tag is not None:
            hint = "plain YAML only: text, numbers, lists and mappings"
            self._refuse(event, f"tag {quoted(event.tag)} is refused", hint)
        if isinstance(event, yaml.CollectionStartEvent):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                self._refuse(event, f"is nested deeper than {MAX_DEPTH} levels")
                raise _Enough

    def _refuse(self, event: Any, message: str, hint: str = "", length: int = 1) -> None:
        mark = event.start_mark
        self.refused.append(
            self.source.diagnostic(message, line=mark.line + 1, column=mark.column + 1, hint=hint, length=length)
        )
        if len(self.refused) >= _MAX_REFUSED:
            raise _Enough

    def _build(self, event: Any, path: Path) -> tuple[Any, Node]:
        """What begins with the event; it takes all further events of it."""
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(event, path)
        node = Node(event.start_mark, event.end_mark, getattr(event, "style", None))
        value = _scalar(event) if isinstance(event, yaml.ScalarEvent) else None
        if value is None:
            self._problem(node, path, "has no value", 'leave it out, or write "" for an empty text')
            self.empty.append(path)
        return value, node

    def _list(self, start: Any, path: Path) -> tuple[list[Any], Node]:
        values: list[Any] = []
        items: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            value, node = self._build(event, (*path, len(values)))
            values.append(value)
            items.append(node)
        return values, Node(start.start_mark, event.end_mark, items=tuple(items))

    def _mapping(self, start: Any, path: Path) -> tuple[dict[str, Any], Node]:
        values: dict[str, Any] = {}
        keyed: dict[str, tuple[Node, Node]] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            at = Node(event.start_mark, self._last_of(event).end_mark)
            key = self._key(event, at, path)
            if key in keyed:
                self._problem(at, path, f"key {quoted(key)} is already given in line {keyed[key][0].start.line + 1}")
                key = ""
            value = self._next()
            if key:
                values[key], node = self._build(value, (*path, key))
                keyed[key] = at, node
            else:
                self._last_of(value)
        return values, Node(start.start_mark, event.end_mark, keyed=keyed)

    def _last_of(self, event: Any) -> Any:
        """Goes past what begins with the event, and returns the event that it ends with."""
        if isinstance(event, yaml.CollectionStartEvent):
            around = self._depth - 1
            while self._depth > around:
                event = self._next()
        return event

    def _key(self, event: Any, at: Node, path: Path) -> str:
        """The key; empty when it is none."""
        if not isinstance(event, yaml.ScalarEvent):
            self._problem(at, path, "a list or a mapping cannot be a key", 'quote "${name}" when a text was meant')
            self.fatal = True
            return ""
        key = str(event.value)
        if key == "<<" and not event.style:
            self._problem(at, path, 'merge key "<<" is refused', "write the keys out where they are used")
            return ""
        if key == "":
            self._problem(at, path, "a key is empty")
        return key

    def _problem(self, node: Node, path: Path, message: str, hint: str = "") -> None:
        length = node.end.column - node.start.column if node.end.line == node.start.line else 1
        said = ".".join(str(part) for part in path)
        self.problems.append(
            self.source.diagnostic(
                f"{quoted(said)[1:-1]}: {message}" if said else message,
                line=node.start.line + 1,
                column=node.start.column + 1,
                length=length,
                hint=hint,
            )
        )


def _scalar(event: Any) -> Any:
    text = str(event.value)
    if event.style:
        return text
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if text[0] not in _NUMERIC or len(text) > _MAX_DIGITS:
        return text
    if _INT.fullmatch(text):
        number = WrittenInt(text)
        number.written = text
        return number
    if _FLOAT.fullmatch(text):
        real = WrittenFloat(text)
        real.written = text
        return real if math.isfinite(real) else text
    return text


_EXPLAINED = (
    ("mapping values are not allowed", 'quote a text that holds ": ", or begin it on its own line after "|"'),
    ("found character '\\t'", "a tab stands where YAML wants spaces"),
    ("found character that cannot start any token", "quote a text that begins with @, `, % or a tab"),
    ("did not find expected key", "look at the indentation of this line and of the one before it"),
    ("could not find expected ':'", "a key is followed by a colon and a space"),
    ("did not find expected '-' indicator", "look at the indentation of this line and of the one before it"),
    ("did not find expected ',' or ']'", "a bracket is open, or a text within it wants quotes"),
    ("did not find expected ',' or '}'", "a brace is open, or a text within it wants quotes"),
    ("unexpected end of stream", "a quote is open"),
)


def _syntax(source: SourceText, error: yaml.YAMLError) -> Diagnostic:
    """libyaml's words, its place, and what people usually did."""
    mark = getattr(error, "problem_mark", None)
    if mark is None or not any(line.strip() for line in source.lines[mark.line :]):
        mark = getattr(error, "context_mark", None) or mark  # at the end of the file nothing is to be seen
    problem = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None)
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    line = min(line, len(source.lines))
    hint = next((hint for words, hint in _EXPLAINED if words in problem), "")
    shown = source.lines[line - 1]
    if "\t" in shown[: len(shown) - len(shown.lstrip())] or shown[column - 1 : column] == "\t":
        hint = "a tab stands where YAML wants spaces"
    return source.diagnostic(
        f"is not YAML: {problem}" + (f" {context}" if context else ""), line=line, column=column, hint=hint
    )
