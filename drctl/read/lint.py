"""Rules between the fields of a runbook's steps, and between its steps. They need no inventory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from drctl.model.plan import Section
from drctl.model.runbook import ACTIONS, Runbook, VerifyText
from drctl.read.diagnostics import Diagnostic, Severity
from drctl.read.document import Document, Places
from drctl.read.lint_flow import flow_problems
from drctl.read.lint_inputs import input_problems
from drctl.read.walk import Placed, placed_steps

PROBES = ("run", "local", "http", "tcp")

# What each word is about: the actions that it may stand beside.
_APPLIES: dict[str, frozenset[str]] = {
    "retry": frozenset({"run", "local", "http", "tcp"}),
    "unless": frozenset({"run", "local", "http"}),
    "expect": frozenset({"run", "local"}),
    "capture": frozenset({"run", "local", "http"}),
    "verify": frozenset({"run", "local", "http", "tcp", "wait"}),
    "timeout": frozenset({"run", "local", "http", "tcp"}),
    "idempotent": frozenset({"run", "local", "http"}),
    "sensitive": frozenset({"run", "local"}),
}

Rule = Callable[[Placed, Places], Iterator[Diagnostic]]


def lint(document: Document[Runbook], complete: bool = True) -> list[Diagnostic]:
    """All problems that the runbook has by itself; what names refer to is left out when it is not complete."""
    steps = list(placed_steps(document.value))
    places = document.places
    found = [problem for rule in _RULES for placed in steps for problem in rule(placed, places)]
    found += _duplicate_ids(steps, places)
    found += input_problems(document)
    if complete:
        found += flow_problems(document, steps)
    return found


def _duplicate_ids(steps: list[Placed], places: Places) -> Iterator[Diagnostic]:
    first: dict[str, int] = {}
    for placed in steps:
        path = (*placed.path, "id")
        if placed.step.id in first:
            yield places.problem(path, f'the id "{placed.step.id}" is already taken in line {first[placed.step.id]}')
        else:
            first[placed.step.id] = places.of(path).line


def _one_action(placed: Placed, places: Places) -> Iterator[Diagnostic]:
    actions = [name for name in ACTIONS if getattr(placed.step, name) is not None]
    if not actions:
        yield places.problem(placed.path, f"has no action: give it exactly one of {', '.join(ACTIONS)} or parallel")
    for extra in actions[1:]:
        yield places.problem(
            (*placed.path, extra), f"a second action: {actions[0]} is there already", key=True, hint="make two steps"
        )


def _one_probe(placed: Placed, places: Places) -> Iterator[Diagnostic]:
    verify: VerifyText | None = placed.step.verify
    if verify is None:
        return
    path = (*placed.path, "verify")
    probes = [name for name in PROBES if getattr(verify, name) is not None]
    if not probes:
        yield places.problem(path, f"verifies nothing: give it exactly one of {', '.join(PROBES)}", key=True)
    for extra in probes[1:]:
        yield places.problem((*path, extra), f"a second probe: {probes[0]} is there already", key=True)
    if verify.expect is not None and probes and probes[0] not in ("run", "local"):
        yield places.problem(
            (*path, "expect"),
            f"only the output of run and local is compared; {probes[0]} has its own expect",
            key=True,
        )
    if verify.http is not None and verify.http.method not in ("GET", "HEAD"):
        yield places.problem((*path, "http", "method"), f"verify only reads, and {verify.http.method} may change")


def _applies(placed: Placed, places: Places) -> Iterator[Diagnostic]:
    action = placed.action
    if action is None:
        return
    for word, actions in _APPLIES.items():
        if word in placed.step.model_fields_set and action not in actions:
            yield places.problem((*placed.path, word), f"has no meaning beside {action}", key=True, hint="leave it out")


def _hosts(placed: Placed, places: Places) -> Iterator[Diagnostic]:
    step, path = placed.step, placed.path
    if placed.action is None:
        return
    if placed.remote and step.hosts is None:
        word = "run" if step.run is not None else "verify.run"
        yield places.problem(
            path,
            f"{word} needs hosts: the role, host, group or site to run on",
            hint="use local to run it on the operator's machine",
        )
    if placed.remote:
        return
    for word in ("hosts", "become", "on_unreachable"):
        if getattr(step, word) is not None:
            yield places.problem((*path, word), "has no meaning here: nothing of this step runs on a host", key=True)


def _preconditions(placed: Placed, places: Places) -> Iterator[Diagnostic]:
    if placed.section is not Section.PRECONDITIONS:
        return
    step, path = placed.step, placed.path
    said = "a precondition changes nothing"
    if step.read_only is False:
        yield places.problem((*path, "read_only"), f"{said}, and this one says that it does", key=True)
    if step.idempotent:
        yield places.problem((*path, "idempotent"), f"{said}, so it promises nothing about doing it twice", key=True)
    if step.http is not None and step.http.method not in ("GET", "HEAD"):
        yield places.problem((*path, "http", "method"), f"{said}, and {step.http.method} may")
    for mark in step.marks or {}:
        if mark in ("service_restored", "protected"):
            yield places.problem((*path, "marks"), f"{said}, so nothing can be {mark} by it")


def _promises(placed: Placed, places: Places) -> Iterator[Diagnostic]:
    step, path = placed.step, placed.path
    if step.retry is not None and step.retry.attempts > 1 and not placed.read_only and not step.idempotent:
        yield places.problem(
            (*path, "retry"),
            "is tried again although it is neither read_only nor idempotent: a failed try may have done half of it",
            key=True,
            severity=Severity.WARNING,
            hint="say idempotent: true when doing it twice does no harm, else leave retry out",
        )
    if step.sensitive and step.capture:
        yield places.problem(
            (*path, "capture"), "would write the output of a sensitive step into the journal", key=True
        )
    timeout = step.timeout if step.timeout is not None else 60.0
    if step.expected is not None and step.expected > timeout and placed.action not in ("approval", "wait"):
        default = "" if step.timeout is not None else ", which is 60s when none is given"
        yield places.problem(
            (*path, "expected"), f"is longer than the timeout{default}: the step would be ended before", key=True
        )
    if step.retry is not None and step.retry.max_delay < step.retry.delay:
        yield places.problem((*path, "retry"), "max_delay is shorter than delay", key=True)


_RULES: tuple[Rule, ...] = (_one_action, _one_probe, _applies, _hosts, _preconditions, _promises)
