"""A run in this process: the ports put together, signals turned into stops, and the exit code at the end."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from queue import SimpleQueue

from drctl.adapters.clock import SystemClock
from drctl.adapters.commands import Commands
from drctl.adapters.heads import HeadPublisher
from drctl.adapters.hold import Hold
from drctl.adapters.journal import JournalFile
from drctl.adapters.local import LocalTransport, clean_environment
from drctl.adapters.lock import run_lock, service_lock
from drctl.adapters.network import OperatorNetwork
from drctl.adapters.outputs import OutputStore
from drctl.adapters.redact import Redactor
from drctl.adapters.secrets import SecretResolver
from drctl.adapters.ssh.ways import SshRoutes
from drctl.adapters.transfer import HostFiles
from drctl.cli.circumstances import controller_noted, look_at_clocks
from drctl.cli.holds import released
from drctl.cli.many import keep
from drctl.cli.messengers import add_notifications, close_notifications, say_unpublished
from drctl.cli.open_runs import state_to_go_on_from
from drctl.cli.overdue import Overdue
from drctl.cli.requests import DecidedElsewhere, Requests
from drctl.cli.settings import Settings, controller, operator, pairs
from drctl.cli.signals import Signals
from drctl.cli.watches import ClockWatch, Tell, TellingRecorder
from drctl.engine.conduct import Conductor, Message
from drctl.engine.perform import World
from drctl.engine.ports import Person
from drctl.engine.state import RunState, Target
from drctl.errors import UsageError
from drctl.model.events import Body, MessengerFailed, RunResumed, RunStarted, StopRequested
from drctl.model.plan import Approval, Http, Mode, Plan
from drctl.read.suggest import did_you_mean
from drctl.report.verdict import exit_code
from drctl.screens.base import Screen
from drctl.screens.choose import choose
from drctl.screens.prompt import TerminalPerson
from drctl.screens.terminal import Terminal, open_terminal
from drctl.screens.unattended import UnattendedPerson

_TOO_LATE = "it came to its end before this command could take it up, and this command changed nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the person wants to be spoken to, and what they have decided beforehand."""

    json: bool = False
    plain: bool = False
    terminal: Terminal | None = None  # None: nobody is asked
    approvals: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    break_glass: dict[str, str] = field(default_factory=dict)

    @property
    def interactive(self) -> bool:
        return self.terminal is not None


def manner_of(
    plan: Plan,
    *,
    json: bool,
    plain: bool,
    no_input: bool,
    approve: list[str] | None,
    override: list[str] | None,
    break_glass: list[str] | None = None,
) -> Manner:
    """The manner that the options ask for.

    Raises:
        UsageError: for a decision about a step or a fact that the plan does not have, or one without a reason.
    """
    approvals, overrides = pairs("--approve", approve or []), pairs("--override", override or [])
    broken = pairs("--break-glass", break_glass or [])
    asking = {s.id: s.action.minimum for s in plan.steps() if isinstance(s.action, Approval)}
    steps = {step for step, minimum in asking.items() if not minimum}
    signed = {step for step, minimum in asking.items() if minimum}
    for step in signed & set(approvals):
        raise UsageError(
            f"--approve {step}: it needs the signatures of {asking[step]} other than you",
            state="nothing was connected or changed",
            hint=f'drctl approve {step} --reason "…" --key …, by somebody else; alone: --break-glass {step}="why"',
        )
    facts = {s.requires for s in plan.steps() if s.requires}
    for option, given, known, what in (
        ("--approve", approvals, steps, "approval step"),
        ("--override", overrides, facts, "required fact"),
        ("--break-glass", broken, signed, "approval step that needs signatures"),
    ):
        for name, reason in given.items():
            if name not in known:
                raise UsageError(
                    f"{option} {name}: the runbook {plan.runbook} has no such {what}{did_you_mean(name, known)}",
                    hint=f"drctl plan {plan.runbook} {plan.service}",
                )
            if not reason.strip():
                raise UsageError(f"{option} {name}: a reason is needed", hint=f'{option} {name}="why"')
    return Manner(
        json=json,
        plain=plain,
        terminal=None if no_input else open_terminal(),
        approvals=approvals,
        overrides=overrides,
        break_glass=broken,
    )


class _Outputs:
    """The store, with the screen listening to every recorder but those of sensitive steps, which keep nothing."""

    def __init__(self, store: OutputStore, screen: Screen, plan: Plan, tell: Tell) -> None:
        self._store, self._screen, self._tell = store, screen, tell
        self._sensitive = {s.id for s in plan.steps() if s.sensitive}

    def recorder(self, target: Target) -> TellingRecorder:
        recorder = self._store.recorder(keep=target.step not in self._sensitive)
        if target.step not in self._sensitive:
            recorder.listen(lambda _, text: self._screen.on_output(target, text))
        return TellingRecorder(recorder, target, self._tell)


def start(
    settings: Settings, plan: Plan, manner: Manner, *, run_id: str, given: tuple[Body, ...], reason: str, way: str = ""
) -> int:
    """Begin a run of this plan, and carry it to its end or a pause; the exit code."""
    from drctl.adapters.kept import KeptFiles
    from drctl.plan.codec import plan_digest

    first = RunStarted(
        plan=plan,
        plan_digest=plan_digest(plan),
        operator=operator(),
        controller=controller(),
        pid=os.getpid(),
        interactive=manner.interactive,
        reason=reason,
        way=way,
        operator_keys=_own_keys(plan),
        exposure=KeptFiles(settings.state_dir / "backups", plan.service).exposure(),
    )
    made = (controller_noted(plan), *given, *_forecast(settings, plan))
    return _conduct(settings, plan, manner, run_id=run_id, bodies=(first, *made))


def _forecast(settings: Settings, plan: Plan) -> tuple[Body, ...]:
    """What is to be expected of this run; nothing when the journal cannot be read, as it is no reason to wait."""
    from drctl.cli.forecasts import forecast_of

    if plan.mode not in (Mode.DRILL, Mode.REAL):
        return ()
    made = forecast_of(settings, plan)
    return (made,) if made is not None else ()


def go_on(settings: Settings, state: RunState, manner: Manner) -> int:
    """Take up a run that was paused or whose drctl died; the exit code.

    Raises:
        UsageError: when it has come to its end since ``state`` was read.
    """
    first = RunResumed(
        operator=operator(),
        controller=controller(),
        pid=os.getpid(),
        interactive=manner.interactive,
        operator_keys=_own_keys(state.the_plan),
    )
    bodies = (first, controller_noted(state.the_plan))
    return _conduct(settings, state.the_plan, manner, run_id=state.run_id, bodies=bodies)


def _own_keys(plan: Plan) -> tuple[str, ...]:
    """The operator's own keys, which cannot approve; looked up only where a signature can."""
    if plan.allowed_signers is None:
        return ()
    from drctl.adapters.signatures import own_fingerprints

    return own_fingerprints()


def give_up(settings: Settings, state: RunState, manner: Manner, *, why: str) -> int:
    """Abort a run that nobody conducts: end its jobs, do what must always be done; the exit code.

    Raises:
        LockedError: when somebody does conduct it.
        UsageError: when it has come to its end since ``state`` was read.
    """
    bodies = (
        RunResumed(operator=operator(), controller=controller(), pid=os.getpid(), interactive=False),
        StopRequested(by=f"{operator()}: {why}", how="abort"),
    )
    return _conduct(settings, state.the_plan, manner, run_id=state.run_id, bodies=bodies)


def _conduct(settings: Settings, plan: Plan, manner: Manner, *, run_id: str, bodies: tuple[Body, ...]) -> int:
    clock, redactor, signals = SystemClock(), Redactor(), Signals()
    with ExitStack() as stack:
        stack.enter_context(_lock(settings, plan, run_id, clock.now()))
        journal = settings.journal()
        stack.callback(journal.close)
        # Read under the lock: whoever conducted the run until now may have gone on since anybody looked.
        state = RunState() if isinstance(bodies[0], RunStarted) else state_to_go_on_from(journal, run_id, so=_TOO_LATE)
        stack.callback(keep, settings, journal, run_id)
        # A step that asks drctl itself finds the state that this one has.
        environment = clean_environment(os.environ) | {"DRCTL_STATE_DIR": str(settings.state_dir)}
        hold = Hold(service=plan.service, run_id=run_id, who=operator(), ours=partial(_is_ours, journal, plan.service))
        secrets = SecretResolver(redactor)
        commands = Commands(secrets, local=LocalTransport(environment=environment), hold=hold)
        stack.callback(commands.close)
        screen = choose(
            stdout=sys.stdout,
            stderr=sys.stderr,
            environ=os.environ,
            clock=clock,
            as_json=manner.json,
            plain=manner.plain,
        )
        inbox: SimpleQueue[Message] = SimpleQueue()
        world = World(
            commands=commands,
            network=OperatorNetwork(soon=any(isinstance(step.action, Http) for step in plan.steps())),
            outputs=_Outputs(OutputStore(settings.outputs, redactor), screen, plan, inbox.put),
            clock=clock,
            files=HostFiles(commands),
            routes=SshRoutes(),
            stopping=signals.stopping,
        )
        requests = Requests(journal, run_id)
        heads = HeadPublisher(plan.head_places, inbox.put, key=plan.head_key or os.environ.get("DRCTL_EVIDENCE_KEY"))
        stack.callback(say_unpublished, heads)
        watch = ClockWatch(clock, inbox.put)
        watch.behind(state.last_at)
        conductor = Conductor(
            journal=journal.writer(run_id, now=clock.now, redact=redactor.clean_text),
            world=world,
            person=_person(manner, screen, signals, requests),
            state=state,
            listeners=[screen, watch, heads],
            inbox=inbox,
            mailbox=requests,
        )
        told = add_notifications(conductor, plan, secrets=secrets, redactor=redactor)
        stack.callback(close_notifications, conductor, told)
        signals.conductor, signals.leaving = conductor, screen.leaving
        stack.enter_context(signals.installed())
        _begin(screen, stack, conductor)
        if state.plan is None:  # a run is beginning
            stack.callback(look_at_clocks(plan, SecretResolver(redactor), inbox.put))
        state = conductor.conduct(*bodies)
        for left in released(commands, state):
            sys.stderr.write(f"{left}\n")
        return int(exit_code(state))


def _is_ours(journal: JournalFile, service: str, run_id: str) -> bool:
    return any(head.run_id == run_id and head.service == service for head in journal.heads())


def _begin(screen: Screen, stack: ExitStack, conductor: Conductor) -> None:
    """Show the screen; one that cannot be shown does not stop a recovery (law 10)."""
    try:
        stack.enter_context(screen)
    except Exception as error:
        conductor.listeners.remove(screen)
        conductor.inbox.put(MessengerFailed(messenger=screen.name, detail=f"{type(error).__name__}: {error}"))


def _lock(settings: Settings, plan: Plan, run_id: str, now: datetime) -> AbstractContextManager[None]:
    if plan.mode is Mode.CHECK:
        return run_lock(settings.locks, run_id=run_id, who=operator(), now=now)
    return service_lock(settings.locks, plan.service, run_id=run_id, who=operator(), now=now)


def _person(manner: Manner, screen: Screen, signals: Signals, requests: Requests) -> Person:
    elsewhere = DecidedElsewhere(requests, SystemClock().now)
    asked = None
    if manner.terminal is not None:
        asked = Overdue(SystemClock().now)
        asked.here = TerminalPerson(
            manner.terminal,
            suspended=screen.suspended,
            stopping=lambda: signals.stopping() or elsewhere.came() or asked.came(),
            meanwhile=asked.word,
            who=operator(),
        )
    elsewhere.here = UnattendedPerson(
        approvals=manner.approvals,
        overrides=manner.overrides,
        break_glass=manner.break_glass,
        who=operator(),
        otherwise=asked,
    )
    return elsewhere
