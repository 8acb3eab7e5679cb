"""Rules between the fields of a runbook's steps, and between its steps. They need no inventory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from drctl.model.actions import ACTIONS, TransferText, VerifyText
from drctl.model.runbook import Runbook, UndoText
from drctl.model.words import Section
from drctl.read.diagnostics import Diagnostic, Severity
from drctl.read.document import Document, Places
from drctl.read.link import link
from drctl.read.lint_calls import call_problems
from drctl.read.lint_conditions import condition_problems
from drctl.read.lint_flow import flow_problems, known_by_stage
from drctl.read.lint_inputs import input_problems
from drctl.read.walk import DEFAULT_TIMEOUT_S, REMOTE, Placed, acts_remotely, placed_steps, undo_step

PROBES = ("run", "local", "http", "tcp")
UNDOES = ("run", "argv", "local", "command")

# What each word is about: the actions that it may stand beside.
_SENT = frozenset({"run", "argv", "local"})
_MOVES = frozenset({"put", "get"})
_APPLIES: dict[str, frozenset[str]] = {
    "retry": _SENT | _MOVES | {"http", "tcp"},
    "unless": _SENT | _MOVES | {"http", "manual"},
    "expect": _SENT,
    "capture": _SENT | {"http"},
    "verify": _SENT | _MOVES | {"http", "tcp", "wait"},
    "timeout": _SENT | _MOVES | {"http", "tcp"},
    "idempotent": _SENT | {"http"},
    "sensitive": _SENT,
    "carries": _SENT | _MOVES | {"http"},
    "read_only": _SENT | {"http", "tcp", "manual", "approval", "wait"},
    "rollback": _SENT | _MOVES | {"http"},
}

Rule = Callable[[Placed, Places], Iterator[Diagnostic]]


def lint(document: Document[Runbook], complete: bool = True) -> list[Diagnostic]:
    """All problems that the runbook has by itself; what names refer to is left out when it is not complete.

    The runbooks that it calls are in ``document.called``; what is wrong within them is told where they are read.
    """
    steps = list(placed_steps(document.value))
    places = document.places
    found = [problem for rule in _RULES for placed in steps for problem in rule(placed, places)]
    found += _duplicate_ids(steps, places)
    found += input_problems(document)
    run = link(document)
    found += call_problems(document, run, complete)
    if complete:
        known = known_by_stage(run)
        found += flow_problems(document, run, known)
        found += condition_problems(document, run, known)
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
    if action in (None, "runbook"):
        return  # beside a call nearly nothing has a meaning: that is told with the calls
    for word, actions in _APPLIES.items():
        if word in placed.step.given and action not in actions:
            yield places.problem((*placed.path, word), f"has no meaning beside {action}", key=True, hint="leave it out")


def _hosts(placed: Placed, places: Places) -> Iterator[Diagnostic]:
    step, path = placed.step, placed.path
    if placed.action in (None, "runbook"):
        return
    if placed.remote and step.hosts is None:
        word = next((name for name in REMOTE if getattr(step, name) is not None), "verify.run")
        yield places.problem(
            path,
            f"{word} needs hosts: the role, host, group or site to run on",
            hint=_INSTEAD_OF_HOSTS.get(word, "use local to run it on the operator's machine"),
        )
    if placed.remote:
        return
    for word in ("hosts", "become", "on_unreachable", "max_parallel"):
        if getattr(step, word) is not None:
            yield places.problem((*path, word), "has no meaning here: nothing of this step runs on a host", key=True)


_INSTEAD_OF_HOSTS = {
    "argv": "use local: {argv: [...]} to run it on the operator's machine",
    "put": "name the hosts that the file goes to",
    "get": "name the host that the file comes from",
}


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
    if placed.action in _MOVES:
        yield places.problem((*path, str(placed.action)), f"{said}, and {placed.action} writes a file", key=True)
    for mark in step.marks or {}:
        if mark in ("service_restored", "protected"):
            yield places.problem((*path, "marks"), f"{said}, so nothing can be {mark} by it")


def _promises(placed: Placed, places: Places) -> Iterator[Diagnostic]:
    step, path = placed.step, placed.path
    repeatable = placed.read_only or step.idempotent or placed.action in (*_MOVES, "runbook")
    if step.retry is not None and step.retry.attempts > 1 and not repeatable:
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
    timeout = step.timeout if step.timeout is not None else DEFAULT_TIMEOUT_S
    waits = placed.action in ("approval", "manual", "wait", "runbook")
    if step.expected is not None and step.expected > timeout and not waits:
        default = "" if step.timeout is not None else ", which is 60s when none is given"
        yield places.problem(
            (*path, "expected"), f"is longer than the timeout{default}: the step would be ended before", key=True
        )
    if step.retry is not None and step.retry.within is not None and step.runbook is None:
        yield places.problem((*path, "retry", "within"), "has a meaning beside runbook only", key=True)
    if step.retry is not None and step.retry.max_delay < step.retry.delay:
        yield places.problem((*path, "retry"), "max_delay is shorter than delay", key=True)


def _files(placed: Placed, places: Places) -> Iterator[Diagnostic]:
    for word in sorted(_MOVES):
        transfer: TransferText | None = getattr(placed.step, word)
        for end in ("source", "destination") if transfer is not None else ():
            written = getattr(transfer, end)
            path = (*placed.path, word, end)
            if written.startswith("~"):
                yield places.problem(path, "begins with ~, which only a shell understands: write the whole path")
            elif written.rpartition("/")[2] in ("", ".", ".."):
                yield places.problem(path, "does not name a file")


def _rollback(placed: Placed, places: Places) -> Iterator[Diagnostic]:
    step, path = placed.step, (*placed.path, "rollback")
    if step.rollback is None:
        return
    if placed.section is not Section.STEPS:
        why = "changes nothing" if placed.section is Section.PRECONDITIONS else "is never undone"
        yield places.problem(path, f"what stands in {placed.section.value} {why}", key=True)
    elif step.read_only:
        yield places.problem(path, "there is nothing to undo: the step only reads", key=True)
    if not isinstance(step.rollback, UndoText):
        return
    ways = [name for name in UNDOES if getattr(step.rollback, name) is not None]
    if not ways:
        yield places.problem(path, f"undoes nothing: give it exactly one of {', '.join(UNDOES)}", key=True)
    for extra in ways[1:]:
        yield places.problem((*path, extra), f"a second way: {ways[0]} is there already", key=True)
    if step.rollback.arguments and step.rollback.command is None:
        yield places.problem((*path, "arguments"), "belongs to command, and there is none", key=True)
    undo = undo_step(step)
    if undo is None or len(ways) != 1:
        return
    if acts_remotely(undo) and undo.hosts is None:
        yield places.problem(path, f"{ways[0]} needs hosts, and the step has none", key=True)
    for word in ("hosts", "become") if not acts_remotely(undo) else ():
        if getattr(step.rollback, word) is not None:
            yield places.problem((*path, word), "has no meaning here: nothing of this runs on a host", key=True)


_RULES: tuple[Rule, ...] = (
    _one_action,
    _one_probe,
    _applies,
    _hosts,
    _preconditions,
    _promises,
    _files,
    _rollback,
)
