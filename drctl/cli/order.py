"""An order to begin a run, from the command line to the first event."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from drctl.cli.circumstances import Occasion, exercise_noted
from drctl.cli.settings import Settings, pairs
from drctl.errors import DrctlError, ExitCode, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from drctl.cli.plan import Made
    from drctl.cli.session import Manner
    from drctl.model.events import Body
    from drctl.model.plan import Mode, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was typed. Nothing is connected before all of it has been understood."""

    runbook: str
    service: str
    inventory: Path | None
    inputs: list[str]
    outage_started: str
    detected: str
    reason: str
    yes: bool
    no_input: bool
    json: bool
    plain: bool
    dry_run: bool
    check: bool
    approve: list[str]
    override: list[str]
    break_glass: list[str] = field(default_factory=list)
    drill: bool = False
    on_production: str = ""  # the service's name, typed: this drill may change production
    occasion: Occasion = field(default_factory=Occasion)
    saved: Path | None = None  # a plan to be carried out exactly as it is; it holds runbook, service and inputs

    def carry_out(self, settings: Settings) -> int:
        """Make the plan; print it for a dry run, else confirm and conduct it. Returns the exit code.

        Raises:
            DrctlError: for anything that is wrong before the run begins; nothing was connected then.
        """
        made = self._made(settings)
        plan = made.plan if made is not None else self._saved()
        if self.drill:
            from drctl.cli.drill import refuse_to_touch_production

            refuse_to_touch_production(plan, self.inventory, typed=self.on_production)
        if self.dry_run:
            from drctl.cli.plan import say_that_it_is_turned, show

            if made is not None:
                say_that_it_is_turned(made)
            show(plan, as_json=self.json, settings=settings)
            return ExitCode.DONE
        from drctl.adapters.clock import SystemClock
        from drctl.adapters.journal import new_run_id
        from drctl.cli.session import start

        manner = self._manner(plan)
        now = SystemClock().now()
        given = self._given(now)
        if not self.check:
            self._refuse_a_second_run(settings, plan)
            self._require_a_person(plan, manner)
        way = ""
        if made is not None and made.standing is not None:
            plan, way = self._as_it_stands(settings, made)
        if not self.check and not self._confirmed(plan, manner, way):
            raise DrctlError("not begun", state="nothing was changed", exit_code=ExitCode.ABORTED)
        run_id = new_run_id(now, plan.service)
        if not self.check:
            given = (*given, exercise_noted(settings, plan, self.occasion, now))
        return start(settings, plan, manner, run_id=run_id, given=given, reason=self.reason, way=way)

    @property
    def _mode(self) -> Mode:
        from drctl.model.plan import Mode

        mode = Mode.DRILL if self.drill else Mode.REAL
        return Mode.PLAN if self.dry_run else Mode.CHECK if self.check else mode

    def _saved(self) -> Plan:
        from drctl.cli.saved_plans import fresh

        if self.saved is None:  # pragma: no cover - asked only where there is one
            raise AssertionError("no plan was saved")
        return fresh(self.saved, mode=self._mode)

    def _made(self, settings: Settings) -> Made | None:
        """The plan of what was typed; None for one that was saved."""
        from drctl.cli.plan import make_as_it_stands

        if self.saved is not None:
            return None
        return make_as_it_stands(
            settings,
            runbook=self.runbook,
            service=self.service,
            inventory=self.inventory,
            inputs=pairs("--input", self.inputs),
            mode=self._mode,
        )

    def _as_it_stands(self, settings: Settings, made: Made) -> tuple[Plan, str]:
        """The plan for the direction in which the service stands now, and which one that is and why.

        Raises:
            DrctlError: when the journal and the servers contradict each other.
        """
        from drctl.cli import direction
        from drctl.cli.plan import turned_round
        from drctl.engine.standing import Contradiction

        try:
            found = direction.on_the_servers(settings, made.world, made.plan.service)
        except Contradiction as error:
            raise direction.refused(made.plan.service, made.plan.runbook, str(error)) from None
        way = direction.sentence(found, made.plan.service)
        if self.yes or self.check:
            typer.echo(way, err=True)
        return turned_round(made, inputs=pairs("--input", self.inputs), standing=found).plan, way

    def _manner(self, plan: Plan) -> Manner:
        from drctl.cli.session import manner_of

        return manner_of(
            plan,
            json=self.json,
            plain=self.plain,
            no_input=self.no_input,
            approve=self.approve,
            override=self.override,
            break_glass=self.break_glass,
        )

    def _given(self, now: datetime) -> tuple[Body, ...]:
        from drctl.model.events import ClockMarked
        from drctl.model.units import parse_instant
        from drctl.model.words import Mark

        bodies: list[Body] = []
        for option, text, mark in (
            ("--outage-started", self.outage_started, Mark.OUTAGE_STARTED),
            ("--detected", self.detected, Mark.DETECTED),
        ):
            if not text:
                continue
            try:
                at = parse_instant(text)
            except ValueError as error:
                raise UsageError(f"{option}: {error}", hint=f"{option} {now:%Y-%m-%dT%H:%M:%SZ}") from None
            if at > now:
                raise UsageError(f"{option}: {text} is in the future", hint=f"it is {now:%Y-%m-%dT%H:%M:%SZ} now")
            bodies.append(ClockMarked(mark=mark, at=at, source=f"given with {option}"))
        return tuple(bodies)

    def _refuse_a_second_run(self, settings: Settings, plan: Plan) -> None:
        """A run of this service that is not over is gone on with, or left for good: never overtaken in silence.

        Raises:
            LockedError: when somebody conducts it at this moment.
            UsageError: when nobody does, and ``--yes`` was not typed.
        """
        from drctl.adapters.lock import refuse_if_held
        from drctl.cli.open_runs import open_run

        refuse_if_held(settings.locks, plan.service)
        found = open_run(settings, plan.service)
        if found is not None and not self.yes:
            raise UsageError(
                f"the run {found} of {plan.service} is not over",
                state="this command changed nothing",
                hint=f'drctl resume {found}\ndrctl abort {found} --reason "…"\nor begin anew beside it: add --yes',
            )

    def _to_see_it(self, plan: Plan) -> str:
        if self.saved is not None:
            return shlex.join(["drctl", "run", "--plan", str(self.saved), "--dry-run"])
        words = ["drctl", "plan", self.runbook, plan.service]
        words += ["--inventory", str(self.inventory)] if self.inventory is not None else []
        words += [word for given in self.inputs for word in ("--input", given)]
        return shlex.join(words)

    def _require_a_person(self, plan: Plan, manner: Manner) -> None:
        """Raises UsageError when nobody can be asked to confirm."""
        if not self.yes and manner.terminal is None:
            raise UsageError(
                "nobody is at a terminal to type the service's name",
                state="nothing was connected or changed",
                hint=f"add --yes to begin {plan.runbook} of {plan.service} unattended",
            )

    def _confirmed(self, plan: Plan, manner: Manner, way: str) -> bool:
        if self.yes or manner.terminal is None:
            return self.yes
        from drctl.plan.attempts import first_attempts
        from drctl.screens.prompt import TerminalPerson

        steps = first_attempts(plan).steps()
        changing = [s for s in steps if not s.read_only]
        facts = (
            plan.title,
            *([way] if way else []),
            f"{len(steps)} steps, {len(changing)} of which change something; to see them: {self._to_see_it(plan)}",
        )
        return TerminalPerson(manner.terminal).confirm_service(plan.service, plan.mode, facts)
