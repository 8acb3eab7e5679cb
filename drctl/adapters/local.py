"""Shells on the operator's machine, with the same promises as those on hosts."""

from __future__ import annotations

import os
import pwd
import selectors
import subprocess
import time
from collections.abc import Mapping
from typing import IO

from drctl.adapters.transport import LINGER_S, Exchanged, Limit, Refused, Take, shell_argv
from drctl.engine.ports import Stream

_CHUNK = 65536

INHERITED = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "PATH",
    "SSH_AUTH_SOCK",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_STATE_HOME",
)
"""All that a local script gets of drctl's environment, besides TERM=dumb. A script that depends on anything else must
take it as a variable, so that it does the same when another person resumes the run from another terminal."""


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of local scripts."""
    return {name: environ[name] for name in INHERITED if name in environ} | {"TERM": "dumb"}


class LocalTransport:
    """``sh -s`` through subprocess, in a session of its own: Ctrl-C at the operator's terminal does not reach it."""

    def __init__(self, *, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(clean_environment(os.environ) if environment is None else environment)

    @property
    def label(self) -> str:
        """What people call the machine."""
        return "this machine"

    def exchange(self, text: bytes, *, become: str | None, take: Take, limit: Limit) -> Exchanged:
        """See ``Transport``. Nothing is ever unreachable here.

        Raises:
            Refused: sh or sudo is not there, or the user's name is not one, or this machine does not run Linux.
        """
        if not hasattr(os, "pidfd_open"):
            raise Refused("local steps need Linux, and this machine runs something else: nothing was run")
        argv = shell_argv(become, _login())
        try:
            shell = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise Refused(f"{argv[0]} cannot be started on this machine: {error.strerror}") from error
        with _Conversation(shell, text, take) as conversation:
            if conversation.go_on(limit.timeout_s):
                return conversation.result()
            limit.overdue()
            conversation.go_on(limit.linger_s)
            return conversation.result()


class _Conversation:
    """One shell: its input being written, its outputs being read, its end being waited for, without threads."""

    def __init__(self, shell: subprocess.Popen[bytes], text: bytes, take: Take) -> None:
        self._shell = shell
        self._left = memoryview(text)
        self._take = take
        self._selector = selectors.DefaultSelector()
        self._ended_at: float | None = None
        self._stdin = _descriptor(shell.stdin)
        self._streams: dict[int, Stream] = {
            _descriptor(shell.stdout): "stdout",
            _descriptor(shell.stderr): "stderr",
        }
        os.set_blocking(self._stdin, False)
        self._selector.register(self._stdin, selectors.EVENT_WRITE)
        for descriptor in self._streams:
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._end = os.pidfd_open(shell.pid)
        self._selector.register(self._end, selectors.EVENT_READ)

    def __enter__(self) -> _Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        # The shell that follows a job may be ended at any time: the job is another process, in its own session.
        if self._shell.poll() is None:
            self._shell.kill()
        self._selector.close()
        os.close(self._end)
        for pipe in (self._shell.stdin, self._shell.stdout, self._shell.stderr):
            if pipe is not None:
                pipe.close()
        self._shell.wait()

    def go_on(self, seconds: float) -> bool:
        """Until the shell has ended and all its output is here, or the time is over; False when it is over."""
        deadline = time.monotonic() + seconds
        while self._streams or self._ended_at is None:
            now = time.monotonic()
            until = deadline if self._ended_at is None else min(deadline, self._ended_at + LINGER_S)
            if now >= until:
                return self._ended_at is not None
            for key, _ in self._selector.select(until - now):
                self._serve(key.fd)
        return True

    def result(self) -> Exchanged:
        """How it ended, as far as it has."""
        status = self._shell.poll()
        if status is None or status < 0:
            return Exchanged(status=None, detail="the shell on this machine was killed")
        return Exchanged(status=status)

    def _serve(self, descriptor: int) -> None:
        if descriptor == self._end:
            self._selector.unregister(descriptor)
            self._ended_at = time.monotonic()
        elif stream := self._streams.get(descriptor):
            if data := os.read(descriptor, _CHUNK):
                self._take(stream, data)
            else:
                self._selector.unregister(descriptor)
                del self._streams[descriptor]
        else:
            self._write()

    def _write(self) -> None:
        try:
            written = os.write(self._stdin, self._left[:_CHUNK])
            self._left = self._left[written:]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._left = self._left[:0]  # it has ended; its exit status says the rest
        if not self._left:
            self._selector.unregister(self._stdin)
            if self._shell.stdin is not None:
                self._shell.stdin.close()


def _descriptor(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise ValueError("the shell was started without pipes")
    return pipe.fileno()


def _login() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""
