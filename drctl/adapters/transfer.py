"""Files to and from hosts: resumed where they broke off, compared at both ends, and named only when whole and right.

What has come so far is in ``NAME.drctl-part`` beside ``NAME``. Before an attempt goes on from there, that much is
compared with the same much of the source; when the whole has the wrong sum after all, it comes once more from its
beginning, and only then it is an error. What stands under its own name already, and is right, is not sent again.
A link of that name is replaced by the file.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace

from drctl.adapters.progress import Deadline, Ended, size
from drctl.adapters.ssh.bulk import Bulk, Grown, RsyncCannot, Way, way_of
from drctl.adapters.transfer_ends import Case, FarEnd, NearEnd
from drctl.adapters.transport import NotSent, Unreachable
from drctl.engine.ports import CommandResult, CommandRunner, Ending, OutputSink
from drctl.model.plan import Endpoint, Transfer

_WORTH_SAYING = 268_435_456  # bytes; reading as many takes a second or so
_LOOKS = 3


class HostFiles:
    """The engine's ``Files`` port. ``commands`` is the way to ask the hosts; the bytes go through OpenSSH's client."""

    def __init__(self, commands: CommandRunner) -> None:
        self._commands = commands

    def transfer(
        self, endpoint: Endpoint, order: Transfer, *, become: str | None, timeout_s: float, output: OutputSink
    ) -> CommandResult:
        """See ``Files.transfer``. ``timeout_s`` is for all of it, the reading for the sums included."""
        deadline = Deadline(timeout_s)
        case = Case(commands=self._commands, endpoint=endpoint, become=become, deadline=deadline, output=output)
        try:
            _check(case, order)
            said = _put(case, order) if order.direction == "put" else _get(case, order)
        except Grown:
            why = f"{order.remote} on {endpoint.host} grows while we look at it: does something else send it?"
            return CommandResult(ending=Ending.LOST, detail=why, duration_s=deadline.passed_s())
        except Ended as ended:
            return replace(ended.result, duration_s=deadline.passed_s())
        except NotSent as error:
            ending = Ending.UNREACHABLE if isinstance(error, Unreachable) else Ending.REFUSED
            return CommandResult(ending=ending, detail=str(error), duration_s=deadline.passed_s())
        output("stdout", f"{said}\n".encode("utf-8", "surrogateescape"))
        return CommandResult(ending=Ending.FINISHED, exit_code=0, duration_s=deadline.passed_s())


def _check(case: Case, order: Transfer) -> None:
    for what, path in (("local", order.local), ("remote", order.remote)):
        why = ""
        if "\n" in path or "\0" in path:
            why = "holds a newline or a NUL, which drctl does not send"
        elif path.startswith("~"):
            why = "begins with ~, which only a shell would understand: give the whole path, or one below the home"
        elif path.rpartition("/")[2] in ("", ".", ".."):
            why = "does not name a file"
        if why:
            case.end(Ending.REFUSED, f"the {what} path {path[:200]!r} {why}: nothing was sent")


def _put(case: Case, order: Transfer) -> str:
    for _ in range(_LOOKS):
        # What a connection that broke off had in its buffers may come late. It is little, and no more can follow.
        with contextlib.suppress(Grown):
            return _put_once(case, order)
    return _put_once(case, order)


def _put_once(case: Case, order: Transfer) -> str:
    near, far = NearEnd(case, order.local), FarEnd(case, order.remote)
    total = near.size()
    there = far.target(total)
    sum_, beginning = near.sums(prefix=there.part)
    if order.sha256 and sum_ != order.sha256.lower():
        case.no(f"{near.path} has the sha256 {sum_}, and not {order.sha256}: nothing was sent")
    if there.whole == sum_:
        return f"{far.name} is there already and has the sha256 {sum_}: 0 of {total} bytes were sent"
    start = there.part
    if start and there.sum != beginning:
        far.discard()  # of another file, or of an older one
        start = 0
    way, moved = way_of(there.path, there.rsync), 0
    while True:
        bulk = Bulk(
            case=case,
            order=order,
            local=near.path,
            remote=there.path,
            total=total,
            start=start,
            arrived=far.arrived,
        )
        if start < total or total == 0:
            sent, way = _move(bulk, way, None)
            moved += sent
        if total >= _WORTH_SAYING:
            case.output("stderr", f"{case.endpoint.host} reads {size(total)} to compare\n".encode())
        arrived = far.finish(sum_)
        if arrived == sum_:
            return f"{near.path} is now {far.name}, with the sha256 {sum_}: {moved} of {total} bytes were sent by {way}"
        far.discard()
        if start == 0:
            case.no(
                f"{far.name} arrived with the sha256 {arrived}, and not {sum_}: it was thrown away, and "
                f"{near.path} should not change while it is sent"
            )
        start = 0


def _get(case: Case, order: Transfer) -> str:
    near, far = NearEnd(case, order.local), FarEnd(case, order.remote)
    there = far.source()
    if order.sha256 and there.sum != order.sha256.lower():
        case.no(f"{far.name} has the sha256 {there.sum}, and not {order.sha256}: nothing was fetched")
    if near.has(there.sum, there.size):
        return f"{near.path} is here already and has the sha256 {there.sum}: 0 of {there.size} bytes were fetched"
    way, moved = way_of(there.path, there.rsync), 0
    with near.receiving() as part:
        start = os.fstat(part).st_size
        if start > there.size or (start and near.sum_of(part, start) != far.prefix(start)):
            start = 0
        while True:
            os.ftruncate(part, start)
            bulk = Bulk(
                case=case,
                order=order,
                local=near.path,
                remote=there.path,
                total=there.size,
                start=start,
                arrived=near.arrived,
            )
            if start < there.size:
                fetched, way = _move(bulk, way, part)
                moved += fetched
            arrived = near.sum_of(part, os.fstat(part).st_size)
            if os.fstat(part).st_size == there.size and (arrived == there.sum):
                near.finish(part)
                of = f"{moved} of {there.size} bytes were fetched by {way}"
                return f"{far.name} is now {near.path}, with the sha256 {there.sum}: {of}"
            if start == 0:
                os.ftruncate(part, 0)
                case.no(
                    f"{near.path} arrived with the sha256 {arrived}, and not {there.sum}: it was thrown away, and "
                    f"{far.name} should not change while it is fetched"
                )
            start = 0


def _move(bulk: Bulk, way: Way, part: int | None) -> tuple[int, Way]:
    """How many bytes went over the line, and how: rsync is let go when it does not work between these two."""

    def write(data: bytes) -> None:
        if part is not None:
            left = memoryview(data)
            at = os.lseek(part, 0, os.SEEK_END)
            while left:
                written = os.pwrite(part, left, at)
                left, at = left[written:], at + written

    try:
        return bulk.by(way, write), way
    except RsyncCannot as error:
        bulk.case.output("stderr", f"rsync cannot be used ({error}): a plain stream instead\n".encode())
        return bulk.by("a plain stream", write), "a plain stream"
