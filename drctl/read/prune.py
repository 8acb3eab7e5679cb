"""Takes the faulty parts out of a document's value, so that what is left can be looked at for other faults.

A fault must not bring forth others that are none: a broken action is replaced by one that does nothing, a step
without an id gets one, and ``complete`` turns False once something is gone that other parts may refer to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from drctl.model.actions import ACTIONS
from drctl.read.faults import NOT_YET
from drctl.read.shape import Fault, Wrong
from drctl.read.suggest import closest

Path = tuple[str | int, ...]

_DO_NOTHING = ":"
_SECTIONS = ("preconditions", "steps", "always")
# Keys that give names; a word like one of them was probably meant to be it.
_NAMING = ("capture", "proves", "inputs", "preconditions", "steps", "parallel", "sites", "hosts", "services", "roles")


class Pruning:
    """A document's value that loses its faulty parts."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value
        self.complete = True

    def take_out(self, faults: Iterable[Fault]) -> bool:
        """Takes out what the faults are about; False when nothing could be taken out."""
        changed = False
        for fault in faults:
            if fault.wrong is Wrong.UNKNOWN:
                changed = self._unknown(fault.path) or changed
            elif fault.wrong is Wrong.MISSING:
                changed = self._missing(fault.path) or changed
            else:
                changed = self.remove(fault.path) or changed
        return changed

    def remove(self, path: Path) -> bool:
        """Takes the part at the path out, or the list that it stands in; False when it is gone already."""
        while path and not isinstance(path[-1], str) and not self._is_step(path):
            path = path[:-1]  # a list with a hole would be another list
        holder = self._at(path[:-1])
        if not path or self._at(path, missing=self) is self:
            return False
        if self._is_step(path):
            holder[path[-1]] = {"id": self._nameless(path), "local": _DO_NOTHING}
            self.complete = False
            return True
        del holder[path[-1]]
        self._fill(holder, path)
        return True

    def _fill(self, holder: dict[str, Any], path: Path) -> None:
        """Something is gone: put in its place what brings forth no other fault."""
        last = path[-1]
        is_of_a_step = self._is_step(path[:-1])
        if "runbook" in path[1:]:
            self.complete = False  # what the called runbook captures may be used elsewhere
        if last in ACTIONS:
            self._stand_in(holder, path)
        elif is_of_a_step and last == "hosts":
            holder["hosts"] = "primary"
        elif is_of_a_step and last == "id":
            holder["id"] = self._nameless(path)
        elif len(path) <= 2 or "capture" in path or last in _NAMING:
            self.complete = False

    def _stand_in(self, holder: dict[str, Any], path: Path) -> None:
        """An action that does nothing, where a step or a verify has none left."""
        if any(action in holder for action in ACTIONS):
            return
        if self._is_step(path[:-1]):
            holder["run" if "hosts" in holder else "local"] = _DO_NOTHING
        elif path[-2:-1] in (("verify",), ("rollback",)):
            holder["local"] = _DO_NOTHING

    def _unknown(self, path: Path) -> bool:
        holder = self._at(path[:-1])
        if not isinstance(holder, dict) or path[-1] not in holder:
            return False
        del holder[path[-1]]
        if path[-1] in NOT_YET:
            self._stand_in(holder, path)
        self.complete = self.complete and closest(str(path[-1]), _NAMING) is None
        return True

    def _missing(self, path: Path) -> bool:
        """A part is missing: a step's id is made up, anything else that lacks a part is taken out."""
        holder = self._at(path[:-1])
        if path[-1] == "id" and isinstance(holder, dict):
            holder["id"] = self._nameless(path)
            return True
        return len(path) > 1 and self.remove(path[:-1])

    def _is_step(self, path: Path) -> bool:
        """Whether the path is that of an entry of a section or of a parallel group."""
        return len(path) > 1 and isinstance(path[-1], int) and (path[-2] == "parallel" or path[:-1] in _PLACES)

    def _nameless(self, path: Path) -> str:
        return "-".join(["nameless", *(str(part) for part in path)])

    def _at(self, path: Path, missing: Any = None) -> Any:
        value: Any = self.value
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return missing
        return value


_PLACES = tuple((section,) for section in _SECTIONS)
