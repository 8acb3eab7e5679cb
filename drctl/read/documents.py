"""Files → documents, with all their problems at once.

A document with a fault in one place still has its other faults found: the faulty part is taken out of a copy, and
the rules between parts are held against what is left.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from drctl.model.runbook import Runbook
from drctl.model.written import Written
from drctl.read.diagnostics import Diagnostic, errors, in_order, quoted
from drctl.read.document import Document, Places
from drctl.read.find import RUNBOOKS, callable_runbooks, called_runbook
from drctl.read.lint import lint
from drctl.read.lint_calls import MAX_CALLS, named_runbooks
from drctl.read.shape import read_as
from drctl.read.suggest import did_you_mean, listed
from drctl.read.text import SourceText, read_text
from drctl.read.yaml import Loaded, load

if TYPE_CHECKING:
    from drctl.model.inventory import Inventory

Model = TypeVar("Model", bound=Written)
Kind = Literal["runbook", "inventory"]

_MAX_FAULTS = 500
_ROUNDS = 4  # what is taken out may leave a hole around it


def read_runbook(path: Path | str) -> tuple[Document[Runbook] | None, list[Diagnostic]]:
    """The runbook, or None when it has an error; with all that is wrong with it, warnings too.

    The runbooks that it calls are read with it, and what is wrong with them is told as well.
    """
    return Library().runbook(Path(path))


def read_inventory(path: Path | str) -> tuple[Document[Inventory] | None, list[Diagnostic]]:
    """The inventory, or None when it has an error; with all that is wrong with it, warnings too."""
    return Library().inventory(Path(path))


class Library:
    """Documents that are read together, each of them once. A file that changes meanwhile is what it was at first."""

    def __init__(self) -> None:
        self._files: dict[Path, tuple[SourceText | None, Loaded | None, list[Diagnostic]]] = {}
        self._runbooks: dict[Path, tuple[Document[Runbook] | None, list[Diagnostic]]] = {}
        self._chain: list[tuple[Path, str]] = []  # the runbooks that lead to the one that is being read

    def kind_of(self, path: Path) -> Kind | None:
        """What the document says it is by its keys; None when it cannot be read or says neither."""
        _, loaded, _ = self._loaded(path)
        if loaded is None or not isinstance(loaded.value, dict):
            return None
        if "inventory" in loaded.value or is_ansible(loaded.value):
            return "inventory"
        return "runbook" if "runbook" in loaded.value else None

    def runbook(self, path: Path) -> tuple[Document[Runbook] | None, list[Diagnostic]]:
        """The runbook, with those that it calls in its ``called``; as ``read_runbook``."""
        # What is wrong with one may be wrong because of those that led to it.
        self._runbooks = {known: found for known, found in self._runbooks.items() if found[0] is not None}
        return self._runbook(path, path.stem)

    def inventory(self, path: Path) -> tuple[Document[Inventory] | None, list[Diagnostic]]:
        """The inventory; as ``read_inventory``."""
        from drctl.model.inventory import Inventory
        from drctl.read.lint_inventory import lint_inventory

        source, loaded, problems = self._loaded(path)
        if source is not None and loaded is not None and is_ansible(loaded.value):
            from drctl.read.ansible import from_ansible

            loaded, source, problems = from_ansible(loaded, source, problems)
        return _document(
            (source, loaded, problems), Inventory, lambda found, complete: (found, lint_inventory(found, complete))
        )

    def _loaded(self, path: Path) -> tuple[SourceText | None, Loaded | None, list[Diagnostic]]:
        """The file's text, the tree in it, and what is wrong with them."""
        if path not in self._files:
            source, problems = read_text(path)
            loaded, problems = load(source) if source is not None else (None, problems)
            self._files[path] = source, loaded, problems
        return self._files[path]

    def _runbook(self, path: Path, name: str) -> tuple[Document[Runbook] | None, list[Diagnostic]]:
        known = path.resolve()
        if known not in self._runbooks:
            self._chain.append((known, name))
            self._runbooks[known] = _document(self._loaded(path), Runbook, self._rules)
            self._chain.pop()
        return self._runbooks[known]

    def _rules(self, document: Document[Runbook], complete: bool) -> tuple[Document[Runbook], list[Diagnostic]]:
        problems: list[Diagnostic] = []
        called: dict[str, Document[Runbook]] = {}
        for path, name in named_runbooks(document.value):
            found = called_runbook(name, by=Path(document.file))
            wrong = self._refused(name, found, Path(document.file))
            if wrong is not None or found is None:
                message, hint = wrong or ("", "")
                problems.append(document.places.problem(path, message, hint=hint))
                complete = False
                continue
            other, more = self._runbook(found, name)
            problems += more
            if other is None:
                complete = False
                problems.append(document.places.problem(path, f"{quoted(name)} has errors of its own: {found}"))
            else:
                called[name] = other
        document = replace(document, called=called)
        return document, [*problems, *lint(document, complete)]

    def _refused(self, name: str, found: Path | None, by: Path) -> tuple[str, str] | None:
        """Why a runbook cannot be called here, and a hint; None when it can."""
        if found is None:
            known = callable_runbooks(by)
            said = f"there is no runbook {quoted(name)} beside {by.name} or in {RUNBOOKS}/{did_you_mean(name, known)}"
            return said, f"runbooks: {listed(known)}"
        chain = [called for _, called in self._chain] + [name]
        if any(path == found.resolve() for path, _ in self._chain):
            return f"a runbook cannot lead to itself: {' → '.join(chain)}", ""
        if len(self._chain) > MAX_CALLS:
            return f"runbooks call each other more than {MAX_CALLS} deep: {' → '.join(chain)}", ""
        return None


def is_ansible(value: Any) -> bool:
    """Whether a document's value is what ``ansible-inventory`` writes, or an inventory of Ansible's own."""
    return isinstance(value, dict) and "inventory" not in value and ("_meta" in value or "all" in value)


def _document(
    file: tuple[SourceText | None, Loaded | None, list[Diagnostic]],
    model: type[Model],
    rules: Callable[[Document[Model], bool], tuple[Document[Model], list[Diagnostic]]],
) -> tuple[Document[Model] | None, list[Diagnostic]]:
    source, loaded, problems = file
    if source is None or loaded is None:
        return None, in_order(problems)
    places = Places(source=source, root=loaded.root)
    if not isinstance(loaded.value, dict):
        what = model.__name__.lower()
        hint = f"drctl schema {what} says what belongs in it"
        return None, [*problems, places.problem((), f"is not a mapping of keys, as every {what} is", hint=hint)]
    value, complete, found = _validated(loaded, model, places)
    problems = [*problems, *found]
    if value is not None:
        document, more = rules(Document(value=value, places=places), complete)
        problems += more
        if not errors(problems):
            return document, in_order(problems)
    return None, in_order(problems)


def _validated(loaded: Loaded, model: type[Model], places: Places) -> tuple[Model | None, bool, list[Diagnostic]]:
    """The model, made of the parts that are sound; whether every name in it is still there; and the problems."""
    sound, faults = read_as(model, loaded.value)
    if sound is not None and not loaded.empty:
        return sound, True, []
    from drctl.read.faults import fault_problems
    from drctl.read.prune import Pruning

    problems = list(fault_problems(faults[:_MAX_FAULTS], places))
    pruning = Pruning(copy.deepcopy(loaded.value))
    taken = [pruning.remove(path) for path in reversed(loaded.empty)]
    if not any([pruning.take_out(faults[:_MAX_FAULTS]), *taken]):
        return None, False, problems
    for _ in range(_ROUNDS):
        sound, faults = read_as(model, pruning.value)
        if sound is not None or not pruning.take_out(faults):
            return sound, pruning.complete, problems
    return None, False, problems
