"""The JSON Schema of the documents, for editors. ``docs/schema/`` holds what this makes; a test sees to it."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from functools import cache
from itertools import pairwise
from typing import Any, Literal

from drctl.model.actions import ACTIONS, Written
from drctl.model.inventory import Inventory
from drctl.model.runbook import Runbook

Name = Literal["runbook", "inventory"]

_TITLES: dict[str, str] = {"runbook": "A drctl runbook", "inventory": "A drctl inventory"}
_PROBES = ("run", "local", "http", "tcp")
_UNDOES = ("run", "argv", "local", "command")


def schema(name: Name) -> dict[str, Any]:
    """The schema as a value; equal for equal programs."""
    _describe()
    made = (Runbook if name == "runbook" else Inventory).model_json_schema(by_alias=True)
    if name == "runbook":
        definitions = made["$defs"]
        definitions["StepText"]["oneOf"] = [{"required": [action]} for action in ACTIONS]
        definitions["VerifyText"]["oneOf"] = [{"required": [probe]} for probe in _PROBES]
        definitions["UndoText"]["oneOf"] = [{"required": [way]} for way in _UNDOES]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": _TITLES[name]}
    properties = dict(made.pop("properties"))
    made.pop("title", None)
    definitions = made.pop("$defs", {})
    tidied: dict[str, Any] = _tidy({**made, "properties": properties, "$defs": definitions})
    return {**head, **tidied}


@cache
def _describe() -> None:
    """Give each field the text below it in the source. Only a schema needs it, and to look it up takes a while."""
    models = _models(Written)
    for model in models:
        (found,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
        body = found.body if isinstance(found, ast.ClassDef) else []
        for member, text in pairwise(body):
            if not (isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name)):
                continue
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                model.model_fields[member.target.id].description = inspect.cleandoc(str(text.value.value))
    for model in models:  # those that others are made of come first
        model.model_rebuild(force=True)


def _models(above: type[Written]) -> list[type[Written]]:
    return [each for model in above.__subclasses__() for each in (model, *_models(model))]


def _tidy(value: Any) -> Any:
    """Without what misleads or says nothing: a null that is refused, a default that is empty, a name made of a name."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: item for key, item in value.items() if not (key == "title" and isinstance(item, str))}
    if not isinstance(kept.get("default", 0), str | int | float):
        kept.pop("default")
    branches = [branch for branch in kept.get("anyOf", ()) if branch != {"type": "null"}]
    if "anyOf" in kept and len(branches) == 1:
        del kept["anyOf"]
        kept = {**branches[0], **kept}
    return {key: _tidy_all(item) if key in _NAMED else _tidy(item) for key, item in kept.items()}


_NAMED = ("properties", "patternProperties", "$defs")  # their keys are names, and "default" may be one of them


def _tidy_all(named: dict[str, Any]) -> dict[str, Any]:
    return {name: _tidy(item) for name, item in named.items()}


def schema_text(name: Name) -> str:
    """The schema as a file holds it."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"
