"""What comes next of one step on one host, and what a person is asked about it. Pure, as all of *decide*."""

from __future__ import annotations

from datetime import datetime

from drctl.engine.decisions import Ask, Attempt, Decision, Later, Skip
from drctl.engine.state import RunState, Target, TargetState, targets_of
from drctl.engine.values import fill, number_of
from drctl.model.events import Act, PersonAsked, Question
from drctl.model.plan import Approval, Manual, Mode, Step
from drctl.model.units import format_duration
from drctl.model.words import Round

IDEMPOTENT_RUNS = 3  # an idempotent step in doubt is run this often before a person is asked


def decide_target(state: RunState, step: Step, target: Target, known: TargetState, now: datetime) -> Decision:
    """What comes next of a step on a host where it is neither over nor in flight."""
    if known.ran:
        return Attempt(target=target, act=Act.VERIFY, attempt=known.attempts)
    if known.doubt:
        return _settle(state, step, target, known)
    left_out = _left_out(state, step, target)
    if left_out is not None:
        return left_out
    if step.unless is not None and known.done_already is None:
        return Attempt(target=target, act=Act.UNLESS, attempt=known.attempts)
    if known.done_already:
        return Skip(target=target, who="drctl", why="it is done already: its unless-probe says so")
    if step.requires and state.mode is not Mode.CHECK and not state.proved(step.requires):
        return Ask(question=_override(state, step))
    if isinstance(step.action, Approval):
        return _approval(state, step, step.action, target)
    if isinstance(step.action, Manual):
        return Ask(question=_manual(state, step, step.action))
    if known.not_before is not None and now < known.not_before:
        return Later(at=known.not_before)
    return Attempt(target=target, act=Act.RUN, attempt=known.attempts + 1)


def _left_out(state: RunState, step: Step, target: Target) -> Skip | None:
    """A step that is not for this run, and why; None when it is."""
    if step.round is not None:
        why = _out_of_round(state, step, step.round)
        if why:
            return Skip(target=target, who="drctl", why=why)
    if step.modes and state.mode not in step.modes:
        return Skip(target=target, who="drctl", why=f"only in the modes {', '.join(step.modes)}")
    for name, wanted in step.when:
        found = state.value(name)
        if found != wanted:
            shown = "not known" if found is None else found
            return Skip(target=target, who="drctl", why=f"only when {name} is {wanted}, and it is {shown}")
    if step.unless_proved and state.proved(step.unless_proved):
        return Skip(target=target, who="drctl", why=f"{step.unless_proved} is proved already")
    if state.mode is Mode.CHECK and not step.read_only:
        return Skip(target=target, who="drctl", why="check mode runs read-only steps only", simulated=True)
    return None


def _out_of_round(state: RunState, step: Step, mine: Round) -> str:
    """Why a call's attempt is not gone on with; empty when it is."""
    broken = state.ended_round(step)
    return f"attempt {mine.number} of {mine.of} ended when {broken.id} failed" if broken is not None else ""


def _manual(state: RunState, step: Step, action: Manual) -> PersonAsked:
    return PersonAsked(
        question=Question.MANUAL,
        step=step.id,
        prompt=fill(action.prompt, state.values),
        answers=("done", "failed", "pause"),
        unattended="pause",
    )


def _settle(state: RunState, step: Step, target: Target, known: TargetState) -> Decision:
    if not known.settled_in_vain:
        return Attempt(target=target, act=Act.SETTLE, attempt=known.attempts)
    if step.verify is not None and not known.verified_in_vain:
        return Attempt(target=target, act=Act.VERIFY, attempt=known.attempts)
    if step.idempotent and known.attempts < IDEMPOTENT_RUNS + known.allowance:
        return Attempt(target=target, act=Act.RUN, attempt=known.attempts + 1)
    where = f" on {target.host}" if target.host else ""
    return Ask(
        question=PersonAsked(
            question=Question.IN_DOUBT,
            step=step.id,
            host=target.host,
            prompt=f"{name_of(state, step)}: it was sent{where}, and nobody knows whether it was done",
            facts=(known.detail,) if known.detail else (),
            answers=("succeeded", "run_again", "pause", "abort"),
            unattended="pause",
        )
    )


def _override(state: RunState, step: Step) -> PersonAsked:
    fact = step.requires or ""
    tried = [s for s in state.the_plan.steps() if s.proves == fact]
    facts = tuple(
        f"{s.id}{'@' + t.host if t.host else ''}: {state.target(t).outcome or 'not tried'}. {state.target(t).detail}"
        for s in tried
        for t in targets_of(s)
    )
    return PersonAsked(
        question=Question.OVERRIDE,
        step=step.id,
        prompt=f"{name_of(state, step)}: it needs proof of {fact}, and there is none",
        facts=facts,
        answers=("override", "pause", "abort"),
        unattended="pause",
    )


def _approval(state: RunState, step: Step, action: Approval, target: Target) -> Decision:
    if action.only_if_above is not None:
        name, limit = action.only_if_above
        known = state.value(name)
        found = number_of(known) if known is not None else float("inf")  # not measured: a person decides
        if found <= limit:
            return Skip(
                target=target,
                who="drctl",
                why=f"not needed: {name} is {format_duration(found)}, within {format_duration(limit)}",
            )
    if state.mode is Mode.CHECK:
        return Skip(target=target, who="drctl", why="check mode asks nobody", simulated=True)
    if action.minimum:
        return Ask(question=_signatures(state, step, action))
    return Ask(
        question=PersonAsked(
            question=Question.APPROVAL,
            step=step.id,
            prompt=fill(action.prompt, state.values),
            answers=("yes", "no", "pause"),
            unattended="pause",
        )
    )


def _signatures(state: RunState, step: Step, action: Approval) -> PersonAsked:
    """Whoever runs this cannot approve it: they can wait, or break the glass in front of everybody's eyes."""
    given = state.approvers(step.id)
    who = f"; given by {', '.join(given)}" if given else ""
    refused = tuple(f"{a.who or 'a signature'} does not count: {a.refused}" for a in state.approvals if a.refused)
    return PersonAsked(
        question=Question.APPROVAL,
        step=step.id,
        prompt=fill(action.prompt, state.values),
        facts=(
            f"{len(given)} of {action.minimum} approvals of others than you{who}",
            *refused,
            f"to approve, elsewhere: drctl approve {step.id} {state.run_id} --reason … --key …",
        ),
        answers=("no", "pause", "break_glass"),
        unattended="pause",
    )


def name_of(state: RunState, step: Step) -> str:
    """The step's name for people, with captured values filled in."""
    return fill(step.name or step.id, state.values)
