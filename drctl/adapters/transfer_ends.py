"""The two ends of a transfer: what is there, what its sum is, and how it gets its own name once it is right."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import math
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NoReturn

from drctl.adapters.progress import Deadline, Ended, Progress
from drctl.engine.ports import CommandResult, CommandRunner, Ending, OutputSink, ShellCommand, Stream
from drctl.model.plan import Endpoint

PART = ".drctl-part"
NEW_MODE = 0o600
_PIECE = 1_048_576
_ANSWERS = 65_536
_AFTERWARDS_S = 15.0
_SUM = re.compile(r"[0-9a-f]{64}\Z")


@cache
def _script() -> str:
    return (resources.files("drctl.adapters") / "files" / "transfer.sh").read_text("utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One transfer: with whom, as whom, until when, and where to say what happens."""

    commands: CommandRunner
    endpoint: Endpoint
    become: str | None
    deadline: Deadline
    output: OutputSink

    def no(self, why: str) -> NoReturn:
        """It cannot be done: exit code 1, and the reason on standard error."""
        self.output("stderr", f"{why}\n".encode("utf-8", "surrogateescape"))
        raise Ended(CommandResult(ending=Ending.FINISHED, exit_code=1, detail=why))

    def end(self, ending: Ending, why: str) -> NoReturn:
        """It ended in a way that has no exit code."""
        self.output("stderr", f"{why}\n".encode("utf-8", "surrogateescape"))
        raise Ended(CommandResult(ending=ending, detail=why))

    def overdue(self, what: str) -> NoReturn:
        """The time is over."""
        self.end(Ending.TIMED_OUT, f"it took longer than {self.deadline.timeout_s:g} s, and was ended {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """What the host says of a file. ``path`` is absolute; ``part`` is how many bytes of it came before."""

    path: str
    size: int = 0
    sum: str = ""
    whole: str = ""
    part: int = 0
    rsync: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What has come of a file that broke off, and what is left of the disk, in bytes; None when that is not known."""

    size: int
    free: int | None


class _Answers:
    """Keeps what the script says, up to a limit: a host that answers without end is no host of ours."""

    def __init__(self) -> None:
        self.text: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}

    def __call__(self, stream: Stream, data: bytes) -> None:
        self.text[stream] += data[: _ANSWERS - len(self.text[stream])]

    def said(self, stream: Stream) -> list[str]:
        return bytes(self.text[stream]).decode("utf-8", "surrogateescape").split("\n")


class FarEnd:
    """The host's end of one transfer. ``path`` is as the runbook has it, until the host has said where that is."""

    def __init__(self, case: Case, path: str) -> None:
        self._case = case
        self._path = path if path.startswith("/") else f"./{path}"

    @property
    def name(self) -> str:
        """For people."""
        return f"{self._case.endpoint.host}:{self._path}"

    def source(self) -> There:
        """The file that is to be fetched, and its sum.

        Raises:
            Ended: it cannot be read, or the host cannot be reached.
        """
        return self._there(self._ask("source", self._path))

    def target(self, size: int) -> There:
        """What is there of the file that is to be sent, which has ``size`` bytes.

        Raises:
            Ended: it could not be written, or the host cannot be reached.
        """
        return self._there(self._ask("target", self._path, str(size)))

    def prefix(self, size: int) -> str:
        """The sum of the first ``size`` bytes."""
        return self._ask("prefix", self._path, str(size)).get("sum", "")

    def arrived(self) -> Arrived | None:
        """How much has come by now, after something went wrong; None when the host cannot be asked any more."""
        try:
            answers = self._ask("arrived", self._path, limit_s=_AFTERWARDS_S)
        except Ended:
            return None
        free = answers.get("free", "")  # the last line of df's; its first is a heading
        return Arrived(size=int(answers.get("part", "0")), free=int(free) * 1024 if free.isdecimal() else None)

    def discard(self) -> None:
        """Throw away what came before."""
        self._ask("discard", self._path)

    def finish(self, sum_: str) -> str:
        """Give the file its name when it has this sum; the sum that it has."""
        try:
            answers = self._ask("finish", self._path, sum_)
        except Ended as ended:
            if ended.result.ending is not Ending.LOST:
                raise
            why = f"{ended.result.detail}; whether {self.name} has its own name already is not known: send it again"
            raise Ended(replace(ended.result, detail=why)) from None
        return answers.get("done") or answers.get("wrong", "")

    def _there(self, answers: dict[str, str]) -> There:
        if not self._path.startswith("/"):
            self._path = f"{answers.get('cwd', '').rstrip('/')}/{self._path[2:]}"
        if not self._path.startswith("/"):
            self._case.no(f"{self.name}: the host does not say where its home directory is: give the whole path")
        return There(
            path=self._path,
            size=int(answers.get("size", "0")),
            sum=answers.get("sum", ""),
            whole=answers.get("whole", ""),
            part=int(answers.get("part", "0")),
            rsync=answers.get("rsync", ""),
        )

    def _ask(self, *words: str, limit_s: float = math.inf) -> dict[str, str]:
        case, answers = self._case, _Answers()
        if case.deadline.left_s() <= 0:
            case.overdue("before the host was asked")
        command = ShellCommand(script=_script(), words=words, become=case.become)
        result = case.commands.probe(
            case.endpoint, command, timeout_s=min(limit_s, case.deadline.left_s()), output=answers
        )
        if result.ending is Ending.TIMED_OUT and limit_s == math.inf:
            case.overdue(f"while {case.endpoint.host} looked at the file")
        if result.ending is not Ending.FINISHED:
            raise Ended(result)
        found: dict[str, str] = {}
        for line in answers.said("stdout"):
            word, _, value = line.partition(" ")
            found[word] = value
        if "no" in found:
            case.no(f"{self.name} {found['no']}{_because(answers)}")
        if result.exit_code != 0:
            case.no(f"{self.name} cannot be looked at{_because(answers) or f': exit code {result.exit_code}'}")
        for word in ("sum", "whole", "done", "wrong"):
            if word in found and not _SUM.match(found[word]):
                case.no(f"{self.name} cannot be compared: the host gives no sha256 of it{_because(answers)}")
        for word in ("size", "part"):
            if word in found and not found[word].isdecimal():
                case.no(f"{self.name} cannot be looked at: its size is said to be {found[word][:40]!r}")
        return found


def _because(answers: _Answers) -> str:
    said = [line.strip() for line in answers.said("stderr") if line.strip()]
    return f": {said[-1][:300]}" if said else ""


class NearEnd:
    """The file on the operator's machine. ``path`` is absolute."""

    def __init__(self, case: Case, path: str) -> None:
        self._case = case
        # Not resolve(): a link of that name is what is replaced.
        self.path = Path(os.path.abspath(path))
        self.part = self.path.with_name(self.path.name + PART)

    def size(self) -> int:
        """Of the file that is to be sent, in bytes.

        Raises:
            Ended: it is not there, or is no file.
        """
        try:
            status = self.path.stat()
        except OSError as error:
            self._case.no(f"{self.path} on this machine cannot be sent: {error.strerror}")
        if not stat.S_ISREG(status.st_mode):
            what = "is a directory: one file is sent at a time" if stat.S_ISDIR(status.st_mode) else "is not a file"
            self._case.no(f"{self.path} on this machine {what}")
        return status.st_size

    def sums(self, *, prefix: int = 0) -> tuple[str, str]:
        """The sums of the whole file and of its first ``prefix`` bytes.

        Raises:
            Ended: it cannot be read, or the time is over.
        """
        try:
            with self.path.open("rb") as file:
                return self._sums(file.fileno(), prefix)
        except OSError as error:
            self._case.no(f"{self.path} on this machine cannot be read: {error.strerror}")

    def has(self, sum_: str, size: int) -> bool:
        """Whether the file is here already, and right."""
        try:
            if not self.path.is_file() or self.path.stat().st_size != size:
                return False
        except OSError:
            return False
        return self.sums()[0] == sum_

    @contextlib.contextmanager
    def receiving(self) -> Iterator[int]:
        """The descriptor of the file that is to come, under its name for the time being; nobody else may write to it.

        Raises:
            Ended: it cannot be written, or another drctl writes to it.
        """
        if self.path.is_dir():
            self._case.no(f"{self.path} on this machine is a directory: name the file itself")
        try:
            part = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, NEW_MODE)
        except OSError as error:
            self._case.no(f"{self.path} on this machine cannot be written: {error.strerror} ({self.part})")
        try:
            status = os.fstat(part)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                self._case.no(f"{self.path} on this machine cannot be written: {self.part} is not a file of our own")
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
                same = os.path.samestat(os.stat(self.part, follow_symlinks=False), status)
            except OSError:
                same = False
            if not same:
                self._case.no(f"another drctl is fetching {self.path}: wait for it, or give another name")
            yield part
        finally:
            os.close(part)

    def arrived(self) -> Arrived | None:
        """The same as at the far end; that the disk is full is said by whoever fills it here."""
        try:
            return Arrived(size=self.part.stat().st_size, free=None)
        except OSError:
            return None

    def sum_of(self, part: int, size: int) -> str:
        """The sum of the first ``size`` bytes that have come."""
        return self._sums(part, size)[1]

    def finish(self, part: int) -> None:
        """Give the file its own name, for good.

        Raises:
            Ended: this machine cannot keep it.
        """
        try:
            mode = NEW_MODE
            if self.path.is_file() and not self.path.is_symlink():
                status = self.path.stat()
                mode = status.st_mode & 0o777
                with contextlib.suppress(OSError):  # it stays ours; only root can give files away
                    os.fchown(part, status.st_uid, status.st_gid)
            os.fchmod(part, mode)
            os.fsync(part)
            self.part.replace(self.path)
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            self._case.no(f"{self.path} on this machine has arrived as {self.part}, and no further: {error.strerror}")

    def _sums(self, file: int, prefix: int) -> tuple[str, str]:
        whole, beginning, at = hashlib.sha256(), "", 0
        total = os.fstat(file).st_size
        progress = Progress(self._case.output, f"reading {self.path.name}", total)
        if prefix == 0:
            beginning = whole.hexdigest()
        while True:
            wanted = min(_PIECE, prefix - at) if at < prefix else _PIECE
            piece = os.pread(file, wanted, at)
            whole.update(piece)
            at += len(piece)
            if at == prefix and piece:
                beginning = whole.hexdigest()
            if not piece:
                return whole.hexdigest(), beginning
            if self._case.deadline.left_s() <= 0:
                self._case.overdue(f"while {self.path} was read: nothing was changed")
            progress(at)
