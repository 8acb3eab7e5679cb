"""Ask a service's two database servers who takes the writes. Read-only, and nobody waits for a lost one in vain."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from drctl.engine.ports import CommandRunner, Ending, ShellCommand
from drctl.model.plan import Endpoint

ASK_TIMEOUT_S = 10.0
BECOME = "postgres"
WAL_FILE_KB = 16 * 1024
"""What PostgreSQL needs to go on, unless it was made with another size."""

# A database that is not there because its disk is full has lost nothing, and is no reason for a failover.
_ASK = """\
psql -XAtqc 'select pg_is_in_recovery()' -d postgres 2>/dev/null && exit 0
df -P "${pgdata:-/}" | awk 'NR == 2 { sub("%", "", $5); print $4, $5 }'
"""
_ANSWERS = {"t": True, "f": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A server's ``pg_is_in_recovery()``; None when it does not say, and ``why``. ``no_room``: its disk is full."""

    in_recovery: bool | None = None
    why: str = ""
    no_room: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A server, and where its data directory is; empty when nobody knows."""

    endpoint: Endpoint
    pgdata: str = ""


def ask(commands: CommandRunner, servers: Mapping[str, Asked], *, within_s: float = ASK_TIMEOUT_S) -> dict[str, Said]:
    """What each one says, by the names that were given.

    A standby's answer is enough: where one follows, the other one is the primary, alive or not. So a lost primary is
    waited for only while its standby says nothing, and never longer than ``within_s``.
    """
    found: dict[str, Said] = {}
    pool = ThreadPoolExecutor(max_workers=len(servers) or 1)
    try:
        asked = {pool.submit(_ask_one, commands, one, within_s): name for name, one in servers.items()}
        for done in as_completed(asked, timeout=within_s):
            found[asked[done]] = done.result()
            if found[asked[done]].in_recovery:
                break
    except TimeoutError:
        pass
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    decided = any(said.in_recovery for said in found.values())
    late = Said(why="" if decided else f"no answer within {within_s:g} s")
    return {name: found.get(name, late) for name in servers}


def _ask_one(commands: CommandRunner, server: Asked, timeout_s: float) -> Said:
    kept: list[bytes] = []
    result = commands.probe(
        server.endpoint,
        ShellCommand(script=_ASK, variables={"pgdata": server.pgdata}, become=BECOME),
        timeout_s=timeout_s,
        output=lambda stream, data: kept.append(data) if stream == "stdout" else None,
    )
    if result.ending is not Ending.FINISHED:
        return Said(why=result.detail or result.ending.value)
    answer = b"".join(kept).decode("utf-8", "replace").strip()
    if answer in _ANSWERS:
        return Said(in_recovery=_ANSWERS[answer])
    free_kb, _, percent = answer.partition(" ")
    if free_kb.isdecimal() and percent.isdecimal() and int(free_kb) < 2 * WAL_FILE_KB:
        return Said(why=f"its database does not answer, and its disk is {percent} % full", no_room=True)
    return Said(why="its database does not answer")
