"""Shells on a host over SSH: one connection for each host, and the decision when to open it anew."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import threading
import time
from collections.abc import Callable

import paramiko

from drctl.adapters.ssh.ahead import SessionsFull
from drctl.adapters.ssh.connection import Connection, Session, Timings, connect
from drctl.adapters.ssh.hosts import route_to
from drctl.adapters.transport import LINGER_S, Exchanged, Limit, Refused, Take, Unreachable, shell_argv
from drctl.engine.ports import Stream
from drctl.model.plan import Endpoint

_CHUNK = 65536
_LOGIN_SHELL = shlex.join(shell_argv(None, ""))
_GONE = (paramiko.SSHException, EOFError, OSError)


class SshTransport:
    """A ``Transport`` to one host. It connects when it is first needed.

    A connection that turns out to be dead is replaced only as long as nothing was sent over it.
    """

    def __init__(self, endpoint: Endpoint, *, timings: Timings | None = None) -> None:
        self._endpoint = endpoint
        self._timings = timings or Timings()
        self._connecting = threading.Lock()  # one at a time; held for as long as a host takes to answer
        self._listing = threading.Lock()  # never held while anything is waited for
        self._connections: list[Connection] = []
        self._closed = 0  # how often
        self._login = endpoint.user

    @property
    def label(self) -> str:
        """What people call the machine."""
        return self._endpoint.host

    def exchange(self, text: bytes, *, become: str | None, take: Take, limit: Limit) -> Exchanged:
        """See ``Transport``."""
        connection, conversation = self._begun(become, take)
        try:
            deadline = time.monotonic() + limit.timeout_s
            sent = conversation.send(text, limit.timeout_s)
            connection.ahead.start(_LOGIN_SHELL)
            if not (sent and conversation.go_on(deadline)):
                limit.overdue()
                conversation.go_on(time.monotonic() + limit.linger_s)
            return conversation.result()
        finally:
            conversation.close()

    def close(self) -> None:
        """Let the connections go. One that is being made is not waited for, and goes when its command is over."""
        with self._listing:
            connections, self._connections = self._connections, []
            self._closed += 1
        for connection in connections:
            connection.close()

    def _begun(self, become: str | None, take: Take) -> tuple[Connection, _Conversation]:
        """A shell that has nothing to do yet, on a channel of its own."""
        while True:
            connection, session = self._session()
            conversation = _Conversation(connection, session.channel, take)
            begun = False
            try:
                command = shlex.join(shell_argv(become, self._login))
                if session.ahead:
                    asked = time.monotonic()
                    begun = conversation.take_over(command, asked + self._timings.channel_s)
                    if begun:
                        connection.ahead.answered(time.monotonic() - asked)
                else:
                    begun = conversation.begin(command)
            finally:
                if not begun:
                    conversation.close()
            if begun:
                return connection, conversation
            if session.ahead:
                continue  # it, or the connection, has gone since it was opened: that says nothing about another one
            if connection.alive:
                raise Refused(f"{self.label} lets us in and runs no commands: nothing was sent")
            raise Unreachable(f"{connection.lost_because}, before anything was sent")

    def _session(self) -> tuple[Connection, Session]:
        tried: set[Connection] = set()
        while True:
            if found := self._session_of_open(tried):
                return found
            with self._connecting:
                if any(connection not in tried for connection in self._connections):
                    continue  # another thread has connected while we waited
                closed = self._closed
                route = route_to(self._endpoint)
                self._login = route.user
                connection = connect(route, self._timings)
                try:
                    # Before other threads see it: they could take all the sessions that the host allows on it.
                    session = connection.open_session()
                except SessionsFull as error:
                    connection.close()
                    raise Refused(f"{self.label} lets us in and opens no session: {error}; nothing was sent") from error
                except _GONE as error:
                    connection.close()
                    raise Unreachable(f"{self.label} hung up as soon as it was reached: nothing was sent") from error
                with self._listing:
                    wanted = closed == self._closed
                    if wanted:
                        self._connections = [*self._connections, connection]
                if not wanted:
                    connection.retire()
                return connection, session

    def _session_of_open(self, tried: set[Connection]) -> tuple[Connection, Session] | None:
        for connection in self._connections:
            if connection in tried:
                continue
            tried.add(connection)
            if not connection.alive:
                self._drop(connection)
                continue
            try:
                return connection, connection.open_session()
            except SessionsFull:
                continue
            except _GONE:
                self._drop(connection)
        return None

    def _drop(self, connection: Connection) -> None:
        with self._listing:
            self._connections = [other for other in self._connections if other is not connection]
        connection.retire()


class _Bell:
    """Rung by both of a channel's buffers and by its status. Paramiko's own waiting looks every 10 ms instead."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        """A buffer that was read empty says so; the other one may still have something."""

    def wait(self, seconds: float) -> None:
        self._event.wait(seconds)
        self._event.clear()


class _RingingEvent(threading.Event):
    def __init__(self, bell: _Bell) -> None:
        super().__init__()
        self._bell = bell

    def set(self) -> None:
        super().set()
        self._bell.set()


class _Conversation:
    """One command on one channel, in the thread that asked for it."""

    def __init__(self, connection: Connection, channel: paramiko.Channel, take: Take) -> None:
        self._connection = connection
        self._channel = channel
        self._take = take
        self._bell = _Bell()
        before, channel.status_event = channel.status_event, _RingingEvent(self._bell)
        if before.is_set():
            channel.status_event.set()
        channel.in_buffer.set_event(self._bell)  # type: ignore[arg-type]
        channel.in_stderr_buffer.set_event(self._bell)  # type: ignore[arg-type]

    def begin(self, command: str) -> bool:
        """Start the shell, which has nothing to do yet. False when there is none: nothing was sent."""
        try:
            self._channel.exec_command(command)
        except _GONE:
            return False
        return True

    def take_over(self, command: str, deadline: float) -> bool:
        """Make the shell that waits here the one that is wanted. False when it does not answer: nothing was sent.

        It is asked for a word first, which says what the answer to ``begin`` says: host, connection and shell are
        there. ``exec`` stands in the same line, as what is sent after the word is for the shell that follows.
        """
        word = secrets.token_hex(16)
        heard = b""

        def listen(stream: Stream, data: bytes) -> None:
            nonlocal heard
            if stream == "stdout":
                heard = heard[-len(word) :] + data
            self._take(stream, data)

        become = "" if command == _LOGIN_SHELL else f"; exec {command}"
        self._channel.settimeout(max(0.0, deadline - time.monotonic()))
        try:
            self._channel.sendall(f"echo {word}{become}\n".encode())
        except (TimeoutError, *_GONE):
            return False
        while True:
            over = self._channel.closed or self._channel.status_event.is_set()
            self._read(listen)
            if word.encode() in heard:
                return True
            now = time.monotonic()
            if over or now >= deadline:
                return False
            self._bell.wait(deadline - now)

    def send(self, text: bytes, timeout_s: float) -> bool:
        """Give it its text. False when it did not take it in time."""
        self._channel.settimeout(timeout_s)
        try:
            self._channel.sendall(text)
            self._channel.shutdown_write()
        except TimeoutError:
            return False
        except _GONE:
            pass  # it has ended, or the connection has: the status says which
        return True

    def go_on(self, deadline: float) -> bool:
        """Until the shell has ended and all its output is here, or the time is over; False when it is over."""
        ended_at: float | None = None
        while True:
            # Looked at before reading: what came before it is then read.
            ended = self._channel.status_event.is_set()
            over = ended and (self._channel.eof_received or self._channel.closed)
            self._read(self._take)
            if over:
                return True
            now = time.monotonic()
            if ended and ended_at is None:
                ended_at = now
            until = deadline if ended_at is None else min(deadline, ended_at + LINGER_S)
            if now >= until:
                return ended
            self._bell.wait(until - now)

    def close(self) -> None:
        """It is over, or never began."""
        with contextlib.suppress(*_GONE):
            self._channel.close()
        self._connection.done()

    def result(self) -> Exchanged:
        """How it ended, as far as it has."""
        if self._channel.exit_status >= 0:
            return Exchanged(status=self._channel.exit_status)
        if not self._connection.alive:
            return Exchanged(status=None, detail=self._connection.lost_because)
        return Exchanged(status=None, detail=f"the shell on {self._connection.name} ended without an exit code")

    def _read(self, take: Take) -> None:
        channel = self._channel
        streams: tuple[tuple[Stream, Callable[[], bool], Callable[[int], bytes]], ...] = (
            ("stdout", channel.recv_ready, channel.recv),
            ("stderr", channel.recv_stderr_ready, channel.recv_stderr),
        )
        for stream, ready, receive in streams:
            while ready():
                try:
                    data = receive(_CHUNK)
                except _GONE:
                    return  # it could not be acknowledged; the channel closes
                take(stream, data)
