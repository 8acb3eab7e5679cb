"""Takes the faulty parts out of a document's value, so that what is left can be looked at for other faults.

A fault must not bring forth others that are none: a broken action is replaced by one that does nothing, a step
without an id gets one, and ``complete`` turns False once something is gone that other parts may refer to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic_core import ErrorDetails

from drctl.model.runbook import ACTIONS
from drctl.read.shape import clean_path
from drctl.read.suggest import closest

Path = tuple[str | int, ...]

_DO_NOTHING = ":"
# Keys that give names; a word like one of them was probably meant to be it.
_NAMING = ("capture", "proves", "inputs", "preconditions", "steps", "parallel", "sites", "hosts", "services", "roles")


class Pruning:
    """A document's value that loses its faulty parts."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value
        self.complete = True

    def take_out(self, details: Iterable[ErrorDetails]) -> bool:
        """Takes out what the errors are about; False when nothing could be taken out."""
        changed = False
        for detail in details:
            path = clean_path(detail["loc"])
            holder = self._at(path[:-1])
            if isinstance(holder, dict) and path and path[-1] in holder:
                if detail["type"] == "extra_forbidden":
                    del holder[path[-1]]
                    self.complete = self.complete and closest(str(path[-1]), _NAMING) is None
                else:
                    self._delete(path)
                changed = True
            elif detail["type"] == "missing" and len(path) > 1 and isinstance(holder, dict):
                changed = self._complete(holder, path) or changed
        return changed

    def _delete(self, path: Path) -> None:
        holder, last = self._at(path[:-1]), path[-1]
        del holder[last]
        in_step = len(path) > 2 and path[0] in ("preconditions", "steps", "always") and isinstance(path[-2], int)
        if in_step and last in ACTIONS and not any(action in holder for action in ACTIONS):
            holder["run" if "hosts" in holder else "local"] = _DO_NOTHING
        elif path[-2:-1] == ("verify",) and last in ACTIONS and not any(action in holder for action in ACTIONS):
            holder["local"] = _DO_NOTHING
        elif in_step and last == "hosts":
            holder["hosts"] = "primary"
        elif in_step and last == "id":
            self._name(holder, path)
        elif len(path) <= 2 or isinstance(last, int) or "capture" in path or last in _NAMING:
            self.complete = False

    def _complete(self, holder: dict[str, Any], path: Path) -> bool:
        """A part is missing: a step's id is made up, anything else that lacks a part is taken out."""
        if path[-1] == "id":
            self._name(holder, path)
            return True
        above = self._at(path[:-2])
        if isinstance(above, dict) and path[-2] in above:
            self._delete(path[:-1])
            return True
        return False

    def _name(self, step: dict[str, Any], path: Path) -> None:
        step["id"] = "-".join(["nameless", *(str(part) for part in path[:-1])]).replace("_", "-")

    def _at(self, path: Path) -> Any:
        value: Any = self.value
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value
