"""The JSON Schema of the documents, for editors. ``docs/schema/`` holds what this makes; a test sees to it."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from itertools import pairwise
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from drctl.model.actions import ACTIONS
from drctl.model.inventory import Inventory
from drctl.model.runbook import Runbook
from drctl.model.written import Choice, Limits, Schema, Written

Name = Literal["runbook", "inventory"]

_TITLES: dict[str, str] = {"runbook": "A drctl runbook", "inventory": "A drctl inventory"}
_PROBES = ("run", "local", "http", "tcp")
_UNDOES = ("run", "argv", "local", "command")


def schema(name: Name) -> dict[str, Any]:
    """The schema as a value; equal for equal programs."""
    definitions: dict[str, Any] = {}
    made = _of_kind(Runbook if name == "runbook" else Inventory, definitions)
    if name == "runbook":
        definitions["StepText"]["oneOf"] = [{"required": [action]} for action in ACTIONS]
        definitions["VerifyText"]["oneOf"] = [{"required": [probe]} for probe in _PROBES]
        definitions["UndoText"]["oneOf"] = [{"required": [way]} for way in _UNDOES]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": _TITLES[name]}
    return {**head, **made, "$defs": {kind: definitions[kind] for kind in sorted(definitions)}}


def _of_kind(kind: type[Written], definitions: dict[str, Any]) -> dict[str, Any]:
    texts = _texts(kind)
    properties = {}
    for key, word in kind.words.items():
        said = {"description": texts[word.name]} | _of(word.annotation, definitions)
        default = kind.plain.get(word.name)
        if isinstance(default, str | int | float):  # a mapping says nothing in an editor
            said["default"] = _as_written(default) if said.get("type") == "string" else default
        properties[key] = said
    required = [key for key, word in kind.words.items() if word.required]
    return {
        "description": inspect.cleandoc(kind.__doc__ or ""),
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": properties,
    }


def _as_written(default: str | float) -> str:
    """A duration's seconds with the largest unit that they are a whole number of."""
    if isinstance(default, str):
        return default
    sizes = {"d": 86_400, "h": 3_600, "m": 60}
    unit = next((unit for unit, size in sizes.items() if default and default % size == 0), "s")
    return f"{default / sizes.get(unit, 1):g}{unit}"


def _texts(kind: type[Written]) -> dict[str, str]:
    """The text below each word in the source, which no running program needs."""
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    body = found.body if isinstance(found, ast.ClassDef) else []
    return {
        member.target.id: inspect.cleandoc(str(text.value.value))
        for member, text in pairwise(body)
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def _of(annotation: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """What a value with this annotation may be; the kinds that it leads to are put among the definitions."""
    if isinstance(annotation, type) and issubclass(annotation, Written):
        if annotation.__name__ not in definitions:
            definitions[annotation.__name__] = {}  # its place, should it lead to itself
            definitions[annotation.__name__] = _of_kind(annotation, definitions)
        return {"$ref": f"#/$defs/{annotation.__name__}"}
    origin = get_origin(annotation)
    if origin is Annotated:
        return _of_annotated(annotation.__origin__, annotation.__metadata__, definitions)
    if origin in (Union, UnionType):  # with None, which is written by leaving the word out
        return _of(get_args(annotation)[0], definitions)
    return _bounded(annotation, Limits(), definitions)


def _of_annotated(base: Any, said: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    schemas = [each.said for each in said if isinstance(each, Schema)]
    if schemas:
        return dict(schemas[0])
    if any(isinstance(each, Choice) for each in said):
        return {"oneOf": [_of(alternative, definitions) for alternative in get_args(base)]}
    limits = next((each for each in said if isinstance(each, Limits)), None)
    return _of(base, definitions) if limits is None else _bounded(base, limits, definitions)


def _bounded(base: Any, limits: Limits, definitions: dict[str, Any]) -> dict[str, Any]:
    if get_origin(base) is list:
        items = _of(get_args(base)[0], definitions)
        return _with({"type": "array", "items": items}, minItems=limits.shortest, maxItems=limits.longest)
    if get_origin(base) is dict:
        return _with(_of_mapping(base, definitions), minProperties=limits.shortest, maxProperties=limits.longest)
    if get_origin(base) is Literal:
        options = list(get_args(base))
        return {"type": "string"} | ({"enum": options} if len(options) > 1 else {"const": options[0]})
    if base is str:
        said = {"type": "string"}
        return _with(said, minLength=limits.shortest, maxLength=limits.longest, pattern=limits.pattern)
    said = {"type": {bool: "boolean", int: "integer", float: "number"}[base]}
    return _with(said, minimum=limits.least, maximum=limits.most)


def _of_mapping(base: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Names are held by their pattern, so that an editor marks the name and not the whole mapping."""
    key, item = (_of(each, definitions) for each in get_args(base))
    if "pattern" not in key:
        return {"type": "object", "additionalProperties": item}
    longest = {"propertyNames": {"maxLength": key["maxLength"]}} if "maxLength" in key else {}
    return {"type": "object", "patternProperties": {key["pattern"]: item}, **longest}


def _with(said: dict[str, Any], **bounds: Any) -> dict[str, Any]:
    return said | {name: bound for name, bound in bounds.items() if bound is not None}


def schema_text(name: Name) -> str:
    """The schema as a file holds it."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"
