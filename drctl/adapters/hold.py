"""A service that one run at a time may change on a host, whoever began it and from wherever (``files/hold.sh``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from drctl.adapters.payload import file_name
from drctl.engine.ports import CommandResult, Ending


def nobodys(run_id: str) -> bool:
    """No other run's hold is ours to take over."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """For whom a service is claimed on the hosts that a run changes.

    ``ours`` tells whether a run is one of our own journal: while we conduct, nobody conducts that one, and what it
    still holds is taken over.
    """

    service: str
    run_id: str
    who: str
    host: str = ""
    ours: Callable[[str], bool] = nobodys

    @property
    def name(self) -> str:
        """The name of the claim's file: two names of an inventory may lead to one machine."""
        return hold_name(self.service, self.host)

    @property
    def words(self) -> tuple[str, str, str]:
        """What the host is told: the file's name, the run and the operator."""
        return self.name, self.run_id, self.who


def hold_name(service: str, host: str) -> str:
    """The name of a claim's file on a host."""
    return file_name(f"{service}@{host}")


def whose(words: tuple[str, ...]) -> str:
    """A claim's run, epoch and operator, for people."""
    run_id, epoch, who = (*words, "", "", "")[:3]
    since = f" since {datetime.fromtimestamp(int(epoch), UTC):%Y-%m-%dT%H:%M:%SZ}" if epoch.isdecimal() else ""
    return f"the run {run_id} of {who or 'somebody'}{since}"


def held(hold: Hold, words: tuple[str, ...], label: str, duration_s: float) -> CommandResult:
    """A job that was not started, because another run may change the service on that host."""
    run_id = words[0] if words else ""
    return CommandResult(
        ending=Ending.HELD,
        held_by=run_id,
        detail=f"{label}: the service {hold.service} is held by {whose(words)}; nothing was run. "
        f"When that run is over, or its drctl is dead for good: drctl release {hold.service} {run_id}",
        duration_s=duration_s,
    )
