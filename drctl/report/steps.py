"""Each step of a run on each of its hosts, as rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from drctl.engine import rounds
from drctl.engine.perform import mentions
from drctl.engine.state import RunState, Target, TargetState, targets_of
from drctl.engine.values import fill
from drctl.model import events as ev
from drctl.model.events import Act, Event, Outcome
from drctl.model.plan import Approval, Endpoint, Http, Manual, Shell, Step, Tcp, Transfer, Variable, Wait
from drctl.model.units import format_duration
from drctl.report.facts import AttemptRow, Command, Given, HostRow, OutputRow, StepRow
from drctl.report.verdict import outcome_of

SLOWER_BY = 1.1  # a tenth over the usual time is nothing to report


def step_rows(state: RunState, events: Sequence[Event]) -> tuple[StepRow, ...]:
    """The plan's steps in order, those that were never begun included, but for attempts of a call that none needed."""
    there = rounds.begun(state)
    seen = _Seen(
        attempts=_attempts(events), captured=_captured(events), waited_s=_waited(events), withheld=_withheld(state)
    )
    return tuple(
        StepRow(
            number=number,
            id=step.id,
            name=fill(step.name or step.id, state.values),
            where=step.where,
            section=stage.section,
            digest=step.digest,
            outcome=outcome_of(state, step),
            expected_s=step.expected_s,
            timeout_s=step.timeout_s,
            read_only=step.read_only,
            idempotent=step.idempotent,
            sensitive=step.sensitive,
            hosts=tuple(_host_row(state, step, target, seen) for target in targets_of(step)),
        )
        for number, (stage, step) in enumerate(
            ((stage, step) for stage in state.the_plan.stages for step in stage.steps), start=1
        )
        if not rounds.is_spare(step, there)
    )


def given(variables: Iterable[Variable]) -> tuple[Given, ...]:
    """Variables as a report shows them."""
    return tuple(Given(name=v.name, text=v.text, secret=v.secret) for v in variables)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the events tell of each target besides its state."""

    attempts: dict[Target, list[AttemptRow]]
    captured: dict[Target, dict[str, str]]
    waited_s: dict[Target, float]
    withheld: frozenset[str]  # what sensitive steps capture


def _address(endpoint: Endpoint) -> str:
    """As it stands in the plan; what is left out OpenSSH's configuration decided."""
    user = f"{endpoint.user}@" if endpoint.user else ""
    return f"{user}{endpoint.address}" + (f":{endpoint.port}" if endpoint.port else "")


def _host_row(state: RunState, step: Step, target: Target, seen: _Seen) -> HostRow:
    known = state.target(target)
    attempts = seen.attempts.get(target, [])
    captured = seen.captured.get(target, {})
    endpoint = next((e for e in step.endpoints if e.host == target.host), None)
    duration_s = seen.waited_s.get(target, duration_of(known, attempts))
    slower = step.expected_s is not None and duration_s is not None and duration_s > step.expected_s * SLOWER_BY
    withheld = dict.fromkeys(captured, "(withheld)") if step.sensitive else captured
    return HostRow(
        host=target.host,
        site=endpoint.site if endpoint else "",
        country=endpoint.country if endpoint else "",
        address=_address(endpoint) if endpoint else "",
        outcome=Outcome.IN_DOUBT if known.outcome is None and known.doubt else known.outcome,
        reason=known.reason,
        detail=known.detail,
        started_at=known.started_at,
        finished_at=known.finished_at,
        duration_s=duration_s,
        slower_than_expected=slower and known.outcome is Outcome.SUCCEEDED,
        runs=known.attempts,
        exit_code=known.exit_code,
        command=_command(state, step, endpoint, seen.withheld),
        attempts=tuple(attempts),
        output=_output(known.output, step),
        errors=_output(known.errors, step),
        captured=tuple(withheld.items()),
        who=known.who,
        why=known.why,
    )


def duration_of(known: TargetState, attempts: Sequence[AttemptRow] = ()) -> float | None:
    """Seconds that a target took, from its first attempt to its end: monotonic when it was a single attempt."""
    if len(attempts) == 1 and attempts[0].duration_s is not None:
        return attempts[0].duration_s
    if known.started_at is None or known.finished_at is None:
        return None
    return max(0.0, (known.finished_at - known.started_at).total_seconds())


def _output(output: ev.Output | None, step: Step) -> OutputRow | None:
    if output is None:
        return None
    tail = "" if step.sensitive else output.tail
    return OutputRow(sha256=output.sha256, bytes=output.bytes, tail=tail, withheld=step.sensitive)


@dataclass(frozen=True, slots=True)
class _Said:
    """An action in words: its script or request, and its positional parameters."""

    script: str
    words: tuple[str, ...] = ()
    local: bool = True


def _said(state: RunState, step: Step) -> _Said:
    match step.action:
        case Shell() as shell:
            words = tuple(fill(w, state.values) for w in shell.words)
            return _Said(script=shell.script, words=words, local=shell.local)
        case Http() as http:
            wanted = "".join(f", {name} = {value}" for name, value in http.expect_json)
            return _Said(f"{http.method} {fill(http.url, state.values)} (expects status {http.expect_status}{wanted})")
        case Tcp() as tcp:
            return _Said(f"connect to {tcp.address} port {tcp.port} (expects it {tcp.expect})")
        case Approval() as approval:
            return _Said(fill(approval.prompt, state.values))
        case Wait() as wait:
            return _Said(f"wait {format_duration(wait.seconds)}")
        case Manual() as manual:
            return _Said(fill(manual.prompt, state.values))
        case Transfer() as transfer:
            ends = fill(transfer.local, state.values), fill(transfer.remote, state.values)
            return _Said(f"{transfer.direction} {ends[0]} {'to' if transfer.direction == 'put' else 'from'} {ends[1]}")


def _command(state: RunState, step: Step, endpoint: Endpoint | None, withheld: frozenset[str]) -> Command:
    said = _said(state, step)
    return Command(
        kind=step.action.kind,
        local=said.local,
        become=step.become,
        script=said.script,
        words=said.words,
        variables=_sent(state, step, endpoint, said.script, withheld) if isinstance(step.action, Shell) else (),
        sha256=hashlib.sha256(said.script.encode("utf-8", "surrogatepass")).hexdigest(),
    )


def _sent(
    state: RunState, step: Step, endpoint: Endpoint | None, script: str, withheld: frozenset[str]
) -> tuple[Given, ...]:
    """The variables that go ahead of the script; those of the host win, then those that were captured."""
    found = {v.name: v for v in given(step.variables) if v.secret is None or mentions(script, v.name)}
    own = given(endpoint.variables) if endpoint else ()
    found |= {v.name: v for v in own if mentions(script, v.name)}
    found |= {
        name: Given(name=name, text="(withheld)" if name in withheld else text, secret=None)
        for name, text in state.values.items()
        if mentions(script, name)
    }
    return tuple(found.values())


def _attempts(events: Sequence[Event]) -> dict[Target, list[AttemptRow]]:
    """The attempts of each target. One whose process died has no end."""
    found: dict[Target, list[AttemptRow]] = {}
    for event in events:
        body = event.body
        if isinstance(body, ev.AttemptStarted):
            row = AttemptRow(
                act=body.act,
                attempt=body.attempt,
                started_at=event.at,
                finished_at=None,
                duration_s=None,
                outcome=None,
                reason=None,
                detail="",
                exit_code=None,
                attached=False,
            )
            found.setdefault(Target(body.step, body.host), []).append(row)
        elif isinstance(body, ev.AttemptFinished):
            rows = found.get(Target(body.step, body.host))
            if rows and rows[-1].finished_at is None:
                rows[-1] = replace(
                    rows[-1],
                    finished_at=event.at,
                    duration_s=body.duration_s,
                    outcome=body.outcome,
                    reason=body.reason,
                    detail=body.detail,
                    exit_code=body.exit_code,
                    attached=body.attached,
                )
    return found


_BY_PEOPLE = (ev.Question.APPROVAL, ev.Question.MANUAL)
_NO_ANSWER = ("pause", "overtaken")


def _waited(events: Sequence[Event]) -> dict[Target, float]:
    """Seconds that each approval and manual step was waited for, which is all that it took."""
    found: dict[Target, float] = {}
    asked_at = events[0].at
    for event in events:
        body = event.body
        if isinstance(body, ev.PersonAsked):
            asked_at = event.at
        elif isinstance(body, ev.PersonAnswered) and body.question in _BY_PEOPLE and body.answer not in _NO_ANSWER:
            target = Target(body.step, body.host)
            found[target] = found.get(target, 0.0) + (event.at - asked_at).total_seconds()
    return found


def _withheld(state: RunState) -> frozenset[str]:
    return frozenset(c.name for s in state.the_plan.steps() if s.sensitive for c in s.captures)


def _captured(events: Sequence[Event]) -> dict[Target, dict[str, str]]:
    found: dict[Target, dict[str, str]] = {}
    for event in events:
        body = event.body
        if isinstance(body, ev.AttemptFinished) and body.captured and body.act is not Act.UNLESS:
            found.setdefault(Target(body.step, body.host), {}).update(body.captured)
    return found
