"""``drctl release``, and the hosts on which a run holds its service (``adapters/hold.py``)."""

from __future__ import annotations

import json as jsonlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.begin import Inventory, Service
from drctl.cli.records import Json
from drctl.cli.settings import Settings
from drctl.errors import ExitCode, LockedError, UsageError

if TYPE_CHECKING:
    from drctl.adapters.commands import Commands
    from drctl.engine.state import RunState
    from drctl.model.plan import Endpoint

_NOBODY = "-"  # no run has this id


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a host said about a service, to one of its users: ``free``, ``released``, ``held`` or ``unknown``."""

    host: str
    user: str
    state: str
    run: str = ""
    what: str = ""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("release")(release)


def released(commands: Commands, state: RunState) -> list[str]:
    """Let the service go on the hosts where a run that is over has started jobs; a line for each that was not told.

    A run that is paused keeps what it holds.
    """
    from drctl.engine.state import NOT_SENT
    from drctl.model.events import Ended
    from drctl.model.plan import Shell

    if state.ended in (None, Ended.PAUSED):
        return []
    plan = state.the_plan
    places: dict[tuple[str, str | None], Endpoint] = {}
    for target, known in state.targets.items():
        step = plan.step(target.step)
        if known.attempts == 0 or known.reason in NOT_SENT or step.read_only:
            continue
        if isinstance(step.action, Shell) and not step.action.local:
            places |= {(e.host, step.become): e for e in step.endpoints if e.host == target.host}
    if not places:
        return []

    def let_go(place: tuple[str, str | None]) -> Answer:
        return _ask(commands, places[place], plan.service, state.run_id, place[1])

    with ThreadPoolExecutor(max_workers=16) as pool:
        answers = list(pool.map(let_go, places))
    return [
        f"{a.host} was not told that the run is over ({a.what}): it may still hold {plan.service} for it. "
        f"When it answers again: drctl release {plan.service} {state.run_id}"
        for a in answers
        if a.state == "unknown"
    ]


def release(
    context: typer.Context,
    service: Service,
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="The run that lets it go; without it, say who holds it.")
    ] = "",
    inventory: Inventory = None,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", metavar="USER", help="Users of the hosts; else all that the runbooks become."),
    ] = None,
    json: Json = False,
) -> int:
    """Say which run holds a service on its hosts, or let it go there for a run that is over or dead for good.

    A run claims the service on each host that it changes, and lets it go when it is over. What is left when a host
    was away at that moment, or when an operator's machine was lost with its journal, is let go with the run's full
    id. Be sure that nobody conducts that run any more: two at once do things twice.

    Exit code 5 when a run holds it, 1 when a host could not be asked.

    Examples:

      drctl release taskflow-demo

      drctl release taskflow-demo 20261123-021500-taskflow-demo-4f2a
    """
    from drctl.adapters.commands import Commands
    from drctl.adapters.lock import conducts
    from drctl.adapters.redact import Redactor
    from drctl.adapters.secrets import SecretResolver

    settings: Settings = context.obj
    if run and conducts(settings.locks, service=service, run_id=run):
        raise LockedError(
            f"the run {run} is conducted on this machine at this moment",
            state="this command changed nothing",
            hint=f'drctl watch {run}; to end it: drctl abort {run} --reason "…"',
        )
    users = user or (None, *users_of_runbooks())
    places = [(endpoint, name) for endpoint in endpoints_of(inventory, service) for name in users]
    with (
        closing(Commands(SecretResolver(Redactor()))) as commands,
        ThreadPoolExecutor(max_workers=16) as pool,
    ):
        answers = list(pool.map(lambda place: _ask(commands, place[0], service, run or _NOBODY, place[1]), places))
    return _tell(answers, service, json=json)


def _tell(answers: list[Answer], service: str, *, json: bool) -> int:
    # A host that lets one user in, and not another, has no such user, and so nothing of theirs.
    let_in = {a.host for a in answers if a.state != "unknown"}
    shown = [a for a in answers if a.state in ("released", "held") or (a.state == "unknown" and a.host not in let_in)]
    holders = list(dict.fromkeys(a.run for a in shown if a.state == "held"))
    if json:
        typer.echo(jsonlib.dumps([asdict(a) for a in shown], indent=2))
    else:
        for a in shown:
            typer.echo(f"{a.host:20} {a.user or '(login)':10} {a.state:9} {a.what}")
        if not shown:
            typer.echo(f"no run holds {service} on its hosts", err=True)
        for run in holders:
            typer.echo(f"to let it go, when that run is over or dead for good: drctl release {service} {run}", err=True)
    if holders:
        return ExitCode.LOCKED
    return ExitCode.STEP_FAILED if any(a.state == "unknown" for a in shown) else ExitCode.DONE


def _ask(commands: Commands, endpoint: Endpoint, service: str, run_id: str, user: str | None) -> Answer:
    from drctl.adapters.hold import whose

    state, *words = commands.release(endpoint, service=service, run_id=run_id, become=user)
    known = state in ("held", "released")
    what = whose(tuple(words)) if known else " ".join(words)
    return Answer(host=endpoint.host, user=user or "", state=state, run=words[0] if known and words else "", what=what)


def endpoints_of(inventory: Path | None, service: str) -> list[Endpoint]:
    """The hosts of the service; of all of them without one.

    Raises:
        UsageError: when the inventory cannot be read, or has no such service.
    """
    from drctl.plan.build import ssh_config_of
    from drctl.plan.hosts import HostWords
    from drctl.read.documents import read_inventory
    from drctl.read.find import find_inventory
    from drctl.read.suggest import did_you_mean

    path = find_inventory(inventory)
    document = read_inventory(path)[0]
    if document is None:
        raise UsageError(f"{path} cannot be read", state="nothing was connected to", hint=f"drctl validate {path}")
    services = document.value.services
    if service and service not in services:
        raise UsageError(
            f"{path} has no service {service}{did_you_mean(service, services)}", state="nothing was connected to"
        )
    words = HostWords(inventory=document.value, service=service, ssh_config=ssh_config_of(document))
    mine = [services[service]] if service else list(services.values())
    names = dict.fromkeys(host for one in mine for role in one.roles for host in one.hosts_of(role))
    return [words.endpoint(name, ()) for name in names]


def users_of_runbooks() -> tuple[str, ...]:
    """The users that the runbooks here become."""
    from drctl.read.documents import read_runbook
    from drctl.read.find import RUNBOOKS, documents_in
    from drctl.read.walk import placed_steps

    documents = (read_runbook(path)[0] for path in documents_in(RUNBOOKS))
    steps = (placed.step for document in documents if document for placed in placed_steps(document.value))
    return tuple(sorted({step.become for step in steps if step.become}))
