"""How far clocks are off: this machine's as its kernel knows it, and those of hosts against this machine's.

All of it only reads. A host is asked over a connection of its own, so that a step never waits for it, and one that does
not answer is noted as not measured (law 10).
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from drctl.adapters.clock import SystemClock
from drctl.engine.ports import CommandRunner, Ending, ShellCommand
from drctl.model.circumstances import ClockReading
from drctl.model.plan import Endpoint

LIMIT_S = 20.0
_ASK = "date -u +%s.%N"
_UNSYNCHRONISED = 0x0040  # STA_UNSYNC
_NANOSECONDS = 0x2000  # STA_NANO: ``offset`` is in nanoseconds, else microseconds


class _Timex(ctypes.Structure):
    """``struct timex`` as far as it is read here (adjtimex(2)); the rest is room for the kernel to write to."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maximum_error", ctypes.c_long),  # microseconds
        ("estimated_error", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 30),
    )


def own_clock() -> ClockReading:
    """This machine's clock against true time, as the kernel was told by whatever keeps it (chrony, ntpd, timesyncd)."""
    found = _Timex()  # modes 0: nothing is set
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(found))
    except (OSError, AttributeError):
        answer = -1
    if answer < 0:
        return ClockReading(host="", why="the kernel does not say how good its clock is")
    return reading_of(offset=found.offset, maximum_error_us=found.maximum_error, status=found.status)


def reading_of(*, offset: int, maximum_error_us: int, status: int) -> ClockReading:
    """What the kernel's figures say. ``offset`` is what is still to be added to the clock."""
    if status & _UNSYNCHRONISED:
        return ClockReading(host="", why="the kernel says that nothing keeps its clock synchronised")
    unit_s = 1e-9 if status & _NANOSECONDS else 1e-6
    return ClockReading(host="", offset_s=-offset * unit_s, within_s=maximum_error_us * 1e-6)


def host_clock(commands: CommandRunner, endpoint: Endpoint, clock: SystemClock, *, timeout_s: float) -> ClockReading:
    """A host's clock against this machine's; it may be wrong by half the time that the answer took."""
    kept: list[bytes] = []
    # The connection first: the time that it takes to be made is no offset of a clock.
    result = commands.probe(endpoint, ShellCommand(script=":"), timeout_s=timeout_s, output=lambda stream, data: None)
    if result.ending is not Ending.FINISHED:
        return ClockReading(host=endpoint.host, why=f"{result.ending.value}: {result.detail}")
    before = clock.now().timestamp()
    result = commands.probe(
        endpoint, ShellCommand(script=_ASK), timeout_s=timeout_s, output=lambda stream, data: kept.append(data)
    )
    after = clock.now().timestamp()
    if result.ending is not Ending.FINISHED:
        return ClockReading(host=endpoint.host, why=f"{result.ending.value}: {result.detail}")
    said = re.match(rb"(\d+)(\.\d+)?", b"".join(kept))
    if said is None:
        return ClockReading(host=endpoint.host, why="its date command does not tell the time as it was asked to")
    # Not every ``date`` knows parts of a second: the time is somewhere in that second then.
    unknown_s = 0.0 if said[2] else 0.5
    return ClockReading(
        host=endpoint.host,
        offset_s=float(said[0]) + unknown_s - (before + after) / 2,
        within_s=(after - before) / 2 + unknown_s,
    )


def read_aside(
    endpoints: Sequence[Endpoint],
    read: Callable[[Endpoint], ClockReading],
    done: Callable[[tuple[ClockReading, ...]], None],
) -> None:
    """Read the clocks in threads that nobody waits for; ``done`` gets all of them when the last has answered.

    One that has not answered after ``LIMIT_S`` is noted as not measured.
    """
    answers: SimpleQueue[ClockReading] = SimpleQueue()

    def ask(endpoint: Endpoint) -> None:
        try:
            answers.put(read(endpoint))
        except Exception as error:  # a reading that fails stops nothing
            answers.put(ClockReading(host=endpoint.host, why=f"{type(error).__name__}: {error}"))

    def gather() -> None:
        found = {e.host: ClockReading(host=e.host, why=f"no answer within {LIMIT_S:.0f} s") for e in endpoints}
        clock = SystemClock()
        until_s = clock.monotonic() + LIMIT_S
        for endpoint in endpoints:
            threading.Thread(target=ask, args=(endpoint,), name=f"clock of {endpoint.host}", daemon=True).start()
        for _ in endpoints:
            try:
                reading = answers.get(timeout=max(0.0, until_s - clock.monotonic()))
            except Empty:
                break
            found[reading.host] = reading
        done(tuple(found.values()))

    threading.Thread(target=gather, name="clocks", daemon=True).start()
