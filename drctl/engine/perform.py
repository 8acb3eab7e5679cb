"""Carry out one attempt through the ports, and say in an event how it ended.

Nothing here decides: an ending is translated into an outcome (``endings``), and the next decision is ``decide``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from drctl.engine.decisions import Attempt
from drctl.engine.endings import End, end_of, held_to_its_word, unexpected
from drctl.engine.ports import (
    Clock,
    CommandRunner,
    Ending,
    Files,
    JobName,
    Network,
    NetworkAnswer,
    Outputs,
    Routes,
    ShellCommand,
)
from drctl.engine.state import RunState
from drctl.engine.values import fill
from drctl.model.events import Act, AttemptFinished, Outcome, Output, Reason
from drctl.model.plan import Approval, Endpoint, Http, Manual, Shell, Step, Tcp, Transfer, Wait
from drctl.plan.residency import Hop, carries_data, refusal, url_hop
from drctl.read.shell import shell_use

SETTLE_WINDOW_S = 120.0  # how long a host that cannot be reached is asked again what became of a job
SETTLE_EVERY_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The ports that an attempt needs. ``stopping`` tells that a person wants the run to stop."""

    commands: CommandRunner
    network: Network
    outputs: Outputs
    clock: Clock
    files: Files
    routes: Routes | None = None  # who is on the way to a host; None: it is reached directly
    stopping: Callable[[], bool] = lambda: False


class Interrupted(Exception):
    """A wait was cut short because a person wants the run to stop."""


def perform(attempt: Attempt, state: RunState, world: World) -> AttemptFinished:
    """Do it, wait for its end, and say how it ended.

    Raises:
        Interrupted: when a wait was cut short by a stop.
    """
    step = state.the_plan.step(attempt.target.step)
    endpoint = next((e for e in step.endpoints if e.host == attempt.target.host), None)
    began_s = world.clock.monotonic()
    end = _Doer(attempt=attempt, step=step, endpoint=endpoint, state=state, world=world).do()
    captured: dict[str, str] = {}
    if end.outcome is Outcome.SUCCEEDED and attempt.act in (Act.RUN, Act.SETTLE):
        end, captured = held_to_its_word(step, end)
    return AttemptFinished(
        step=step.id,
        host=attempt.target.host,
        attempt=attempt.attempt,
        act=attempt.act,
        outcome=end.outcome,
        reason=end.reason,
        detail=end.detail,
        exit_code=end.exit_code,
        duration_s=round(world.clock.monotonic() - began_s, 3),
        attached=end.attached,
        output=_shown(step, end.output),
        errors=_shown(step, end.errors),
        captured=captured,
    )


def _shown(step: Step, output: Output | None) -> Output | None:
    """Of a sensitive step's output only its size and sum are written down."""
    return replace(output, tail="") if output is not None and step.sensitive else output


def end_job(attempt: Attempt, state: RunState, world: World, *, by: str = "an abort") -> AttemptFinished:
    """End what an attempt may have left running on its host, and say whether that is certain."""
    step = state.the_plan.step(attempt.target.step)
    endpoint = next((e for e in step.endpoints if e.host == attempt.target.host), None)
    where = None if isinstance(step.action, Shell) and step.action.local else endpoint
    name = JobName(run_id=state.run_id, step_id=step.id, attempt=attempt.attempt)
    result = world.commands.kill(where, name=name, become=step.become)
    certain = result.ending is Ending.FINISHED and result.exit_code == 0
    return AttemptFinished(
        step=step.id,
        host=attempt.target.host,
        attempt=attempt.attempt,
        act=Act.SETTLE,
        outcome=Outcome.FAILED if certain else Outcome.IN_DOUBT,
        reason=Reason.ABORTED,
        detail=f"its process group was ended by {by}; what it had begun is half done"
        if certain
        else f"{by} could not end it: {result.detail}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doer:
    """One attempt on its way through the ports."""

    attempt: Attempt
    step: Step
    endpoint: Endpoint | None
    state: RunState
    world: World

    def do(self) -> End:
        match self.attempt.act:
            case Act.UNLESS:
                assert self.step.unless is not None  # noqa: S101 - decide asks only for an unless that is there
                return self._probe(self.step.unless, self.step.timeout_s)
            case Act.VERIFY:
                return self._verify()
            case Act.SETTLE:
                return self._settle()
            case Act.RUN:
                return self._run()

    def _run(self) -> End:
        refused = self._leaves_the_country()
        if refused:
            return End(outcome=Outcome.FAILED, reason=Reason.REFUSED, detail=refused)
        match self.step.action:
            case Shell() as shell if self.step.read_only:
                return self._probe(shell, self.step.timeout_s)
            case Shell() as shell:
                return self._job(shell)
            case Http() | Tcp() as request:
                return self._ask_network(request, self.step.timeout_s, read_only=self.step.read_only)
            case Wait(seconds=seconds):
                self._sleep(seconds)
                return End(outcome=Outcome.SUCCEEDED)
            case Transfer() as order:
                return self._transfer(order)
            case Approval() | Manual():
                raise AssertionError("a person is asked by the loop, and nothing is performed")

    def _leaves_the_country(self) -> str:
        """Why this step may not be sent: its data would pass through another country, or nobody knows through which."""
        if not carries_data(self.step):
            return ""
        action = self.step.action
        if isinstance(action, Http):
            way = [url_hop(fill(action.url, self.state.values))]
        elif self.endpoint is None:
            way = []
        elif self.world.routes is None:
            way = [Hop(self.endpoint.host, self.endpoint.address)]
        else:
            way = list(self.world.routes.way_to(self.endpoint))
        return refusal(self.state.the_plan, self.step, way)

    def _probe(self, shell: Shell, timeout_s: float) -> End:
        recorder = self.world.outputs.recorder(self.attempt.target)
        result = self.world.commands.probe(
            self._where(shell), self._command(shell), timeout_s=timeout_s, output=recorder
        )
        output, errors = recorder.close()
        end = end_of(result, output, errors)
        if end.outcome is Outcome.IN_DOUBT:  # it changes nothing, so there is nothing to be in doubt about
            return replace(end, outcome=Outcome.FAILED)
        return end

    def _job(self, shell: Shell) -> End:
        recorder = self.world.outputs.recorder(self.attempt.target)
        result = self.world.commands.job(
            self._where(shell),
            self._command(shell),
            name=self._job_name(),
            timeout_s=self.step.timeout_s,
            output=recorder,
        )
        output, errors = recorder.close()
        return end_of(result, output, errors)

    def _transfer(self, order: Transfer) -> End:
        """Repeatable by nature, so a broken one is a failure that may be retried, and never a doubt."""
        assert self.endpoint is not None  # noqa: S101 - the plan gives a transfer its host
        values = self.state.values
        filled = replace(order, local=fill(order.local, values), remote=fill(order.remote, values))
        recorder = self.world.outputs.recorder(self.attempt.target)
        result = self.world.files.transfer(
            self.endpoint, filled, become=self.step.become, timeout_s=self.step.timeout_s, output=recorder
        )
        output, errors = recorder.close()
        end = end_of(result, output, errors)
        return replace(end, outcome=Outcome.FAILED) if end.outcome is Outcome.IN_DOUBT else end

    def _settle(self) -> End:
        """Attach to the job of that name. A job that never began begins now: the name is still claimed once only."""
        shell = self.step.action
        if isinstance(shell, Transfer):
            return self._run()
        if not isinstance(shell, Shell):
            return End(
                outcome=Outcome.IN_DOUBT,
                reason=Reason.LOST,
                detail="a request leaves no job on a host that could be asked what became of it",
            )
        until_s = self.world.clock.monotonic() + SETTLE_WINDOW_S
        while True:
            end = self._job(shell)
            if end.reason not in (Reason.UNREACHABLE, Reason.REFUSED):
                return end
            if end.reason is Reason.REFUSED or self.world.clock.monotonic() >= until_s:
                # Out of reach is not the same as not done (law 4).
                return End(outcome=Outcome.IN_DOUBT, reason=end.reason, detail=end.detail)
            self._sleep(SETTLE_EVERY_S)

    def _verify(self) -> End:
        verify = self.step.verify
        assert verify is not None  # noqa: S101 - decide asks only for a verify that is there
        until_s = self.world.clock.monotonic() + verify.within_s
        while True:
            left_s = max(1.0, until_s - self.world.clock.monotonic())
            match verify.action:
                case Shell() as shell:
                    end = self._probe(shell, left_s)
                case Http() | Tcp() as request:
                    end = self._ask_network(request, left_s, read_only=True)
            if end.outcome is Outcome.SUCCEEDED and verify.expect is not None:
                text = end.output.tail if end.output else ""
                if text.strip() != verify.expect:
                    end = unexpected(self.step, end, verify.expect, text)
            if end.outcome is Outcome.SUCCEEDED or self.world.clock.monotonic() + verify.every_s > until_s:
                return end
            self._sleep(verify.every_s)

    def _ask_network(self, request: Http | Tcp, timeout_s: float, *, read_only: bool) -> End:
        values = self.state.values
        match request:
            case Http():
                filled = replace(request, url=fill(request.url, values))
                answer = self.world.network.http(filled, timeout_s=timeout_s)
            case Tcp():
                answer = self.world.network.tcp(
                    replace(request, address=fill(request.address, values)), timeout_s=timeout_s
                )
        return self._network_end(answer, read_only=read_only)

    def _network_end(self, answer: NetworkAnswer, *, read_only: bool) -> End:
        recorder = self.world.outputs.recorder(self.attempt.target)
        recorder("stdout", (answer.body or answer.detail).encode())
        output, _ = recorder.close()
        if answer.ok:
            return End(outcome=Outcome.SUCCEEDED, detail=answer.detail, output=output)
        doubt = answer.sent and not read_only and not answer.body
        return End(
            outcome=Outcome.IN_DOUBT if doubt else Outcome.FAILED,
            reason=Reason.LOST if doubt else Reason.EXPECTATION,
            detail=answer.detail,
            output=output,
        )

    def _sleep(self, seconds: float) -> None:
        until_s = self.world.clock.monotonic() + seconds
        while (left_s := until_s - self.world.clock.monotonic()) > 0:
            if self.world.stopping():
                raise Interrupted
            self.world.clock.sleep(min(left_s, 0.5))

    def _where(self, shell: Shell) -> Endpoint | None:
        return None if shell.local else self.endpoint

    def _job_name(self) -> JobName:
        return JobName(run_id=self.state.run_id, step_id=self.step.id, attempt=self.attempt.attempt)

    def _command(self, shell: Shell) -> ShellCommand:
        values = {v.name: v.text for v in self.step.variables if v.text is not None}
        own = self.endpoint.variables if self.endpoint else ()
        values |= {v.name: v.text for v in own if v.text is not None and mentions(shell.script, v.name)}
        values |= {n: t for n, t in self.state.values.items() if mentions(shell.script, n)}
        secrets = {v.name: v.secret for v in (*self.step.variables, *own) if v.secret is not None}
        return ShellCommand(
            script=shell.script,
            variables=values,
            secrets=_only_used(secrets, shell.script),
            words=tuple(fill(w, self.state.values) for w in shell.words),
            become=None if shell.local and self.endpoint is None else self.step.become,
        )


def mentions(script: str, name: str) -> bool:
    """Whether a script uses the variable of that name, with a dollar or within an arithmetic expansion."""
    return name in _names(script)


@lru_cache(maxsize=1024)
def _names(script: str) -> frozenset[str]:
    return frozenset(shell_use(script).names)


def _only_used(secrets: Mapping[str, str], script: str) -> dict[str, str]:
    return {name: reference for name, reference in secrets.items() if mentions(script, name)}
