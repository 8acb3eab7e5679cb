"""The bytes of a transfer, through OpenSSH's own client: by rsync where both ends have it, else by a plain stream.

Both go on where the file breaks off, and neither gives it its name: that is for the two ends (``transfer_ends.py``).
"""

from __future__ import annotations

import re
import secrets
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NoReturn

from drctl.adapters.child import CHUNK, Ended, run_child
from drctl.adapters.payload import encode
from drctl.adapters.progress import Progress, size
from drctl.adapters.ssh.client import client_argv, for_rsync
from drctl.adapters.ssh.hosts import route_to
from drctl.adapters.transfer_ends import PART, Arrived, Case
from drctl.adapters.transport import shell_argv
from drctl.engine.ports import Ending
from drctl.model.plan import Transfer

Way = Literal["rsync", "a plain stream"]

# The values come on standard input, a line each, so that no shell ever reads one as code. A shell's "read" takes no
# byte beyond its line. The size is looked at again: what an earlier connection left in its buffers may have come since.
_PUT = """\
IFS= read -r part && read -r size || exit 1
umask 077
now=0
[ ! -e "$part" ] || now=$(wc -c <"$part")
[ "$((now))" = "$size" ] || exit 76
exec cat >>"$part"
"""
_GET = """\
IFS= read -r file && read -r from && read -r token || exit 1
echo "$token"
exec tail -c "+$from" "$file"
"""
_GROWN = 76
_LITTLE = 1_048_576  # bytes: a disk with less than this, and less than is needed, is taken to be full
_VERSION = re.compile(r"rsync +version v?(\d+)\.(\d+)")
_NUMBER = re.compile(rb"\s*(\d+)\s+\d+%")
_LITERAL = re.compile(rb"Literal data: (\d+)")
_FULL = re.compile(r"No space left on device|Disk quota exceeded|write error: File too large")
_NO = re.compile(
    r"Host key verification failed|IDENTIFICATION HAS CHANGED|Permission denied \([a-z]|Too many authentication"
)
_NO_SUDO = re.compile(r"sudo: (?!unable to resolve|setrlimit)")
# Only what ssh says before it is let in: what it says of a connection that is lost later names no port.
_NOBODY = re.compile(
    r"^ssh: |kex_exchange_identification|banner exchange|Connection (?:closed|reset) by .* port \d", re.MULTILINE
)
# Characters that rsync's far end takes for a pattern even when no shell sees them.
_PATTERN = set("*?[]\\")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """One file's bytes, from ``start`` on. ``remote`` is absolute, and ``total`` the size of the whole file."""

    case: Case
    order: Transfer
    local: Path
    remote: str
    total: int
    start: int
    arrived: Callable[[], Arrived | None]
    """What has come, for when it breaks off."""

    def by(self, way: Way, write: Callable[[bytes], None]) -> int:
        """Move them, and give back how many went over the line. ``write`` appends to what is fetched by a stream.

        Raises:
            drctl.adapters.progress.Ended: they did not all get through.
            Grown: there was more of it than ``start`` says.
            RsyncCannot: rsync does not work between these two, and nothing has moved.
        """
        return self._by_rsync() if way == "rsync" else self._by_stream(write)

    def _by_rsync(self) -> int:
        here = str(self.local) if self.order.direction == "put" else str(self.local) + PART
        there = f"{self.case.endpoint.host}:{self.remote}"
        ends = [here, there + PART] if self.order.direction == "put" else [there, here]
        # -s: names go to the other rsync through the connection, and past its login shell.
        argv = ["rsync", "-s", "--copy-links", "--perms", "--chmod=F600"]
        # Both ends of what came before have been compared by now, by their sha256, and the whole will be. Without
        # --append-verify rsync need not read it all once more.
        argv += ["--inplace", "--append"]
        argv += ["--info=progress2", "--no-human-readable", "--outbuf=N", "--stats"]
        argv += ["-e", for_rsync(client_argv(self.case.endpoint)), "--rsync-path", shlex.join([*self._sudo(), "rsync"])]
        progress, moved, rest = self._progress(), 0, b""

        def take(data: bytes) -> None:
            nonlocal moved, rest
            *lines, rest = re.split(rb"[\r\n]", rest + data)
            for line in lines:
                if match := _NUMBER.match(line):
                    progress(int(match[1]))
                elif match := _LITERAL.match(line):
                    moved = int(match[1])

        ended = self._run([*argv, "--", *ends], progress, take)
        if ended.status in (2, 127) or "command not found" in ended.errors or "is your shell clean" in ended.errors:
            raise RsyncCannot(_telling(ended.errors))
        self._judge(ended, progress)
        return moved

    def _by_stream(self, write: Callable[[bytes], None]) -> int:
        progress = self._progress()
        client = [*client_argv(self.case.endpoint), "--", self.case.endpoint.host]
        if self.order.direction == "put":
            head = encode(f"{self.remote}{PART}\n{self.start}\n")
            with self.local.open("rb") as file:
                file.seek(self.start)

                def feed() -> bytes:
                    nonlocal head
                    piece, head = head or file.read(min(CHUNK, self.total - file.tell())), b""
                    progress(file.tell())
                    return piece

                ended = self._run([*client, self._script(_PUT)], progress, lambda _: None, feed)
            if ended.status == _GROWN:
                raise Grown
            self._judge(ended, progress)
            return self.total - self.start
        token = secrets.token_hex(16).encode()
        asked = encode(f"{self.remote}\n{self.start + 1}\n") + token + b"\n"
        noise: bytes | None = b""

        def take(data: bytes) -> None:
            # What a login shell prints comes before the token, and is none of the file.
            nonlocal noise
            if noise is not None:
                before, found, data = (noise + data).partition(token + b"\n")
                noise = None if found else before[-CHUNK:]
            if noise is None and data:
                write(data)
                progress(progress.there + len(data))

        def ask() -> bytes:
            nonlocal asked
            piece, asked = asked, b""
            return piece

        ended = self._run([*client, self._script(_GET)], progress, take, ask)
        self._judge(ended, progress)
        return progress.there - self.start

    def _run(
        self,
        argv: list[str],
        progress: Progress,
        take: Callable[[bytes], None],
        feed: Callable[[], bytes] | None = None,
    ) -> Ended:
        try:
            ended = run_child(argv, left_s=self.case.deadline.left_s, take=take, feed=feed)
        except OSError as error:
            self._full_or(f"{self.local} on this machine", error.strerror or str(error), progress)
        if ended.status is None:
            self.case.overdue(f"by ending {argv[0]} on this machine: {self._so_far(progress)}")
        return ended

    def _judge(self, ended: Ended, progress: Progress) -> None:
        if ended.status == 0:
            return
        said, host = ended.errors, self.case.endpoint.host
        put = self.order.direction == "put"
        if _FULL.search(said):
            self._full_or(f"{host}:{self.remote}" if put else f"{self.local} on this machine", _telling(said), progress)
        if _NO_SUDO.search(said) and progress.there == self.start:
            self.case.end(Ending.REFUSED, f"sudo to {self.case.become} on {host}: {_telling(said)}; nothing was sent")
        if _NO.search(said):
            self.case.end(Ending.REFUSED, f"{host} said no to OpenSSH's own client: {_telling(said)}; nothing was sent")
        if _NOBODY.search(said):
            self.case.end(Ending.UNREACHABLE, f"{host} cannot be reached: {_telling(said)}; nothing was sent")
        # The far rsync's own words are lost when it dies quickly, so the disk itself is asked.
        arrived = self.arrived()
        if arrived is not None and arrived.free is not None and arrived.free < min(self.total - arrived.size, _LITTLE):
            self._full_or(f"{host}:{self.remote}", "No space left on device", progress)
        so_far = self._so_far(progress) if arrived is None else self._exactly(arrived.size)
        # 255 is ssh's own; with 10, 12, 20 and 30 rsync says that the other end has gone; a signal came from outside.
        if ended.status is None or ended.status < 0 or ended.status in (255, 10, 12, 20, 30):
            why = f"the connection to {host} was lost in the middle of it"
            self.case.end(Ending.LOST, f"{why}: {so_far} ({_telling(said)})")
        why = _telling(said, f"the client ended with exit code {ended.status} and said nothing")
        self.case.no(f"{self.order.direction} {host}:{self.remote}: {why}; {so_far}")

    def _full_or(self, where: str, said: str, progress: Progress) -> NoReturn:
        if not _FULL.search(said):
            self.case.no(f"{where}: {said}; {self._so_far(progress)}")
        part = self.remote if self.order.direction == "put" else str(self.local)
        self.case.no(
            f"the disk is full: {where} needs {size(self.total)}; what has come of it stays in {part}{PART}, "
            "and the next attempt goes on from there"
        )

    def _so_far(self, progress: Progress) -> str:
        return self._exactly(progress.there, "about ")

    def _exactly(self, there: int, about: str = "") -> str:
        return f"{about}{size(there)} of {size(self.total)} are there, and the next attempt goes on from there"

    def _progress(self) -> Progress:
        what = f"{self.order.direction} {self.local.name}"
        return Progress(self.case.output, what, self.total, self.start)

    def _sudo(self) -> list[str]:
        argv = shell_argv(self.case.become, route_to(self.case.endpoint).user)
        return argv[: argv.index("--") + 1] if "--" in argv else []

    def _script(self, script: str) -> str:
        return shlex.join([*self._sudo(), "sh", "-c", script])


class Grown(Exception):
    """More has come of the file since its size was asked for: it must be looked at again."""


class RsyncCannot(Exception):
    """rsync does not work between these two: an old one, or a login shell that prints."""


def way_of(remote: str, rsync_there: str) -> Way:
    """rsync when both ends have one that keeps names away from shells and patterns; else a plain stream."""
    usable = _version(rsync_there) >= (3, 0) and _version(_rsync_here()) >= (3, 1) and not set(remote) & _PATTERN
    return "rsync" if usable else "a plain stream"


@cache
def _rsync_here() -> str:
    try:
        done = subprocess.run(["rsync", "--version"], capture_output=True, timeout=15, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _version(said: str) -> tuple[int, int]:
    match = _VERSION.match(said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _telling(errors: str, otherwise: str = "it said nothing") -> str:
    """The line that says why: ssh's or sudo's own, or rsync's first, before it says that it therefore gives up."""
    lines = [line.strip() for line in errors.splitlines() if line.strip() and set(line.strip()) != {"@"}]
    known = next((line for line in lines if _FULL.search(line) or _NO.search(line) or line.startswith("sudo: ")), "")
    return (known or (lines[0] if lines else otherwise))[:300]
