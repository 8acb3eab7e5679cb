"""Ask a service's two database servers who takes the writes. Read-only, and nobody waits for a lost one in vain."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed

from drctl.engine.ports import CommandRunner, Ending, ShellCommand
from drctl.model.plan import Endpoint

Answer = tuple[bool | None, str]
"""A server's ``pg_is_in_recovery()``, and why there is none."""

ASK_TIMEOUT_S = 10.0
BECOME = "postgres"
_ASK = "psql -XAtqc 'select pg_is_in_recovery()' -d postgres"
_ANSWERS = {"t": True, "f": False}


def ask(
    commands: CommandRunner, servers: Mapping[str, Endpoint], *, within_s: float = ASK_TIMEOUT_S
) -> dict[str, Answer]:
    """Each one's ``pg_is_in_recovery()`` and, where there is none, why: by the names that were given.

    A standby's answer is enough: where one follows, the other one is the primary, alive or not. So a lost primary is
    waited for only while its standby says nothing, and never longer than ``within_s``.
    """
    found: dict[str, Answer] = {}
    pool = ThreadPoolExecutor(max_workers=len(servers) or 1)
    try:
        asked = {pool.submit(_ask_one, commands, one, within_s): name for name, one in servers.items()}
        for done in as_completed(asked, timeout=within_s):
            found[asked[done]] = done.result()
            if found[asked[done]][0]:
                break
    except TimeoutError:
        pass
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    decided = any(in_recovery for in_recovery, _ in found.values())
    late = "" if decided else f"no answer within {within_s:g} s"
    return {name: found.get(name, (None, late)) for name in servers}


def _ask_one(commands: CommandRunner, endpoint: Endpoint, timeout_s: float) -> Answer:
    kept: list[bytes] = []
    result = commands.probe(
        endpoint,
        ShellCommand(script=_ASK, become=BECOME),
        timeout_s=timeout_s,
        output=lambda stream, data: kept.append(data) if stream == "stdout" else None,
    )
    if result.ending is not Ending.FINISHED:
        return None, result.detail or result.ending.value
    answer = _ANSWERS.get(b"".join(kept).decode("utf-8", "replace").strip())
    return answer, "" if answer is not None else "its database does not answer"
