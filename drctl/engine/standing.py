"""Which of a service's two servers takes the writes now: what runs have done, held against what both servers say.

Neither is enough. A journal knows nothing of what was done from another machine or by hand, and a server that is lost
says nothing. What contradicts each other is never weighed: a person says which way it goes.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime

from drctl.engine.state import NOT_SENT, RunState, targets_of
from drctl.model.units import local_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The last promotion that is known of. ``certain`` is False when a run sent it and cannot say what became of it."""

    run_id: str
    host: str
    at: datetime | None
    certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One of the two, and what it says: ``in_recovery`` None is nothing, and ``why`` says how it did not answer."""

    role: str
    host: str
    in_recovery: bool | None = None
    why: str = ""
    no_room: bool = False  # its host answers, its database does not, and its disk is full


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Who takes the writes, or took them last, and who could; ``because`` says why, in clauses for a person.

    It is ``turned`` when that is not as the inventory has it.
    """

    primary: Server
    standby: Server
    turned: bool
    because: tuple[str, ...]


class Contradiction(ValueError):
    """The journal and the servers, or the two servers, tell different stories."""


def last_move(state: RunState, hosts: Set[str]) -> Move | None:
    """The last promotion that the run sent to one of these hosts; None when it sent none.

    Nothing is promoted without the proof that the old primary is fenced, and nothing else that changes a database's
    server waits for one: that is how a promotion is known in any runbook.
    """
    found: Move | None = None
    for step in state.the_plan.steps():
        if step.read_only or not step.requires:
            continue
        for target in targets_of(step):
            known = state.target(target)
            if target.host in hosts and known.attempts and known.reason not in NOT_SENT:
                # The fallback stands after the steps that it follows.
                found = Move(run_id=state.run_id, host=target.host, at=known.started_at, certain=state.holds(step))
    return found


def standing(home: Server, away: Server, move: Move | None, *, timezone: str) -> Standing:
    """How the service stands; ``home`` is the server that the inventory calls its primary.

    Raises:
        Contradiction: when two servers take writes, or the journal and the servers do not agree.
    """
    both = (home, away)
    said = tuple(f"{server.host} {_says(server)}" for server in both if server.in_recovery is not None or server.why)
    writing = [server for server in both if server.in_recovery is False]
    following = [server for server in both if server.in_recovery is True]
    if len(writing) == 2:
        raise Contradiction(f"both servers take writes: {home.host} and {away.host}")
    by_servers = writing[0] if writing else _other(both, following[0]) if len(following) == 1 else None
    by_journal = next((s for s in both if move is not None and move.certain and s.host == move.host), None)
    told = _told(move, timezone)
    if by_servers is not None and by_journal is not None and by_servers is not by_journal:
        raise Contradiction(f"{told}, and now {', and '.join(said)}")
    primary = by_servers or by_journal or home
    because = (told, *said)
    if by_servers is None and by_journal is None:
        because = (*because, f"so {home.host} is taken for the primary, as the inventory has it")
    return Standing(
        primary=primary, standby=_other(both, primary), turned=primary is away, because=tuple(p for p in because if p)
    )


def _other(both: tuple[Server, Server], server: Server) -> Server:
    return both[1] if server is both[0] else both[0]


def _says(server: Server) -> str:
    if server.in_recovery is None:
        return f"does not say ({server.why})"
    return "says that it is a standby" if server.in_recovery else "says that it takes writes"


def _told(move: Move | None, timezone: str) -> str:
    if move is None:
        return "no run of this journal has promoted either"
    when = f" at {local_time(move.at, timezone)}" if move.at is not None else ""
    if move.certain:
        return f"run {move.run_id} promoted {move.host}{when}"
    what = f"may have promoted {move.host}{when}" if move.host else "cannot be read, and may have moved it"
    return f"run {move.run_id} {what}"
