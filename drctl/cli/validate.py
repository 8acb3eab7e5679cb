"""``drctl validate``: all the problems of the documents at once, offline."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from drctl.model.plan import Plan
    from drctl.plan.build import InventoryDocument, RunbookDocument
    from drctl.read.diagnostics import Diagnostic
    from drctl.read.documents import Library

Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE]…",
        help="Runbooks, by name or file, and inventories; all in runbooks/ and inventories/ by default.",
    ),
]
Inventory = Annotated[
    Path | None,
    typer.Option("--inventory", "-i", metavar="FILE", help="Hold the runbooks against the services of this inventory."),
]
Service = Annotated[
    str, typer.Option("--service", "-s", metavar="SERVICE", help="Hold them against this service only.")
]
Json = Annotated[bool, typer.Option("--json", help="The problems as one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("validate")(validate)


def validate(paths: Paths = None, inventory: Inventory = None, service: Service = "", as_json: Json = False) -> int:
    """Check runbooks and inventories. Nothing is connected to; exit code 3 when there is an error.

    Examples:

      drctl validate

      drctl validate failover

      drctl validate runbooks/failover.yml --inventory inventories/lab.yml --service taskflow-demo
    """
    files = _files([Path(path) for path in paths or []])
    return _tell(_read(files, inventory, service), as_json=as_json)


def _read(files: list[Path], inventory: Path | None, service: str) -> _Findings:
    from drctl.read.documents import Library
    from drctl.read.find import find_inventory

    library, found = Library(), _Findings()
    for path in files:
        found.read(path, library)
    if inventory is not None or service:
        found.hold_against(find_inventory(inventory), service, library)
    else:
        found.hold_to_their_word()
    return found


def _files(paths: list[Path]) -> list[Path]:
    from drctl.read.find import INVENTORIES, RUNBOOKS, documents_in

    if not paths:
        files = [*documents_in(RUNBOOKS), *documents_in(INVENTORIES)]
        if not files:
            raise UsageError(
                f"there is nothing in {RUNBOOKS}/ and {INVENTORIES}/ to check",
                state="nothing was connected to and nothing was changed",
                hint="name the files: drctl validate FILE …",
            )
        return files
    found = []
    for path in paths:
        found += documents_in(path) or [_by_name(path)]
    return list(dict.fromkeys(found))


def _by_name(path: Path) -> Path:
    """The runbook of that name, or else the path itself: whoever reads it tells what is wrong with it."""
    from drctl.read.find import find_runbook

    with suppress(UsageError):
        return find_runbook(path)
    return path


@dataclass(slots=True)
class _Findings:
    """What has been read so far, and what is wrong with it."""

    runbooks: list[RunbookDocument] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)  # path → runbook or inventory
    problems: list[Diagnostic] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)  # hosts whose gateways have been looked at

    def read(self, path: Path, library: Library) -> None:
        kind = library.kind_of(path) or ("inventory" if path.parent.name == "inventories" else "runbook")
        self.files[str(path)] = kind
        if kind == "inventory":
            self.problems += library.inventory(path)[1]
            return
        document, problems = library.runbook(path)
        self.problems += problems
        if document is not None:
            self.runbooks.append(document)

    def hold_to_their_word(self) -> None:
        """Each runbook by itself: whether its worst case is within the RTO that it promises."""
        from drctl.plan.promised import promise_problems

        for runbook in self.runbooks:
            self.problems += promise_problems(runbook)

    def hold_against(self, path: Path, service: str, library: Library) -> None:
        """Each runbook with each service: what a plan would refuse, and whether the RTO can be kept."""
        from drctl.plan.build import known_service

        inventory, problems = library.inventory(path)
        if str(path) not in self.files:
            self.files[str(path)] = "inventory"
            self.problems += problems
        if inventory is None:
            return
        if service:
            known_service(inventory, service)
        for name in [service] if service else inventory.value.services:
            for runbook in self.runbooks:
                if service or not self._not_meant(runbook, inventory, name):
                    self._fit(runbook, inventory, name)

    def _not_meant(self, runbook: RunbookDocument, inventory: InventoryDocument, service: str) -> bool:
        """Whether the runbook needs roles that the service has not; an error only when that service was asked for."""
        from drctl.plan.build import missing_roles
        from drctl.read.diagnostics import Severity
        from drctl.read.suggest import listed

        roles = missing_roles(runbook, inventory, service=service)
        if roles:
            what = f"not for {service}, which has no {listed(roles)}"
            self.problems.append(runbook.places.problem(("runbook",), what, key=True, severity=Severity.WARNING))
        return bool(roles)

    def _fit(self, runbook: RunbookDocument, inventory: InventoryDocument, service: str) -> None:
        from drctl.cli import direction
        from drctl.plan.bounds import bound_problems
        from drctl.plan.build import try_plan

        both = (False, True) if direction.has_two(runbook.value, inventory.value, service) else (False,)
        for turned in both:
            roles = direction.completed(runbook.value, {}, turned=turned)
            plan, problems = try_plan(runbook, inventory, service=service, inputs=roles)
            found = [*problems, *(bound_problems(plan, runbook) if plan is not None else [])]
            self.problems += [problem for problem in found if problem not in self.problems]
            if plan is not None:
                self._gateways(plan, inventory)

    def _gateways(self, plan: Plan, inventory: InventoryDocument) -> None:
        """The country of every gateway that OpenSSH's configuration puts before a host, each host once."""
        from drctl.adapters.ssh.ways import SshRoutes
        from drctl.plan.residency import abroad, residency_of
        from drctl.read.diagnostics import Severity

        residency = residency_of(inventory.value)
        for endpoint in (endpoint for step in plan.steps() for endpoint in step.endpoints):
            if endpoint.host in self.reached:
                continue
            self.reached.add(endpoint.host)
            for hop in SshRoutes().way_to(endpoint)[:-1]:
                why = abroad(residency, hop)
                if not why:
                    continue
                known = any(hop.address == place.address or hop.name == place.host for place in residency.places)
                self.problems.append(
                    inventory.places.problem(
                        ("hosts", endpoint.host),
                        f"data must stay in {residency.country}, and {endpoint.host} is behind a gateway: {why}",
                        key=True,
                        severity=Severity.ERROR if known else Severity.WARNING,
                        hint=f"see ssh -G {endpoint.host}, and name the gateway below hosts with its site"
                        + ("" if known else "; a step that carries data is refused on this way"),
                    )
                )


def _tell(found: _Findings, *, as_json: bool) -> int:
    from drctl.read.diagnostics import as_json as problem_json
    from drctl.read.diagnostics import count, errors, in_order, render_all

    problems = in_order(found.problems)
    bad = len(errors(problems))
    if as_json:
        import json

        said = {
            "files": [{"path": path, "kind": kind} for path, kind in found.files.items()],
            "errors": bad,
            "warnings": len(problems) - bad,
            "problems": [problem_json(problem) for problem in problems],
        }
        typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
    elif problems:
        typer.echo(render_all(problems))
    number = len(found.files)
    typer.echo(f"{number} {'file' if number == 1 else 'files'}: {count(problems)}", err=True)
    return ExitCode.INVALID_DOCUMENT if bad else ExitCode.DONE
