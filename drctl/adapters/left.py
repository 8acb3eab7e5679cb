"""What runs have left on a host: the directories of their jobs, and the services that they hold (``files/left.sh``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drctl.adapters import job as jobs
from drctl.adapters.payload import shell_quote
from drctl.adapters.transport import NotSent, Transport
from drctl.engine.ports import Stream

TIMEOUT_S = 120.0
"""For looking through all that is left on a host, or for removing a batch, in seconds."""
_BATCH = 200  # names in one call


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftJob:
    """A job's directory. ``state`` is finished, lost, running or unclaimed; ``began_s`` the epoch, 0 if unknown."""

    name: str
    state: str
    began_s: int

    @property
    def run_id(self) -> str:
        """The run that it belongs to."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """All that is left for one user of a host, as the host calls them. ``trouble`` says why it is not known."""

    user: str = ""
    jobs: tuple[LeftJob, ...] = ()
    holders: frozenset[str] = frozenset()  # runs that hold a service there
    kilobytes: int = 0
    trouble: str = ""


def left(transport: Transport, *, become: str | None) -> Left:
    """Look at what is left. Nothing is changed."""
    heard = bytearray()

    def hear(stream: Stream, data: bytes) -> None:
        if stream == "stdout":
            heard.extend(data)

    try:
        words = jobs.ask(transport, "left {token}", become=become, output=hear, timeout_s=TIMEOUT_S)
    except NotSent as error:
        return Left(trouble=str(error))
    if words[0] not in ("left", "none"):
        return Left(trouble=" ".join(words[1:]) or "it gave no answer")
    lines = [line.split() for line in heard.decode("utf-8", "replace").splitlines()]
    sizes = [int(words[1]) for words in lines if words[:1] == ["size"] and words[1:] and words[1].isdecimal()]
    return Left(
        user=words[1] if len(words) > 1 else "",
        jobs=tuple(_jobs(lines)),
        holders=frozenset(words[1] for words in lines if words[:1] == ["hold"] and len(words) > 1),
        kilobytes=sum(sizes),
    )


def _jobs(lines: list[list[str]]) -> Iterator[LeftJob]:
    for words in lines:
        if words[:1] == ["job"] and len(words) == 4:
            yield LeftJob(name=words[1], state=words[2], began_s=int(words[3]) if words[3].isdecimal() else 0)


def prune(transport: Transport, names: Sequence[str], *, become: str | None) -> int:
    """Remove jobs by name; how many. What runs or is held there stays."""
    gone = 0
    for at in range(0, len(names), _BATCH):
        call = " ".join(["prune {token}", *(shell_quote(name) for name in names[at : at + _BATCH])])
        try:
            words = jobs.ask(transport, call, become=become, output=lambda *_: None, timeout_s=TIMEOUT_S)
        except NotSent:
            return gone
        gone += int(words[1]) if words[0] == "pruned" and words[1:] and words[1].isdecimal() else 0
    return gone
