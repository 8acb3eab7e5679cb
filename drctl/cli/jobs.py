"""``drctl jobs``: what runs have left on their hosts, and its removal when they are over."""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.begin import Inventory
from drctl.cli.holds import endpoints_of, users_of_runbooks
from drctl.cli.records import Json
from drctl.cli.settings import Settings
from drctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from drctl.adapters.commands import Commands
    from drctl.adapters.left import LeftJob
    from drctl.model.plan import Endpoint

HERE = "this machine"
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """How its jobs are reached, and the names of their directories."""

    endpoint: Endpoint | None
    become: str | None
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfRun:
    """What a run left for one user of a host. ``state``: over, open, or elsewhere (its journal is not this one)."""

    host: str
    user: str
    run: str
    state: str
    jobs: int = 0
    began_s: int = 0
    removed: int = 0
    trouble: str = ""
    place: _Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Which runs are meant, how they stand, and which of them are removed when they are old enough."""

    service: str
    removed: tuple[str, ...]
    older_than_s: float
    now_s: float
    open_runs: frozenset[str]
    ended_runs: frozenset[str]

    def state_of(self, run_id: str) -> str:
        if run_id in self.open_runs:
            return "open"
        return "over" if run_id in self.ended_runs else "elsewhere"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("jobs")(jobs)


def jobs(
    context: typer.Context,
    service: Annotated[str, typer.Argument(metavar="[SERVICE]", help="One service's runs and hosts; else all.")] = "",
    prune: Annotated[bool, typer.Option("--prune", help="Remove those of runs that are over.")] = False,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="DURATION", help="Remove only what began this long ago.")
    ] = "30d",
    others: Annotated[
        bool, typer.Option("--others", help="Also runs of other journals, when they hold no service on the host.")
    ] = False,
    inventory: Inventory = None,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", metavar="USER", help="Users of the hosts; else all that the runbooks become."),
    ] = None,
    json: Json = False,
) -> int:
    """List the jobs that runs have left on hosts, and remove those of runs that are over.

    A step that changes something leaves a small directory on its host: it is what keeps the step from happening
    twice. What a run that is open may still need is never removed, nor what runs, nor what belongs to a run that
    holds a service. Exit code 1 when a host could not be asked.

    Examples:

      drctl jobs taskflow-demo

      drctl jobs --prune --older-than 90d
    """
    from drctl.adapters.clock import SystemClock
    from drctl.adapters.commands import Commands
    from drctl.adapters.redact import Redactor
    from drctl.adapters.secrets import SecretResolver

    settings: Settings = context.obj
    journal = settings.journal()
    try:
        heads = list(journal.heads())
    finally:
        journal.close()
    wanted = _Wanted(
        service=service,
        removed=("over", *(("elsewhere",) if others else ())) if prune else (),
        older_than_s=_seconds(older_than),
        now_s=SystemClock().now().timestamp(),
        open_runs=frozenset(head.run_id for head in heads if head.is_open),
        ended_runs=frozenset(head.run_id for head in heads if not head.is_open),
    )
    users = user or (None, *users_of_runbooks())
    places: list[tuple[Endpoint | None, str | None]] = [(None, None)]
    places += [(endpoint, name) for endpoint in endpoints_of(inventory, service) for name in users]
    with (
        closing(Commands(SecretResolver(Redactor()))) as commands,
        ThreadPoolExecutor(max_workers=16) as pool,
    ):
        looked = list(pool.map(lambda place: list(_look(commands, place[0], place[1], wanted)), places))
        # Two names may be one user: the login, and a user that the runbooks become.
        once = {(one.host, one.user, one.run): one for some in reversed(looked) for one in reversed(some)}
        found = list(pool.map(lambda one: _pruned(commands, one, wanted), reversed(once.values())))
    return _tell(found, json=json)


def _seconds(text: str) -> float:
    """Days, which no step lasts, or any duration."""
    from drctl.model.units import parse_duration

    if match := re.fullmatch(r"(\d{1,5})d", text):
        return int(match[1]) * DAY_S
    try:
        return parse_duration(text)
    except ValueError:
        raise UsageError(f"--older-than: {text!r} is not an age: write 30d or 12h", hint="--older-than 30d") from None


def _look(commands: Commands, endpoint: Endpoint | None, user: str | None, wanted: _Wanted) -> Iterator[OfRun]:
    host = endpoint.host if endpoint else HERE
    left = commands.left(endpoint, become=user)
    if left.trouble:
        yield OfRun(host=host, user=user or "(login)", run="", state="unknown", trouble=left.trouble)
    by_run: dict[str, list[LeftJob]] = {}
    for job in left.jobs:
        if not wanted.service or re.fullmatch(rf"\d+-\d+-{re.escape(wanted.service)}-[0-9a-f]+", job.run_id):
            by_run.setdefault(job.run_id, []).append(job)
    for run_id, its in by_run.items():
        state = wanted.state_of(run_id)
        if run_id in left.holders or any(job.state == "running" for job in its):
            state = "open"
        began_s = max(job.began_s for job in its)
        place = _Place(endpoint=endpoint, become=user, names=tuple(job.name for job in its))
        yield OfRun(host=host, user=left.user, run=run_id, state=state, jobs=len(its), began_s=began_s, place=place)


def _pruned(commands: Commands, one: OfRun, wanted: _Wanted) -> OfRun:
    if one.place is None or one.state not in wanted.removed or wanted.now_s - one.began_s < wanted.older_than_s:
        return one
    return replace(one, removed=commands.prune(one.place.endpoint, one.place.names, become=one.place.become))


def _tell(found: list[OfRun], *, json: bool) -> int:
    # A host that lets one user in, and not another, has no such user, and so nothing of theirs.
    let_in = {left.host for left in found if not left.trouble}
    shown = [left for left in found if not left.trouble or left.host not in let_in]
    if json:
        typer.echo(jsonlib.dumps([_plain(left) for left in shown], indent=2))
    else:
        for left in shown:
            what = f"{left.run} {left.jobs} jobs, begun {_day(left.began_s)}" if left.run else left.trouble
            removed = f", {left.removed} removed" if left.removed else ""
            typer.echo(f"{left.host:20} {left.user:10} {left.state:9} {what}{removed}")
        if not shown:
            typer.echo("no jobs are left", err=True)
    return ExitCode.STEP_FAILED if any(left.trouble for left in shown) else ExitCode.DONE


def _plain(one: OfRun) -> dict[str, str | int]:
    plain = {name: getattr(one, name) for name in ("host", "user", "run", "state", "jobs", "removed", "trouble")}
    return {**plain, "began": _day(one.began_s) if one.run else ""}


def _day(epoch_s: int) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d}" if epoch_s else "at an unknown time"
