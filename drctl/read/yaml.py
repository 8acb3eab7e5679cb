"""Hardened YAML: text → plain values, each with its place in the file.

A runbook is code that runs as root, so its YAML is read by the narrowest rules that still feel like YAML. Numbers,
``true``, ``false`` and ``null`` are what YAML 1.2 and JSON agree on; ``on``, ``no``, ``22:30`` and ``0755`` are text.
Anchors, aliases, merge keys, tags and duplicate keys are refused: each makes a document mean something other than
what it shows. Two passes, because libyaml's composer dies of 50,000 nested brackets: the first looks at the bare
events and stops at the first that goes too deep.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import yaml

from drctl.model.scalars import WrittenFloat, WrittenInt
from drctl.read.diagnostics import Diagnostic, quoted
from drctl.read.text import SourceText

MAX_DEPTH = 64
MAX_EVENTS = 100_000

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_MAX_DIGITS = 300  # int() refuses beyond 4300; a float has no use for more

Node = yaml.nodes.Node
Path = tuple[str | int, ...]
_Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc,valid-type]
    """Composes nodes only: all plain scalars are text here, and ``_scalar`` decides what they are."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The document's value and its tree of nodes, which knows the places; and the paths that have no value."""

    value: Any
    root: Node
    empty: tuple[Path, ...] = ()


def load(source: SourceText) -> tuple[Loaded | None, list[Diagnostic]]:
    """The one document in the text, or the reasons why it is refused."""
    try:
        problems = _survey(source)
        if problems:
            return None, problems
        root = yaml.compose(source.text, Loader=_Loader)
    except yaml.YAMLError as error:
        return None, [_syntax(source, error)]
    if root is None:
        return None, [source.diagnostic("holds comments only", line=1, column=1)]
    builder = _Builder(source)
    value = builder.build(root)
    return (None if builder.fatal else Loaded(value=value, root=root, empty=tuple(builder.empty))), builder.problems


def _survey(source: SourceText) -> list[Diagnostic]:
    """Looks at the events alone, which takes no recursion and little memory."""
    problems: list[Diagnostic] = []
    depth = documents = 0

    def at(event: yaml.events.Event, message: str, hint: str = "", length: int = 1) -> None:
        mark: Any = event.start_mark
        problems.append(
            source.diagnostic(message, line=mark.line + 1, column=mark.column + 1, hint=hint, length=length)
        )

    for number, event in enumerate(yaml.parse(source.text, Loader=_Loader)):
        if number > MAX_EVENTS:
            at(event, f"holds more than {MAX_EVENTS:,} values")
            break
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                at(event, "a second document begins here", "one file holds one runbook or one inventory", 3)
                break
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            at(event, f"alias {quoted(f'*{event.anchor}')} is refused", "write the value out where it is used")
        elif isinstance(event, yaml.NodeEvent):
            if event.anchor is not None:
                at(event, f"anchor {quoted(f'&{event.anchor}')} is refused", "write the value out where it is used")
            tag = getattr(event, "tag", None)
            if tag is not None:
                at(event, f"tag {quoted(tag)} is refused", "plain YAML only: text, numbers, lists and mappings")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    at(event, f"is nested deeper than {MAX_DEPTH} levels")
                    break
        if len(problems) >= 50:
            break
    return problems


class _Builder:
    """Nodes → values. ``fatal`` is set when something was refused that a value cannot be made without."""

    def __init__(self, source: SourceText) -> None:
        self.source = source
        self.problems: list[Diagnostic] = []
        self.empty: list[Path] = []
        self.fatal = False

    def build(self, node: Node, path: Path = ()) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, number)) for number, item in enumerate(node.value)]
        value = _scalar(node)
        if value is None:
            self._refuse(node, path, "has no value", 'leave it out, or write "" for an empty text')
            self.empty.append(path)
        return value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in first:
                self._refuse(key_node, path, f"key {quoted(key)} is already given in line {first[key]}")
                continue
            first[key] = key_node.start_mark.line + 1
            values[key] = self.build(value_node, (*path, key))
        return values

    def _key(self, node: Node, path: Path) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._refuse(node, path, "a list or a mapping cannot be a key", 'quote "${name}" when a text was meant')
            self.fatal = True
            return None
        key = str(node.value)
        if key == "<<" and not node.style:
            self._refuse(node, path, 'merge key "<<" is refused', "write the keys out where they are used")
            return None
        if key == "":
            self._refuse(node, path, "a key is empty")
            return None
        return key

    def _refuse(self, node: Node, path: Path, message: str, hint: str = "") -> None:
        mark = node.start_mark
        length = node.end_mark.column - mark.column if node.end_mark.line == mark.line else 1
        said = ".".join(str(part) for part in path)
        self.problems.append(
            self.source.diagnostic(
                f"{quoted(said)[1:-1]}: {message}" if said else message,
                line=mark.line + 1,
                column=mark.column + 1,
                length=length,
                hint=hint,
            )
        )


def _scalar(node: Node) -> Any:
    text = str(node.value)
    if getattr(node, "style", None):
        return text
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if len(text) <= _MAX_DIGITS and _INT.fullmatch(text):
        number = WrittenInt(text)
        number.written = text
        return number
    if len(text) <= _MAX_DIGITS and _FLOAT.fullmatch(text):
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
