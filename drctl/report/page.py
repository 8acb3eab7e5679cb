"""A runbook for one service as a page that a person follows by hand, when drctl itself is not there (Markdown).

It is made from the plan, so its commands are those that a run sends. All that comes from documents is text here and
nothing else: it cannot get out of its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from drctl.model.plan import (
    Approval,
    Endpoint,
    Http,
    Manual,
    OnUnreachable,
    Plan,
    Shell,
    Step,
    Tcp,
    Transfer,
    Variable,
    Verify,
    Wait,
)
from drctl.model.units import format_duration
from drctl.model.words import Mark, OnFailure, Section
from drctl.plan.attempts import first_attempts, further_attempts
from drctl.plan.bounds import PEOPLE, bounds
from drctl.plan.codec import plan_digest
from drctl.read.template import fill
from drctl.report import by_hand, words
from drctl.report.harmless import code, markdown, visible

_BLANK = "." * 14
_TITLES = {
    Section.PRECONDITIONS: ("Before anything is changed", "If one of these does not hold, stop: it is a no-go."),
    Section.STEPS: ("Steps", "In this order, one after the other."),
    Section.FALLBACK: ("Fallback", "Only when a step above failed and says so. The same clock goes on."),
    Section.ROLLBACK: ("Rollback", "Only to undo. In this order; leave out what was never begun."),
    Section.ALWAYS: ("At the end, whatever happened", "Also after a failure, an abort or a rollback."),
}
_ON_FAILURE = {
    OnFailure.DEFAULT: "whoever leads the recovery decides: again, without it, or stop",
    OnFailure.ABORT: "stop, and go to the section “At the end”",
    OnFailure.CONTINUE: "note it, and go on",
    OnFailure.PAUSE: "stop here until whoever leads the recovery has decided",
    OnFailure.ROLLBACK: "go to the section “Rollback”",
    OnFailure.FALLBACK: "go to the section “Fallback”",
    OnFailure.NEXT: "leave out the rest of this attempt, and go on after it",
}


def render(plan: Plan) -> str:
    """The whole page; equal plans make equal pages."""
    return "\n".join(_lines(plan)).rstrip() + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """The plan, each step's number, and each captured name with the steps that it comes from."""

    plan: Plan
    numbers: Mapping[str, int]
    captured: Mapping[str, str]


def _lines(whole: Plan) -> Iterator[str]:
    plan, further = first_attempts(whole), further_attempts(whole)
    captured: dict[str, list[str]] = {}
    for step in plan.steps():
        for capture in step.captures:
            captured.setdefault(capture.name, []).append(step.id)
    known = _Known(
        plan=plan,
        numbers={step.id: number for number, step in enumerate(whole.steps(), start=1)},
        captured={name: " or ".join(steps) for name, steps in captured.items()},
    )
    yield from _head(whole, plan.inputs)
    yield from _clock(plan)
    yield from _values(plan)
    for section in Section:
        stages = [stage for stage in plan.stages if stage.section is section]
        if not stages:
            continue
        title, meaning = _TITLES[section]
        yield from (f"## {title}", "", meaning, "")
        for stage in stages:
            if len(stage.steps) > 1:
                beside = ", ".join(f"{known.numbers[step.id]} ({markdown(step.id)})" for step in stage.steps)
                yield from (f"**Side by side, or in any order:** {beside}", "")
            for step in stage.steps:
                yield from _step(step, section, known)
                if step.id in further:
                    yield from (f"*{markdown(further[step.id])}*", "")


def _head(plan: Plan, inputs: Sequence[Variable]) -> Iterator[str]:
    found = bounds(plan)
    yield from (f"# {markdown(plan.title)}", "")
    sla = "under the SLA" if plan.sla else "outside the SLA"
    yield f"- service {code(plan.service)}: {markdown(plan.service_title)}, {sla}"
    yield f"- objectives: RTO {words.amount(plan.objectives.rto_s)}, RPO {words.amount(plan.objectives.rpo_s)}"
    span = found.until_restored
    usual, worst = format_duration(span.usual_s), format_duration(span.worst_s)
    yield f"- until the service is restored: usually {usual}, at the most {worst}, without the time of people"
    yield f"- timezone of the service: {markdown(plan.timezone)}; write down UTC"
    sources = [("runbook", plan.runbook_source), *(("calls", source) for source in plan.called_sources)]
    for name, source in (*sources, ("inventory", plan.inventory_source)):
        yield f"- {name} {code(source.path)}, sha256 {code(source.sha256[:16])}"
    yield f"- plan {code(plan_digest(plan)[:16])}, drctl {code(plan.drctl_version)}"
    yield from (f"- input {code(variable.name)}: {markdown(variable.text or '')}" for variable in inputs)
    yield ""
    yield "**Follow this page by hand only when drctl cannot run.** While a run of drctl goes on, nobody else types."
    yield from ("", f"Incident {_BLANK}   Date {_BLANK}   Led by {_BLANK}   Typed by {_BLANK}", "")


def _clock(plan: Plan) -> Iterator[str]:
    marked: dict[Mark, list[str]] = {}
    for step in plan.steps():
        if step.mark is not None:
            marked.setdefault(step.mark, []).append(step.id)
    yield from ("## The clock", "", "The RTO runs from the start of the outage until the service is restored.", "")
    yield from _table(
        ("point", "from", "time (UTC)", "initials"),
        (
            (words.MARKS[mark], markdown(" or ".join(marked.get(mark, ["whoever notices"]))), "", "")
            for mark in Mark
            if mark in marked or mark in (Mark.OUTAGE_STARTED, Mark.DETECTED, Mark.DECLARED)
        ),
    )


def _values(plan: Plan) -> Iterator[str]:
    rows = [(c.name, c.type.value, step) for step in plan.steps() for c in step.captures]
    if not rows:
        return
    yield from ("## Values to write down", "", "A later command shows such a value as its name in angle brackets.", "")
    yield from _table(
        ("value", "type", "from step", "for", "what it was"),
        ((code(name), kind, markdown(step.id), markdown(_purpose(name, plan)), "") for name, kind, step in rows),
    )


def _purpose(name: str, plan: Plan) -> str:
    """What the report needs a captured value for; empty when only later commands do."""
    said = ["recovery point (RPO)" for step in plan.steps() if step.recovery_point == name]
    said += ["last write (RPO)" for step in plan.steps() if step.last_write == name]
    said += [words.MARKS[step.mark] for step in plan.steps() if step.mark is not None and step.mark_value == name]
    return ", ".join(dict.fromkeys(said))


def _step(step: Step, section: Section, known: _Known) -> Iterator[str]:
    blanks = {name: by_hand.blank(name) for name in known.captured}
    kind = _kind(step)
    yield from (f"### {known.numbers[step.id]}. {markdown(step.id)}", "")
    yield from (f"- [ ] **{markdown(fill(step.name, blanks))}** ({kind})", "")
    yield from (f"- {line}" for line in _conditions(step, known))
    for endpoint in step.endpoints:
        yield f"- on {_host(endpoint, step)}"
    if not isinstance(step.action, PEOPLE):
        yield f"- {by_hand.limits(step)}"
    yield ""
    if step.unless is not None:
        yield from ("When this succeeds, it is done already; go on with the next step:", "")
        yield from _shells(step, step.unless, known)
    yield from _action(step, known, blanks)
    yield from _seen(step)
    if step.verify is not None:
        yield from _verify(step, step.verify, known)
    for capture in step.captures:
        yield f"- write down {code(capture.name)} ({capture.type.value}): {_BLANK}"
    if step.mark is not None:
        when = f"the value of {code(step.mark_value)}" if step.mark_value else "the time when this step is over"
        yield f"- write into the clock, as **{words.MARKS[step.mark]}**: {when}"
    yield f"- if it fails: {_failing(step, section, known)}"
    if step.failure_hint:
        yield f"- hint: {markdown(fill(step.failure_hint, blanks))}"
    yield from ("", f"begun {_BLANK}   ended {_BLANK}   initials {_BLANK}", "")


def _kind(step: Step) -> str:
    if isinstance(step.action, PEOPLE):
        return "a person decides" if isinstance(step.action, Approval) else "by hand"
    return "reads only" if step.read_only else "changes something"


def _conditions(step: Step, known: _Known) -> Iterator[str]:
    if step.undoes is not None:
        yield f"undoes step {known.numbers[step.undoes]} ({markdown(step.undoes)}); leave it out when that never began"
    given = {variable.name: variable.text for variable in known.plan.inputs}
    for name, text in step.when:
        now = "" if name in known.captured else f" (it is {code(given.get(name) or '')})"
        yield f"only when {code(name)} is {code(text)}{now}"
    if step.modes:
        yield f"only in {' or '.join(step.modes)} mode"
    if step.requires is not None:
        yield f"only when **{markdown(step.requires)}** is proved: {_proved_by(step.requires, known)}"
    if step.unless_proved is not None:
        yield f"leave it out once **{markdown(step.unless_proved)}** is proved: {_proved_by(step.unless_proved, known)}"
    if step.proves is not None:
        yield f"once it succeeded, **{markdown(step.proves)}** is proved"
    if step.max_parallel is not None:
        yield f"at most {step.max_parallel} of its hosts at once"


def _proved_by(fact: str, known: _Known) -> str:
    steps = [f"step {known.numbers[s.id]} ({markdown(s.id)})" for s in known.plan.steps() if s.proves == fact]
    return " or ".join(steps) or "nothing here proves it"


def _host(endpoint: Endpoint, step: Step) -> str:
    user = f"{endpoint.user}@" if endpoint.user else ""
    become = f", as {code(step.become)} through sudo" if step.become else ""
    where = f"{markdown(endpoint.site)}, {markdown(endpoint.country)}"
    port = f" port {endpoint.port}" if endpoint.port else ""
    return f"{code(endpoint.host)}: {code(f'{user}{endpoint.address}')}{port} ({where}){become}"


def _action(step: Step, known: _Known, blanks: Mapping[str, str]) -> Iterator[str]:
    match step.action:
        case Shell() as shell:
            yield from _shells(step, shell, known)
        case Transfer() as transfer:
            for endpoint in step.endpoints:
                yield from _block(by_hand.transfer_block(step, transfer, endpoint, known.captured))
        case Http() | Tcp() as request:
            yield from _block(by_hand.request_block(request, step.timeout_s, known.captured))
        case Wait(seconds=seconds):
            yield from (f"Wait {format_duration(seconds)}.", "")
        case Manual(prompt=prompt):
            yield from (markdown(fill(prompt, blanks)), "")
        case Approval() as approval:
            yield from (markdown(fill(approval.prompt, blanks)), "")
            if approval.only_if_above is not None:
                name, limit = approval.only_if_above
                yield from (f"Needed only when {code(name)} is above {limit:g}.", "")
            yield from (f"yes / no {_BLANK}   by {_BLANK}   because {_BLANK}", "")


def _shells(step: Step, shell: Shell, known: _Known) -> Iterator[str]:
    """The block of each host; on this machine there is one."""
    for endpoint in step.endpoints if not shell.local else ():
        yield from _block(by_hand.shell_block(step, shell, endpoint, known.captured))
    if shell.local:
        yield from ("On this machine:", "")
        yield from _block(by_hand.shell_block(step, shell, None, known.captured))


def _seen(step: Step) -> Iterator[str]:
    match step.action:
        case Http() | Tcp() as request:
            yield f"- must be seen: {markdown(by_hand.request_answer(request))}"
        case Transfer(sha256=sha256):
            which = f"both sums are {code(sha256)}" if sha256 is not None else "both sums are equal"
            yield f"- must be seen: {which}"
        case Shell() if step.expect is not None:
            yield f"- must be seen: exactly {code(step.expect) if step.expect else 'nothing'}, and exit code 0"
        case Shell():
            yield f"- must be seen: exit code 0 ({code('echo $?')})"
        case _:
            return


def _verify(step: Step, verify: Verify, known: _Known) -> Iterator[str]:
    limit = f"within {format_duration(verify.within_s)}, looking every {format_duration(verify.every_s)}"
    yield from (f"- then verify, {limit}:", "")
    match verify.action:
        case Shell() as shell:
            yield from _shells(step, shell, known)
            printed = (
                "" if verify.expect is None else f"exactly {code(verify.expect) if verify.expect else 'nothing'}, "
            )
            yield f"- must be seen: {printed}exit code 0"
        case Http() | Tcp() as request:
            yield from _block(by_hand.request_block(request, verify.within_s, known.captured))
            yield f"- must be seen: {markdown(by_hand.request_answer(request))}"


def _failing(step: Step, section: Section, known: _Known) -> str:
    undo = known.numbers.get(f"{step.id}.rollback")
    if section is Section.PRECONDITIONS and step.on_failure not in (OnFailure.CONTINUE, OnFailure.FALLBACK):
        said = "no-go: stop, nothing was changed"
    elif section in (Section.ALWAYS, Section.ROLLBACK):
        said = "note it, and go on with the next one"
    else:
        said = _ON_FAILURE[step.on_failure]
    if step.on_unreachable is OnUnreachable.CONTINUE:
        said += "; a host that cannot be reached is noted and left out"
    return said + (f"; its undo is step {undo}" if undo is not None else "")


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _block(text: str) -> Iterator[str]:
    """Commands to type, in a fence that they cannot close. Tabs stay: a here-document may depend on them."""
    body = "\t".join(visible(part) for part in text.split("\t"))
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from (f"{fence}sh", body, fence, "")
