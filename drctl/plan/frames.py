"""What the names of a called runbook mean: its own inputs in place of the caller's, and the same service."""

from __future__ import annotations

from dataclasses import replace

from drctl.model.inventory import Inventory
from drctl.model.plan import Variable
from drctl.plan.scope import Scope, built_in, roles_given
from drctl.read.diagnostics import Diagnostic, quoted
from drctl.read.link import Frame
from drctl.read.lint_inputs import input_text
from drctl.read.suggest import did_you_mean
from drctl.read.template import fill, mentions
from drctl.read.walk import Path


class FrameScopes:
    """The scope of each frame of a run. ``inputs`` are the called runbooks' own, with the call's id before the name."""

    def __init__(self, inventory: Inventory, service: str, root: Scope, captured: frozenset[str]) -> None:
        self.problems: list[Diagnostic] = []
        self.inputs: list[Variable] = []
        self._inventory, self._service, self._root, self._captured = inventory, service, root, captured
        self._found: dict[Frame, Scope] = {}

    def of(self, frame: Frame) -> Scope:
        """The scope of a frame; what is wrong with the values that its caller gives is in ``problems``."""
        if frame.parent is None:
            return self._root
        if frame not in self._found:
            self._found[frame] = self._made(frame, frame.parent)
        return self._found[frame]

    def _made(self, frame: Frame, parent: Frame) -> Scope:
        outer = self.of(parent)
        runbook = frame.document.value
        own = built_in(self._inventory, runbook=runbook.runbook, service=self._service)
        own = {**self._root.built_in, **own}
        values: dict[str, Variable] = {}
        for name, declared in runbook.inputs.items():
            if name == "service":
                continue
            if name in own:
                message = "is a name that drctl sets itself: choose another"
                self.problems.append(frame.document.places.problem(("inputs", name), message, key=True))
            given = frame.inputs.get(name)
            text = declared.default or "" if given is None else self._filled(frame, parent, name, given, outer)
            if text is None:
                values[name] = Variable(name=name, text="")  # told already: its users are not to blame
                continue
            try:
                text = input_text(declared.type, text) if given is not None or declared.default is not None else ""
            except ValueError as error:
                self._add(frame, parent, name, str(error))
            roles = self._inventory.services[self._service].roles
            if declared.type == "role" and text and text not in roles:
                message = f"{self._service} has no role {quoted(text)}{did_you_mean(text, roles)}"
                self._add(frame, parent, name, message)
            values[name] = Variable(name=name, text=text)
            self.inputs.append(Variable(name=frame.prefix + name, text=text))
        return replace(
            self._root,
            built_in=own,
            inputs=values,
            standing_for=roles_given(runbook, values),
        )

    def _filled(self, frame: Frame, parent: Frame, name: str, text: str, outer: Scope) -> str | None:
        """The text with the caller's values; None when one of them is not there."""
        values: dict[str, str] = {}
        before = len(self.problems)
        for mention in mentions(text):
            value = outer.common(mention.name)
            if mention.broken:
                self._add(frame, parent, name, mention.broken)
            elif mention.name in self._captured:
                message = f"{quoted(mention.name)} is captured while the run goes on, and an input is a fixed value"
                self._add(frame, parent, name, f"{message}: the called runbook sees it by its own name")
            elif value is None:
                known = outer.names() | self._captured
                message = f"unknown variable {quoted(mention.name)}{did_you_mean(mention.name, known)}"
                self._add(frame, parent, name, message)
            elif value.secret is not None:
                self._add(frame, parent, name, f"{quoted(mention.name)} is a secret, and would be seen here")
            elif value.text is not None:
                values[mention.name] = value.text
        return fill(text, values) if len(self.problems) == before else None

    def _add(self, frame: Frame, parent: Frame, name: str, message: str) -> None:
        path: Path = (*frame.call, "inputs", name)
        self.problems.append(parent.document.places.problem(path, message))
