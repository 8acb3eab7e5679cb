"""The steps of a run as rows of one width, and the window of them that fits a screen."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from drctl.engine import rounds
from drctl.engine.decide_target import name_of
from drctl.engine.objectives import entered, steps_done
from drctl.engine.state import RunState, Target, TargetState, targets_of, tolerated
from drctl.model.events import Act, Outcome
from drctl.model.plan import Approval, Manual, Step
from drctl.model.units import format_duration
from drctl.model.words import Round, Section
from drctl.report.harmless import one_line
from drctl.screens.base import over_expected, spent_s

WIDE = 110  # from this width on there is room for the step's id beside its name
SMALL = 4
A_PERSON = "a person"
SOME_HOSTS = 6  # hosts of one step that get a row of their own while it matters


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The lines, the one that matters most now, and a title for them."""

    lines: list[Text]
    current: int
    title: str


@dataclass(frozen=True, slots=True)
class _Look:
    """How a state of a target is shown: a sign, a word, a style. The word is for who sees no colours."""

    sign: str
    word: str
    style: str


_PENDING = _Look("·", "", "dim")
_OUTCOMES = {
    Outcome.SUCCEEDED: _Look("✓", "succeeded", "green"),
    Outcome.FAILED: _Look("✗", "FAILED", "bold red"),
    Outcome.SKIPPED: _Look("-", "skipped", "dim"),
    Outcome.SIMULATED: _Look("○", "simulated", "cyan"),
    Outcome.IN_DOUBT: _Look("?", "IN DOUBT", "bold magenta"),
}
_ACTS = {
    Act.UNLESS: _Look("▶", "probing", "bold cyan"),
    Act.RUN: _Look("▶", "running", "bold cyan"),
    Act.SETTLE: _Look("?", "settling", "bold magenta"),
    Act.VERIFY: _Look("▶", "verifying", "bold cyan"),
}


def look_of(state: RunState, step: Step, target: Target) -> _Look:
    """How a step on one host stands."""
    known = state.target(target)
    if known.in_flight is not None:
        return _ACTS[known.in_flight]
    if known.outcome is Outcome.FAILED and tolerated(step, known):
        return _Look("✗", "failed", "yellow")
    if known.outcome is not None:
        return _OUTCOMES[known.outcome]
    asked = state.question
    if asked is not None and (asked.step, asked.host) in ((target.step, target.host), (target.step, "")):
        return _Look("?", "asked", "bold yellow")
    if known.doubt:
        return _OUTCOMES[Outcome.IN_DOUBT]
    if known.not_before is not None:
        return _Look("↻", "again", "yellow")
    if known.started_at is not None:
        return _Look("…", "begun", "cyan")
    return _PENDING


_WORST_FIRST = (
    "IN DOUBT", "FAILED", "asked", "settling", "running", "verifying", "probing", "again", "begun", "failed",
)  # fmt: skip


def _look_of_step(state: RunState, step: Step) -> _Look:
    looks = [look_of(state, step, t) for t in targets_of(step)]
    asked = state.question
    if asked is not None and asked.step == step.id:
        return _Look("?", "asked", "bold yellow")
    worst = next((k for word in _WORST_FIRST for k in looks if k.word == word), None)
    if worst is not None:
        return worst
    if any(k is _PENDING for k in looks) and any(k is not _PENDING for k in looks):
        return _Look("…", "begun", "cyan")
    best = next((k for k in looks if k.word == "succeeded"), looks[0])
    return next((k for k in looks if k.word == "simulated"), best)


def _steps(count: int) -> str:
    return "1 step, for when it is" if count == 1 else f"{count} steps, for when they are"


def rows(state: RunState, now: datetime, *, width: int) -> Rows:
    """A row for each step; while a step on several hosts matters, one for each of them too."""
    layout = _Layout.of(width, state)
    lines: list[Text] = []
    current = 0
    there = rounds.begun(state)
    aside: str | None = None
    placed = [(stage.section, step) for stage in state.the_plan.stages for step in stage.steps]
    for number, (section, step) in enumerate(placed, start=1):
        left_aside = _left_aside(state, section, step, there)
        if left_aside:
            if left_aside != aside:
                lines.append(Text(f"      {left_aside}", style="dim"))
            aside = left_aside
            continue
        look = _look_of_step(state, step)
        if look is not _PENDING:
            current = len(lines)
        lines.append(layout.step_row(state, now, number, step, look))
        if _wants_hosts(step, look):
            hosts = [t for t in targets_of(step) if look_of(state, step, t).word != "succeeded"]
            lines += [layout.host_row(state, now, step, t) for t in hosts[:SOME_HOSTS]]
            if len(hosts) > SOME_HOSTS:
                lines.append(Text(f"        and {len(hosts) - SOME_HOSTS} more hosts", style="dim"))
    done, total = steps_done(state)
    return Rows(lines=lines, current=current, title=f"{done} of {total} steps")


def _left_aside(state: RunState, section: Section, step: Step, there: Collection[Round]) -> str:
    """The way, or the attempts of a call, that the run has not entered and the step is of; empty when it has."""
    if not entered(state, section):
        return f"{section.value}: {_steps(len(state.the_plan.steps(section)))} needed"
    if step.round is None or step.round in there:
        return ""
    return f"{step.round.of}: more attempts, for when they are needed"


def _wants_hosts(step: Step, look: _Look) -> bool:
    return len(step.endpoints) > 1 and look.word not in ("", "succeeded", "skipped", "simulated")


def window(found: Rows, height: int, *, width: int) -> list[Text]:
    """At most ``height`` of the rows, the current one among them, with what is out of sight counted."""
    total = len(found.lines)
    if total <= height:
        return found.lines
    first = min(max(0, found.current - (2 * height) // 3), total - height)
    shown = found.lines[first : first + height]
    counted = height > SMALL  # in a smaller window every line is needed for a step
    if first > 0 and counted:
        shown[0] = Text(f"   ↑ {first + 1} above", style="dim")
    if first + height < total and counted:
        shown[-1] = Text(f"   ↓ {total - first - height + 1} below", style="dim")
    return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """The widths of the columns in cells; 0 leaves one out."""

    number: int
    step_id: int
    name: int
    host: int
    word: int = 9
    time: int = 8
    attempts: int = 2

    @classmethod
    def of(cls, width: int, state: RunState) -> _Layout:
        steps = state.the_plan.steps()
        number = len(str(len(steps)))
        places = [cell_len(e.host) + (3 if len(s.endpoints) > 1 else 0) for s in steps for e in s.endpoints]
        host = min(max([*places, len(A_PERSON)]), max(10, width // 5))
        fixed = 3 + number + 1 + 1 + host + 1 + cls.word_cells() + 1
        left = max(8, width - fixed)
        if width < WIDE:
            return cls(number=number, step_id=0, name=left, host=host)
        step_id = min(max(cell_len(s.id) for s in steps), left // 3)
        longest = max(cell_len(name_of(state, s)) for s in steps)
        return cls(number=number, step_id=step_id, name=min(longest + 2, left - step_id - 1), host=host)

    @staticmethod
    def word_cells() -> int:
        """Cells of the outcome, the time, what is expected, and the attempts, with the blanks between."""
        return 9 + 1 + 8 + 1 + 8 + 1 + 2

    def step_row(self, state: RunState, now: datetime, number: int, step: Step, look: _Look) -> Text:
        name = one_line(name_of(state, step))
        targets = targets_of(step)
        first = targets[0].host
        host = first if len(targets) == 1 else f"{first} +{len(targets) - 1}"
        known = [state.target(t) for t in targets]
        line = Text.assemble(
            (f" {look.sign} ", look.style), (f"{number:>{self.number}} ", "dim"),
            (self._names(step.id, name), "bold" if look.style.startswith("bold") else _dim(look)), " ",
            (set_cell_size(_fit(host or _where(step), self.host), self.host), "dim"), " ",
            (f"{look.word:<{self.word}} ", look.style),
        )  # fmt: skip
        return self._times(line, step, known, now)

    def host_row(self, state: RunState, now: datetime, step: Step, target: Target) -> Text:
        look = look_of(state, step, target)
        indent = 3 + self.number + 1
        name = self.name + (self.step_id + 1 if self.step_id else 0)
        host = set_cell_size(_fit(target.host, self.host), self.host)
        line = Text.assemble(" " * (indent + name + 1), host, " ", (f"{look.word:<{self.word}} ", look.style))
        return self._times(line, step, [state.target(target)], now)

    def _names(self, step_id: str, name: str) -> str:
        named = set_cell_size(_fit(name, self.name), self.name)
        return f"{set_cell_size(_fit(step_id, self.step_id), self.step_id)} {named}" if self.step_id else named

    def _times(self, line: Text, step: Step, known: list[TargetState], now: datetime) -> Text:
        spent = max((s for s in (spent_s(k, now) for k in known) if s is not None), default=None)
        if isinstance(step.action, Approval | Manual):
            spent = None  # it has no start but its answer; the status line says how long a person is waited for
        late = over_expected(step, spent)
        took = "" if spent is None else format_duration(spent)
        line.append(f"{took:>{self.time}}", style="yellow" if late else "")
        usual = "" if step.expected_s is None else f"/{format_duration(step.expected_s)}"
        line.append(f"{usual:<{self.time + 1}}", style="dim")
        runs = max(k.attempts for k in known)
        return line.append(f" x{runs}" if runs > 1 else "", style="yellow")


def _fit(text: str, width: int) -> str:
    """Text of at most ``width`` cells, with an ellipsis for what is left out."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def _dim(look: _Look) -> str:
    return "dim" if look is _PENDING or look.word == "skipped" else ""


def _where(step: Step) -> str:
    return A_PERSON if isinstance(step.action, Approval | Manual) else "local"
