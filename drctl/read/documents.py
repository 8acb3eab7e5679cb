"""Files → documents, with all their problems at once.

A document with a fault in one place still has its other faults found: the faulty part is taken out of a copy, and
the rules between parts are held against what is left.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from drctl.model.inventory import Inventory
from drctl.model.runbook import Runbook
from drctl.read.diagnostics import Diagnostic, errors, in_order
from drctl.read.document import Document, Places
from drctl.read.lint import lint
from drctl.read.lint_inventory import lint_inventory
from drctl.read.prune import Pruning
from drctl.read.shape import shape_problems
from drctl.read.text import read_text
from drctl.read.yaml import Loaded, load

Model = TypeVar("Model", bound=BaseModel)
Kind = Literal["runbook", "inventory"]

_MAX_SHAPE_PROBLEMS = 500
_ROUNDS = 4  # what is taken out may leave a hole around it


def read_runbook(path: Path | str) -> tuple[Document[Runbook] | None, list[Diagnostic]]:
    """The runbook, or None when it has an error; with all that is wrong with it, warnings too."""
    return _read(Path(path), Runbook, lint)


def read_inventory(path: Path | str) -> tuple[Document[Inventory] | None, list[Diagnostic]]:
    """The inventory, or None when it has an error; with all that is wrong with it, warnings too."""
    return _read(Path(path), Inventory, lint_inventory)


def kind_of(path: Path | str) -> Kind | None:
    """What the document says it is by its keys; None when it cannot be read or says neither."""
    source, _ = read_text(Path(path))
    loaded = load(source)[0] if source is not None else None
    if loaded is None or not isinstance(loaded.value, dict):
        return None
    if "inventory" in loaded.value:
        return "inventory"
    return "runbook" if "runbook" in loaded.value else None


def _read(
    path: Path, model: type[Model], rules: Callable[[Document[Model], bool], list[Diagnostic]]
) -> tuple[Document[Model] | None, list[Diagnostic]]:
    source, problems = read_text(path)
    if source is None:
        return None, problems
    loaded, problems = load(source)
    if loaded is None:
        return None, in_order(problems)
    places = Places(source=source, root=loaded.root)
    if not isinstance(loaded.value, dict):
        what = model.__name__.lower()
        hint = f"drctl schema {what} says what belongs in it"
        return None, [*problems, places.problem((), f"is not a mapping of keys, as every {what} is", hint=hint)]
    value, complete, found = _validated(loaded, model, places)
    problems = [*problems, *found]
    if value is not None:
        document = Document(value=value, places=places)
        problems += rules(document, complete)
        if not errors(problems):
            return document, in_order(problems)
    return None, in_order(problems)


def _validated(loaded: Loaded, model: type[Model], places: Places) -> tuple[Model | None, bool, list[Diagnostic]]:
    """The model, made of the parts that are sound; whether every name in it is still there; and the problems."""
    details: list[ErrorDetails] = []
    problems: list[Diagnostic] = []
    try:
        sound = model.model_validate(loaded.value)
        if not loaded.empty:
            return sound, True, []
    except ValidationError as error:
        details = error.errors(include_url=False)[:_MAX_SHAPE_PROBLEMS]
        problems = list(shape_problems(model, details, places))
    pruning = Pruning(copy.deepcopy(loaded.value))
    taken = [pruning.remove(path) for path in reversed(loaded.empty)]
    if not any([pruning.take_out(details), *taken]):
        return None, False, problems
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(pruning.value), pruning.complete, problems
        except ValidationError as error:
            if not pruning.take_out(error.errors(include_url=False)):
                break
    return None, False, problems
