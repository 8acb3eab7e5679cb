"""Which variables a step's scripts and texts use, and where their values come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from drctl.model.plan import Variable
from drctl.plan.scope import Scope
from drctl.read.diagnostics import Diagnostic, quoted
from drctl.read.document import Places
from drctl.read.shell import line_and_column, shell_use
from drctl.read.suggest import closest, did_you_mean, listed
from drctl.read.template import Mention, fill_known, literal, mentions
from drctl.read.walk import Path, Placed, acts_remotely, script_parts


@dataclass(slots=True, kw_only=True)
class StepNames:
    """The names of one step. Problems are gathered in ``problems`` while values are looked up."""

    scope: Scope
    placed: Placed
    places: Places
    hosts: Sequence[str]
    captured: frozenset[str]  # what the steps of earlier stages capture
    excused: Callable[[str], bool] = lambda name: False  # unknown for a reason that is told elsewhere
    problems: list[Diagnostic] = field(default_factory=list)

    def variables(self) -> tuple[Variable, ...]:
        """The common variables that the step's scripts use, by name; unknown names become problems."""
        found: dict[str, Variable] = {}
        for path, script in script_parts(self.placed):
            use = shell_use(script)
            for name in use.names - self.captured:
                value = self.scope.common(name)
                if value is not None:
                    found[name] = value
            self.problems += self._unknown(path, script)
        return tuple(found[name] for name in sorted(found))

    def of_host(self, host: str) -> list[Variable]:
        """The host's own variables that the step's scripts use."""
        names = {name for _, script in script_parts(self.placed) for name in shell_use(script).names}
        values = (self.scope.of_host(host, name) for name in sorted(names - self.captured))
        return [value for value in values if value is not None]

    def text(self, path: Path, template: str) -> str:
        """The text with what is known filled in, and ``${name}`` left for what is captured."""
        values: dict[str, str] = {}
        for mention in mentions(template):
            if mention.broken:
                self._add(path, mention.broken, mention)
            elif mention.name not in self.captured:
                text = self._value(path, mention)
                if text is not None:
                    values[mention.name] = text
        return fill_known(template, values, later=self.captured)

    def constant(self, text: str) -> str:
        """A text in which nothing is filled in."""
        return literal(text)

    def waits(self, template: str) -> bool:
        """Whether the text is known only when the run goes on."""
        return any(mention.name in self.captured for mention in mentions(template))

    def _value(self, path: Path, mention: Mention) -> str | None:
        own = [self.scope.of_host(host, mention.name) for host in self.hosts]
        common = self.scope.common(mention.name)
        values = {value or common for value in own} if own else {common}
        if len(values) > 1:
            self._add(path, f"{quoted(mention.name)} is not the same on every host of this step", mention)
            return None
        value = values.pop()
        if value is None:
            if not self.excused(mention.name):
                self._add(path, self._no_such(mention.name), mention, self._known_instead(mention.name))
        elif value.secret is not None:
            self._add(
                path,
                f"{quoted(mention.name)} is a secret, and would be seen here",
                mention,
                'secrets go into scripts only, as "$name"',
            )
        return value.text if value is not None else None

    def _unknown(self, path: Path, script: str) -> Iterator[Diagnostic]:
        use = shell_use(script)
        told: set[str] = set()
        for reference in use.references:
            name = reference.name
            if reference.optional or name in use.assigned or name in self.captured or name in told:
                continue
            if name != name.lower() or self.scope.common(name) is not None or self.excused(name):
                continue
            without = [host for host in self.hosts if self.scope.of_host(host, name) is None]
            if self.hosts and not without and acts_remotely(self.placed.step):
                continue
            told.add(name)
            line, column = line_and_column(script, reference.offset)
            place = self.places.in_script(path, line, column, name)
            if self.hosts and len(without) < len(self.hosts):
                message = f"variable {quoted(name)} has no value on {', '.join(without)}"
            else:
                message = self._no_such(name)
            yield self.places.problem(path, message, place=place, hint=self._known_instead(name))

    def _no_such(self, name: str) -> str:
        return f"unknown variable {quoted(name)}{did_you_mean(name, self.scope.names() | self.captured)}"

    def _known_instead(self, name: str) -> str:
        """What there is, when nothing is like the name."""
        known = self.scope.names() | self.captured
        return "" if closest(name, known) else f"known here: {listed(known, limit=40)}"

    def _add(self, path: Path, message: str, mention: Mention, hint: str = "") -> None:
        place = self.places.within(path, mention.text)
        self.problems.append(self.places.problem(path, message, place=place, hint=hint))
