"""A plan as a person reads it before they approve it: every host, every script as it is sent, every limit.

Lines are never wrapped: what is copied out of a pipe or a terminal is what will run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TextIO

from drctl.engine.deadline import unattended
from drctl.model.events import ForecastMade, JsonObject
from drctl.model.plan import (
    Approval,
    Endpoint,
    Http,
    Manual,
    Mode,
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
from drctl.model.promises import DeadlineRule
from drctl.model.units import format_duration
from drctl.model.words import OnFailure, Section
from drctl.plan.attempts import first_attempts, further_attempts
from drctl.plan.bounds import PEOPLE, Bounds, bounds, worst_s
from drctl.plan.codec import plan_digest, to_json
from drctl.plan.timing import Span
from drctl.read.template import fill
from drctl.report.harmless import one_line, visible
from drctl.screens.base import write

Line = tuple[str, str]  # text, style
_PLAIN, _HEAD, _STEP, _DIM, _SECRET = "", "bold", "bold cyan", "dim", "yellow"
_LABEL = 11


def as_json_object(plan: Plan, expected: ForecastMade | None = None) -> JsonObject:
    """The plan with its digest, its bounds and what is to be expected, for programs."""
    found = bounds(plan)
    return {
        "type": "plan",
        "digest": plan_digest(plan),
        "bounds": {
            "sections": {section.value: to_json(span) for section, span in found.sections},
            "total": to_json(found.total),
            "until_restored": to_json(found.until_restored),
            "by_fallback": to_json(found.by_fallback) if found.by_fallback is not None else None,
            "undeclared": list(found.undeclared),
            "people": list(found.people),
        },
        **({"forecast": to_json(expected)} if expected is not None else {}),
        "plan": to_json(plan),
    }


def plain_text(plan: Plan, expected: ForecastMade | None = None, *, exposure: str = "") -> str:
    """The plan without colours. ``exposure`` is the line about what a restore would lose."""
    return "".join(f"{text}\n" for text, _ in _lines(plan, expected, exposure))


def print_plan(
    plan: Plan,
    stream: TextIO,
    *,
    environ: Mapping[str, str],
    expected: ForecastMade | None = None,
    exposure: str = "",
) -> None:
    """Write the plan; in colours when the stream is a terminal that shows them."""
    from drctl.screens.problems import colours

    if not colours(stream, environ):
        write(stream, plain_text(plan, expected, exposure=exposure))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    for text, style in _lines(plan, expected, exposure):
        console.print(Text(text, style=style), soft_wrap=True)


def _lines(plan: Plan, expected: ForecastMade | None, exposure: str) -> Iterator[Line]:
    found = bounds(plan)
    spans = dict(found.sections)
    numbers = {step.id: number for number, step in enumerate(plan.steps(), start=1)}
    shown, further = first_attempts(plan), further_attempts(plan)
    yield from _header(plan, shown, exposure)
    for section in Section:
        if section not in spans:
            continue
        yield "", _PLAIN
        yield f"{_TITLES.get(section, section.value.upper())}  ({_span(spans[section])})", _HEAD
        for stage in shown.stages:
            if stage.section is not section:
                continue
            if len(stage.steps) > 1:
                yield "", _PLAIN
                yield f"  side by side: {', '.join(step.id for step in stage.steps)}", _DIM
            for step in stage.steps:
                yield "", _PLAIN
                yield from _step(numbers[step.id], step, section)
                if step.id in further:
                    yield "", _PLAIN
                    yield f"  {further[step.id]}", _DIM
    yield "", _PLAIN
    yield from _totals(plan, shown, found)
    if expected is not None:
        yield from _expected(plan, expected)


def _expected(plan: Plan, expected: ForecastMade) -> Iterator[Line]:
    """How long it will take as far as is known, and with a fallback how long it may be tried."""
    ways = [("the service is restored", expected.restored)]
    ways += [("the fallback has restored it", expected.fallback)] if expected.fallback is not None else []
    for what, found in ways:
        span = f"{format_duration(found.usual_s)}, in nine of ten cases {format_duration(found.careful_s)}"
        yield f"expected until {what}: {span} ({one_line(found.basis)})", _PLAIN
    rule, rto_s = plan.deadline or DeadlineRule(), plan.objectives.rto_s
    if expected.fallback is not None and rto_s is not None:
        after = format_duration(rto_s - expected.fallback.careful_s - rule.margin_s)
        margin = f", {format_duration(rule.margin_s)} kept free" if rule.margin_s else ""
        yield f"last moment to leave for the fallback: {after} after the outage began{margin}", _PLAIN
        yield f"at that moment a person decides, and without one: {unattended(rule)}", _PLAIN


_TITLES = {
    Section.PRECONDITIONS: "PRECONDITIONS: all must hold, and nothing is changed",
    Section.STEPS: "STEPS",
    Section.FALLBACK: "FALLBACK: only when a step fails and its failure says so, or a person does",
    Section.ROLLBACK: "ROLLBACK: only to undo what was begun, the last step first",
    Section.ALWAYS: "ALWAYS: whatever happened before",
}


def _header(plan: Plan, shown: Plan, exposure: str) -> Iterator[Line]:
    yield one_line(plan.title), _HEAD
    sla = "under the SLA" if plan.sla else "outside the SLA"
    yield _fact("service", f"{plan.service} ({one_line(plan.service_title)}), {sla}"), _PLAIN
    level = "plan: nothing was connected to" if plan.mode is Mode.PLAN else plan.mode.value
    yield _fact("mode", level), _PLAIN
    yield _fact("objectives", _objectives(plan)), _PLAIN
    if exposure and plan.objectives.rpo_s is not None:
        yield _fact("", one_line(exposure)), _PLAIN
    sources = [("runbook", plan.runbook_source), *(("calls", source) for source in plan.called_sources)]
    for name, source in (*sources, ("inventory", plan.inventory_source)):
        yield _fact(name, f"{one_line(source.path)}  sha256 {source.sha256[:16]}"), _PLAIN
    for variable in shown.inputs:
        yield _fact("input", _variable(variable)), _PLAIN
    people = bounds(shown).people
    if people:
        yield _fact("people", f"may be asked by {', '.join(people)}"), _PLAIN
    yield _fact("digest", plan_digest(plan)), _PLAIN


def _objectives(plan: Plan) -> str:
    promised = (("RTO", plan.objectives.rto_s), ("RPO", plan.objectives.rpo_s))
    return ", ".join(f"{name} {format_duration(s) if s is not None else 'not promised'}" for name, s in promised)


def _step(number: int, step: Step, section: Section) -> Iterator[Line]:
    yield f"{number:3}  {step.id}  ({_kind(step)})", _STEP
    yield f"     {one_line(fill(step.name, {}))}", _PLAIN
    if step.undoes is not None:
        yield _row("undoes", f"{step.undoes}, when that was begun"), _PLAIN
    if step.when:
        yield _row("only when", ", ".join(f"{name} is {one_line(text)}" for name, text in step.when)), _PLAIN
    if step.modes:
        yield _row("only in", f"{', '.join(step.modes)} mode"), _PLAIN
    for endpoint in step.endpoints:
        yield _row("on", _endpoint(endpoint, step)), _PLAIN
        for variable in endpoint.variables:
            yield _row("", f"{_variable(variable)} on {endpoint.host}"), _SECRET if variable.secret else _PLAIN
    if step.max_parallel is not None:
        yield _row("", f"at most {step.max_parallel} of them at once"), _PLAIN
    for n, variable in enumerate(step.variables):
        yield _row("" if n else "with", _variable(variable)), _SECRET if variable.secret else _PLAIN
    if step.unless is not None:
        yield from _shell("unless", step.unless)
    yield from _action(step)
    if step.expect is not None:
        yield _row("expect", f"it prints {step.expect!r}"), _PLAIN
    if step.verify is not None:
        yield from _verify(step.verify)
    yield from _promises(step)
    yield _row("", _failing(step, section)), _PLAIN
    if step.failure_hint:
        yield _row("", f"then: {one_line(step.failure_hint)}"), _PLAIN
    yield _row("at", f"{one_line(step.where)}  {step.digest[:12]}"), _DIM


def _action(step: Step) -> Iterator[Line]:
    match step.action:
        case Shell() as shell:
            yield from _shell("run", shell)
        case Http() | Tcp() as request:
            yield _row("ask", _request(request)), _PLAIN
        case Wait(seconds=seconds):
            yield _row("wait", format_duration(seconds)), _PLAIN
        case Approval() as approval:
            yield _row("ask", one_line(fill(approval.prompt, {}))), _PLAIN
            if approval.only_if_above is not None:
                name, limit = approval.only_if_above
                yield _row("only if", f"{name} is above {limit:g}"), _PLAIN
        case Manual() as manual:
            yield _row("by hand", one_line(fill(manual.prompt, {}))), _PLAIN
        case Transfer() as transfer:
            yield from _transfer(transfer)


def _transfer(transfer: Transfer) -> Iterator[Line]:
    here, there = one_line(fill(transfer.local, {})), one_line(fill(transfer.remote, {}))
    ends = f"{here} here → {there} there" if transfer.direction == "put" else f"{there} there → {here} here"
    yield _row(transfer.direction, ends), _PLAIN
    if transfer.sha256 is not None:
        yield _row("", f"sha256 {transfer.sha256}"), _PLAIN


def _shell(label: str, shell: Shell) -> Iterator[Line]:
    if shell.words:
        place = " on this machine" if shell.local else ""
        what = f"the service's command {shell.command}" if shell.command is not None else "a program without a shell"
        yield _row(label, f"{what}{place}, each word as it stands:"), _PLAIN
        yield from ((f"{'':{_LABEL + 5}}| {visible(fill(word, {}))}", _PLAIN) for word in shell.words)
        return
    lines = visible(shell.script).rstrip("\n").split("\n")
    if shell.local:
        yield _row(label, "on this machine:"), _PLAIN
        label = ""
    yield _row(label, f"| {lines[0]}"), _PLAIN
    yield from ((f"{'':{_LABEL + 5}}| {line}", _PLAIN) for line in lines[1:])


def _verify(verify: Verify) -> Iterator[Line]:
    match verify.action:
        case Shell() as shell:
            yield from _shell("verify", shell)
        case Http() | Tcp() as request:
            yield _row("verify", _request(request)), _PLAIN
    expected = f"it prints {verify.expect!r}, " if verify.expect is not None else ""
    limits = f"within {format_duration(verify.within_s)}, every {format_duration(verify.every_s)}"
    yield _row("", expected + limits), _PLAIN


def _request(request: Http | Tcp) -> str:
    if isinstance(request, Tcp):
        return f"tcp {one_line(fill(request.address, {}))} port {request.port} is {request.expect}"
    members = "".join(f", {name} = {one_line(value)}" for name, value in request.expect_json)
    return f"{request.method} {one_line(fill(request.url, {}))} answers {request.expect_status}{members}"


def _promises(step: Step) -> Iterator[Line]:
    if not isinstance(step.action, PEOPLE):
        usual = format_duration(step.expected_s) if step.expected_s is not None else "not said"
        limits = (
            f"timeout {format_duration(step.timeout_s)}, usual {usual}, at the most {format_duration(worst_s(step))}"
        )
        if step.retry.attempts > 1:
            limits += f", {step.retry.attempts} attempts"
        yield _row("limits", limits), _PLAIN
    said = [
        f"captures {', '.join(f'{c.name} ({c.type.value})' for c in step.captures)}" if step.captures else "",
        f"marks {step.mark.value}" + (f" at {step.mark_value}" if step.mark_value else "") if step.mark else "",
        f"recovery point {step.recovery_point}" if step.recovery_point else "",
        f"last write {step.last_write}" if step.last_write else "",
        f"proves {step.proves}" if step.proves else "",
        f"needs {step.requires}" if step.requires else "",
        f"needless once {step.unless_proved}" if step.unless_proved else "",
        "carries the service's data" if step.carries is not None else "",
        "may be done twice" if step.idempotent else "",
        "output is sensitive" if step.sensitive else "",
    ]
    if any(said):
        yield _row("notes", "; ".join(part for part in said if part)), _PLAIN


def _kind(step: Step) -> str:
    if isinstance(step.action, PEOPLE):
        return "asks a person" if isinstance(step.action, Approval) else "done by a person"
    return "reads only" if step.read_only else "changes something"


def _failing(step: Step, section: Section) -> str:
    """What becomes of the run when the step fails: a precondition that does not hold is a no-go."""
    if section is Section.PRECONDITIONS and step.on_failure not in (OnFailure.CONTINUE, OnFailure.FALLBACK):
        said = "on failure: no-go, and nothing was changed"
    elif section is Section.ALWAYS:
        said = "on failure: the other steps of always go on"
    elif section is Section.ROLLBACK:
        said = "on failure: the other undos go on"
    else:
        said = f"on failure: {_ON_FAILURE[step.on_failure]}"
    return said + ("; out of reach: the run goes on" if step.on_unreachable is OnUnreachable.CONTINUE else "")


_ON_FAILURE = {
    OnFailure.DEFAULT: "a person decides, and without one the run aborts",
    OnFailure.ABORT: "the run aborts",
    OnFailure.CONTINUE: "the run goes on",
    OnFailure.PAUSE: "a person decides, and without one the run pauses",
    OnFailure.ROLLBACK: "a person decides, and without one what was begun is undone",
    OnFailure.FALLBACK: "a person decides, and without one the fallback takes over",
    OnFailure.NEXT: "the rest of this attempt is left out, and the run goes on",
}


def _totals(plan: Plan, shown: Plan, found: Bounds) -> Iterator[Line]:
    yield f"{len(plan.steps())} steps  ({_span(found.total)})", _HEAD
    if plan.objectives.rto_s is not None:
        span = _span(found.until_restored)
        yield f"until the service is restored: {span}; RTO {format_duration(plan.objectives.rto_s)}", _PLAIN
        if found.by_fallback is not None:
            yield f"until the fallback has restored it: {_span(found.by_fallback)}", _PLAIN
    named = bounds(shown)
    if named.undeclared:
        yield f"usual time not said by: {', '.join(named.undeclared)}", _DIM
    if named.people:
        yield f"without the time in which a person decides: {', '.join(named.people)}", _DIM


def _endpoint(endpoint: Endpoint, step: Step) -> str:
    user = f"{endpoint.user}@" if endpoint.user else ""
    become = f", as {step.become} through sudo" if step.become else ""
    country = f"{endpoint.site}, {endpoint.country}"
    port = f" port {endpoint.port}" if endpoint.port else ""
    return f"{endpoint.host}  {user}{endpoint.address}{port} ({country}){become}"


def _variable(variable: Variable) -> str:
    if variable.secret is not None:
        return f"{variable.name} is a secret, from {variable.secret}"
    return f"{variable.name}={visible(variable.text or '')}"


def _span(span: Span) -> str:
    return f"usually {format_duration(span.usual_s)}, at the most {format_duration(span.worst_s)}"


def _fact(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}} {text}"


def _row(label: str, text: str) -> str:
    return f"     {label:<{_LABEL - 1}} {text}"
