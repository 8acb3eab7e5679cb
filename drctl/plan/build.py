"""A runbook + an inventory → a plan for one service."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path as FilePath

from drctl.errors import UsageError
from drctl.model.inventory import Inventory
from drctl.model.messages import Notifier
from drctl.model.plan import Mode, Objectives, Plan, Source, Stage, Step, Variable
from drctl.model.promises import DeadlineAction, DeadlineRule
from drctl.model.runbook import Runbook
from drctl.model.words import Section
from drctl.plan.frames import FrameScopes
from drctl.plan.hosts import HostWords
from drctl.plan.inputs import resolve_inputs, some_value
from drctl.plan.notifiers import notifiers_of
from drctl.plan.preparation import without_a_clock_in_the_preparation
from drctl.plan.residency import carries_data, residency_of
from drctl.plan.scope import Scope, built_in, of_this_program, roles_given, variables
from drctl.plan.steps import StepMaker
from drctl.read.diagnostics import Diagnostic, errors, in_order, quoted, raise_on_problems
from drctl.read.document import Document
from drctl.read.link import Frame, Linked, fallbacks, link
from drctl.read.lint_flow import known_by_stage
from drctl.read.suggest import did_you_mean, listed
from drctl.read.template import fill, mentions
from drctl.read.text import read_text

RunbookDocument = Document[Runbook]
InventoryDocument = Document[Inventory]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """The drctl that makes a plan."""

    version: str = ""
    program: str = "drctl"


def build_plan(
    runbook: RunbookDocument,
    inventory: InventoryDocument,
    *,
    service: str,
    inputs: Mapping[str, str] | None = None,
    mode: Mode = Mode.REAL,
    version: str,
    program: str = "drctl",
) -> Plan:
    """The plan of that runbook for that service; equal documents and inputs make equal plans.

    ``program`` is how a step of the plan calls drctl itself.

    Raises:
        DocumentError: when the two do not fit together; it holds all problems.
        UsageError: for a service or an input that is unknown, missing or not of its type; all of them at once.
    """
    values = resolve_inputs(runbook, inventory, service=service, inputs=inputs or {})
    made_by = _Maker(version=version, program=program)
    plan, problems = _make(runbook, inventory, service=service, inputs=values, mode=mode, made_by=made_by)
    raise_on_problems(problems, hint=f"drctl validate {runbook.file} --inventory {inventory.file} --service {service}")
    if plan is None:  # pragma: no cover - a plan is absent only when there are errors
        raise AssertionError("no plan and no problem")
    return plan


def try_plan(
    runbook: RunbookDocument, inventory: InventoryDocument, *, service: str, inputs: Mapping[str, str] | None = None
) -> tuple[Plan | None, list[Diagnostic]]:
    """Whether the runbook fits the service, whatever its other inputs will be: a plan to measure, or what is wrong.

    Raises:
        UsageError: when there is no such service.
    """
    known_service(inventory, service)
    values = {
        name: Variable(name=name, text=service if declared.type == "service" else some_value(name, declared))
        for name, declared in runbook.value.inputs.items()
    }
    values |= {name: Variable(name=name, text=text) for name, text in (inputs or {}).items()}
    return _make(runbook, inventory, service=service, inputs=values, mode=Mode.PLAN, made_by=_Maker())


def missing_roles(runbook: RunbookDocument, inventory: InventoryDocument, *, service: str) -> list[str]:
    """The roles that the runbook's steps run on and the service has not: it was not made for such a service."""
    words = HostWords(inventory=inventory.value, service=service)
    missing: set[str] = set()
    for placed in link(runbook):
        hosts, standing_for = placed.step.hosts, _roles_meant(placed.frame)
        named = [hosts] if isinstance(hosts, str) else hosts or []
        missing |= {role for word in named if words.missing_role(role := standing_for.get(word, word))}
    return sorted(missing)


def _roles_meant(frame: Frame) -> dict[str, str]:
    """The roles that a runbook's inputs of type role stand for when nobody gives another."""
    outer = _roles_meant(frame.parent) if frame.parent is not None else {}
    found = {}
    for name, declared in frame.document.value.inputs.items():
        if declared.type == "role":
            text = frame.inputs.get(name) or some_value(name, declared)
            found[name] = fill(text, outer)
    return found


def known_service(inventory: InventoryDocument, service: str) -> None:
    """Raises UsageError with the list of services when there is none of that name."""
    services = inventory.value.services
    if service not in services:
        raise UsageError(
            f"there is no service {quoted(service)} in {inventory.file}{did_you_mean(service, services)}",
            hint=f"services: {listed(services, limit=40)}",
        )


def _make(
    runbook: RunbookDocument,
    inventory: InventoryDocument,
    *,
    service: str,
    inputs: Mapping[str, Variable],
    mode: Mode,
    made_by: _Maker,
) -> tuple[Plan | None, list[Diagnostic]]:
    world, chosen = inventory.value, inventory.value.services[service]
    root_scope = Scope(
        built_in={
            **of_this_program(made_by.program, inventory.file),
            **built_in(world, runbook=runbook.value.runbook, service=service),
        },
        inputs={name: value for name, value in inputs.items() if name != "service"},
        service=variables(chosen.vars),
        hosts={name: variables(host.vars) for name, host in world.hosts.items()},
        standing_for=roles_given(runbook.value, inputs),
    )
    objectives = _objectives(runbook.value, world, service)
    words = HostWords(inventory=world, service=service, ssh_config=ssh_config_of(inventory))
    steps = link(runbook)
    known = known_by_stage(steps)
    later = frozenset(name for step in steps for name in step.step.capture)
    scopes = FrameScopes(world, service, root_scope, later)
    makers = {
        frame: StepMaker(frame, chosen, words.standing(scopes.of(frame).standing_for), scopes.of(frame), objectives)
        for frame in dict.fromkeys(step.frame for step in steps)
    }
    made = [(step, makers[step.frame].make(step, known[step.stage].captured)) for step in steps]
    problems = [*_shadowed(runbook, inventory, service, root_scope), *scopes.problems]
    for maker in makers.values():
        problems += [*maker.missing_role_problems(), *maker.problems]
    title = _title(runbook, root_scope, problems)
    signers = _allowed_signers(inventory, problems)
    if errors(problems):
        return None, in_order(problems)
    return Plan(
        runbook=runbook.value.runbook,
        title=title,
        service=service,
        service_title=chosen.title,
        sla=chosen.sla and chosen.drill_of is None,
        mode=mode,
        objectives=objectives,
        timezone=world.timezone,
        stages=without_a_clock_in_the_preparation(_stages(made)),
        inputs=(*(inputs[name] for name in sorted(inputs)), *scopes.inputs),
        runbook_source=runbook.source,
        inventory_source=inventory.source,
        drill_of=chosen.drill_of,
        allowed_signers=signers,
        drctl_version=made_by.version,
        called_sources=_sources(makers, runbook),
        head_places=tuple(_head_place(place, inventory) for place in world.evidence.heads),
        head_key=_head_key(inventory),
        notifiers=notifiers_in(inventory),
        deadline=_deadline(steps),
        residency=residency_of(world) if any(step is not None and carries_data(step) for _, step in made) else None,
    ), in_order(problems)


def _deadline(steps: Sequence[Linked]) -> DeadlineRule | None:
    """The runbook's own, else that of the called runbook whose fallback the run has."""
    straight = [step for step in steps if step.section in (Section.PRECONDITIONS, Section.STEPS)]
    root = next((step.frame for step in straight if step.own), None)
    holders = [holder for holder, _, _ in fallbacks(straight, root)[:1]] if root is not None else []
    for frame in (root, *holders):
        written = frame.document.value.deadline if frame is not None else None
        if frame is not None and written is not None:
            until = frame.prefix + written.until if written.until else ""
            return DeadlineRule(action=DeadlineAction(written.action), margin_s=written.margin, until=until)
    return None


def _sources(frames: Iterable[Frame], runbook: RunbookDocument) -> tuple[Source, ...]:
    """The other runbooks, each once."""
    found = dict.fromkeys(frame.document.source for frame in frames if frame.document is not runbook)
    return tuple(sorted(found, key=lambda source: source.path))


def _stages(made: list[tuple[Linked, Step | None]]) -> tuple[Stage, ...]:
    stages = []
    for (section, _), group in groupby(made, key=lambda pair: (pair[0].section, pair[0].stage)):
        stages.append(Stage(section=section, steps=tuple(step for _, step in group if step is not None)))
    return tuple(stages)


def _objectives(runbook: Runbook, inventory: Inventory, service: str) -> Objectives:
    """The service's own promise, else the runbook's, else what the inventory promises to all; each by itself."""
    promises = (inventory.services[service].objectives, runbook.objectives, inventory.objectives)
    return Objectives(
        rto_s=next((promise.rto for promise in promises if promise.rto is not None), None),
        rpo_s=next((promise.rpo for promise in promises if promise.rpo is not None), None),
    )


def ssh_config_of(inventory: InventoryDocument) -> str | None:
    """The file's path: ``~`` is the operator's home, and a relative one is beside the inventory."""
    written = inventory.value.ssh.config
    return None if written is None else _beside(inventory, written)


def notifiers_in(inventory: InventoryDocument) -> tuple[Notifier, ...]:
    """Who is told of a run, with paths that hold wherever it is carried out from."""
    return notifiers_of(inventory.value, partial(_beside, inventory))


def _head_place(place: str, inventory: InventoryDocument) -> str:
    scheme, _, rest = place.partition(":")
    return f"file:{_beside(inventory, rest)}" if scheme == "file" else place


def _head_key(inventory: InventoryDocument) -> str | None:
    """A path below ``~`` stays one: it is the home of whoever conducts the run then."""
    written = inventory.value.evidence.key
    return written if written is None or written.startswith("~") else _beside(inventory, written)


def _beside(inventory: InventoryDocument, path: str) -> str:
    return str(FilePath(inventory.file).absolute().parent / FilePath(path).expanduser())


def _allowed_signers(inventory: InventoryDocument, problems: list[Diagnostic]) -> Source | None:
    """The file of those who may approve, as it is now: a run carries it, and whoever is added later is not in it."""
    policy = inventory.value.approvals
    if policy is None:
        return None
    path = FilePath(inventory.file).parent / FilePath(policy.allowed_signers).expanduser()
    text, found = read_text(path)
    if text is None:
        where = ("approvals", "allowed_signers")
        problems.append(inventory.places.problem(where, f"{path}: {found[0].message}", hint=found[0].hint))
        return None
    return Source(path=str(path), sha256=hashlib.sha256(text.text.encode()).hexdigest(), text=text.text)


def _title(runbook: RunbookDocument, scope: Scope, problems: list[Diagnostic]) -> str:
    title, values = runbook.value.title, {}
    for mention in mentions(title):
        value = scope.common(mention.name)
        message = mention.broken
        if not message and value is None:
            message = f"unknown variable {quoted(mention.name)}{did_you_mean(mention.name, scope.names())}"
        elif value is not None and value.secret is not None:
            message = f"{quoted(mention.name)} is a secret, and would be seen here"
        if message:
            place = runbook.places.within(("title",), mention.text)
            problems.append(runbook.places.problem(("title",), message, place=place))
        elif value is not None and value.text is not None:
            values[mention.name] = value.text
    return fill(title, values)


def _shadowed(runbook: RunbookDocument, inventory: InventoryDocument, service: str, scope: Scope) -> list[Diagnostic]:
    """Names that drctl sets itself, and that somebody else sets too."""
    message = "is a name that drctl sets itself: choose another"
    found = [
        runbook.places.problem(("inputs", name), message, key=True) for name in scope.inputs if name in scope.built_in
    ]
    found += [
        runbook.places.problem(("inputs", name), f"is a role of {service} already: choose another", key=True)
        for name in scope.standing_for
        if name in inventory.value.services[service].roles
    ]
    found += [
        inventory.places.problem(("services", service, "vars", name), message, key=True)
        for name in scope.service
        if name in scope.built_in
    ]
    for host, values in scope.hosts.items():
        for name in values:
            if name in scope.built_in:
                path = ("hosts", host, "vars", name)
                found.append(inventory.places.problem(path, message, key=True))
    return found
