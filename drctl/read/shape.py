"""pydantic's findings → diagnostics in drctl's words, each with its place and a suggestion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from drctl.model.actions import COMMAND, MAPPING, SHA256, TEXT, WORDS
from drctl.model.inventory import ADDRESS, PLAIN, SECRET, USER
from drctl.model.runbook import GROUP, MANY, ONE, OTHER, STEP, UNDO, WORD
from drctl.model.scalars import HOST_NAME, ROLE_NAME, SLUG, VARIABLE_NAME
from drctl.read.diagnostics import Diagnostic, quoted
from drctl.read.document import Places
from drctl.read.suggest import did_you_mean, listed

# Words that the language will have (design, section 5); they are known, and not there yet.
NOT_YET = frozenset({"gateway"})

_INSTEAD = {"gateway": "name the gateway in ssh_config: ProxyJump is honoured"}

_TAGS = frozenset({TEXT, COMMAND, WORDS, MAPPING, ONE, MANY, STEP, GROUP, WORD, OTHER, UNDO, PLAIN, SECRET, "[key]"})

_PATTERNS = {
    SLUG: "small letters and digits, with single dashes between: fence-primary",
    VARIABLE_NAME: "small letters, digits and underscores, and begins with a letter: lag_seconds",
    ROLE_NAME: "small letters, digits, dashes and underscores, and begins with a letter: standby",
    HOST_NAME: "letters, digits, dots, dashes and underscores, and never begins with a dash",
    r"^[^\r\n]*$": "one line",
    ADDRESS: "is no address: write a name such as db1.example.net, an IPv4 or an IPv6 address",
    SHA256: "is no sha256: 64 hexadecimal digits",
    USER: "is no user name: letters, digits, dots, dashes and underscores, and never a dash first",
}

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def clean_path(location: Iterable[str | int]) -> tuple[str | int, ...]:
    """The path in the document: without the tags of unions and pydantic's mark for keys."""
    return tuple(part for part in location if part not in _TAGS)


def shape_problems(model: type[BaseModel], details: Iterable[ErrorDetails], places: Places) -> Iterator[Diagnostic]:
    """One diagnostic for each of pydantic's errors; the reader has told already where a value is missing."""
    for detail in details:
        if detail["input"] is not None or detail["type"] == "extra_forbidden":
            yield _problem(model, detail, places)


def _problem(model: type[BaseModel], detail: ErrorDetails, places: Places) -> Diagnostic:
    kind, path, value = detail["type"], clean_path(detail["loc"]), detail["input"]
    context = detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(model, path, places, beside_parallel=detail["loc"][-2:-1] == (GROUP,))
    if detail["loc"][-1:] == ("[key]",):
        said = f"{quoted(str(path[-1]))} {_what_is_wrong(kind, context, path[-1])}"
        return places.problem(path[:-1], said, place=places.of(path, key=True))
    if kind == "missing":
        return places.problem(path[:-1], f"{quoted(str(path[-1]))} is missing")
    return places.problem(path, _what_is_wrong(kind, context, value) or detail["msg"], hint=_quote_it(kind, value))


def _unknown_key(
    model: type[BaseModel], path: tuple[str | int, ...], places: Places, *, beside_parallel: bool
) -> Diagnostic:
    name = str(path[-1])
    holder, place = path[:-1], places.of(path, key=True)
    known = _keys_at(model, holder)
    if name in NOT_YET and name not in known:
        hint = _INSTEAD.get(name, "")
        return places.problem(holder, f"{quoted(name)} is not supported yet", place=place, hint=hint)
    if beside_parallel:
        hint = "a parallel group has no keys of its own: give them to its steps"
        return places.problem(holder, f"unknown key {quoted(name)} beside parallel", place=place, hint=hint)
    suggestion = did_you_mean(name, known)
    hint = "" if suggestion else f"known here: {listed(known, limit=40)}"
    return places.problem(holder, f"unknown key {quoted(name)}{suggestion}", place=place, hint=hint)


def _what_is_wrong(kind: str, context: dict[str, Any], value: Any) -> str:
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", ""))
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}, not {_said(value)}"
    if kind == "literal_error":
        allowed = _allowed(str(context.get("expected", "")))
        shown = f"{quoted(value)} is not one of" if isinstance(value, str) else f"must be one of, not {_said(value)}:"
        meant = did_you_mean(value, allowed) if isinstance(value, str) else ""
        return f"{shown} {', '.join(allowed)}{meant}"
    if kind == "string_pattern_mismatch":
        wanted = _PATTERNS.get(str(context.get("pattern")), "")
        if wanted == "one line":
            return "must be one line"
        if wanted.startswith("is no "):
            return f"{quoted(str(value))} {wanted}"
        return f"is not a name: a name has {wanted}" if wanted else f"{quoted(str(value))} cannot be used here"
    if kind in ("string_too_short", "too_short"):
        return "must not be empty"
    if kind == "string_too_long":
        return f"is longer than {context.get('max_length')} characters"
    if kind == "too_long":
        return f"has more than {context.get('max_length')} {'entry' if context.get('max_length') == 1 else 'entries'}"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = context.get("ge", context.get("le"))
        return f"{_said(value)} is {'below' if kind.startswith('greater') else 'above'} the limit of {bound:g}"
    return ""


def _allowed(expected: str) -> list[str]:
    """pydantic says ``'a', 'b' or 'c'``."""
    return [part.strip("' ") for part in expected.replace(" or ", ", ").split(",") if part.strip("' ")]


def _said(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {getattr(value, 'written', value)}"
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    return "a list" if isinstance(value, list) else "a mapping"


def _quote_it(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'put it in quotes to make it text: "{_said(value).removeprefix("the number ")}"'
    if kind == "string_type" and isinstance(value, dict):
        return 'quote a text that holds ": " or begins with a brace'
    return ""


def _keys_at(model: type[BaseModel], path: tuple[str | int, ...]) -> set[str]:
    """The keys that a mapping at the path may have."""
    models: list[Any] = [model]
    for part in path:
        models = [inner for outer in models for inner in _step_into(outer, part)]
    keys: set[str] = set()
    for found in _models(models):
        keys |= {field.alias or name for name, field in found.model_fields.items()}
    return keys


def _step_into(annotation: Any, part: str | int) -> Iterator[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if (field.alias or name) == part:
                yield field.annotation
        return
    arguments = get_args(annotation)
    origin = getattr(annotation, "__origin__", None)
    if origin is list and isinstance(part, int):
        yield arguments[0]
    elif origin is dict and isinstance(part, str):
        yield arguments[1]
    else:
        for argument in arguments:
            yield from _step_into(argument, part)


def _models(annotations: Iterable[Any]) -> Iterator[type[BaseModel]]:
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        elif getattr(annotation, "__origin__", None) not in (list, dict):
            yield from _models(get_args(annotation))
