"""A Fabric connection that is quick, checks who answers, and notices when nobody does any more.

What Fabric and paramiko do out of the box, and why it is not enough here, is the table in ``docs/explanation/ssh.md``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any

import paramiko
import tenacity
from fabric import Config
from fabric import Connection as FabricConnection
from paramiko.auth_strategy import AuthFailure

from drctl.adapters.ssh.ahead import SessionsFull, ShellsAhead
from drctl.adapters.ssh.hosts import Route
from drctl.adapters.ssh.pulse import Pulse
from drctl.adapters.ssh.trust import CheckedHostKeys, OurKeys, preferred_key_types
from drctl.adapters.transport import Refused, Unreachable

# Paramiko logs a traceback for every host that hangs up; without a handler Python prints it on standard error.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """In seconds. ``pulse_s`` after the last answer the host is asked whether it is there, and has ``silence_s`` to say
    so. ``connect_s`` replaces what the configuration says."""

    connect_s: float | None = None
    banner_s: float = 15.0
    auth_s: float = 30.0
    channel_s: float = 15.0
    pulse_s: float = 5.0
    silence_s: float = 15.0


class Connection:
    """One open SSH connection. Several threads may open channels on it."""

    def __init__(self, fabric: FabricConnection, closing: contextlib.ExitStack, name: str, timings: Timings) -> None:
        self._closing = closing
        self._transport: paramiko.Transport = fabric.transport
        self.name = name
        self._timings = timings
        self._lock = threading.Lock()
        self._users = 0
        self._retired = False
        self.ahead = ShellsAhead(self._open, name)
        self._pulse = Pulse(self._transport, name, every_s=timings.pulse_s, silence_s=timings.silence_s)
        self._pulse.start()

    @property
    def alive(self) -> bool:
        """False once the connection is known to be gone."""
        return self._transport.is_active()

    @property
    def lost_because(self) -> str:
        """Why it is gone, for people."""
        if self._pulse.silent:
            return f"{self.name} stopped answering in the middle of it"
        return f"the connection to {self.name} was lost in the middle of it"

    def open_session(self) -> Session:
        """A channel for one command. ``done`` must be called when the command is over.

        Raises:
            SessionsFull: the host allows no more of them on this connection.
            paramiko.SSHException, EOFError, OSError: the connection is gone, or the host did not answer in time.
        """
        waiting = self.ahead.take()
        channel = waiting if waiting is not None else self._open()
        with self._lock:
            self._users += 1
        return Session(channel=channel, ahead=waiting is not None)

    def _open(self) -> paramiko.Channel:
        asked = time.monotonic()
        try:
            return self._transport.open_session()
        except paramiko.ChannelException as error:
            raise SessionsFull(error.text) from error
        except paramiko.SSHException as error:
            # Of several threads that are told no at once, paramiko gives one the reason, and the others none.
            if self.alive and time.monotonic() - asked < self._timings.channel_s:
                raise SessionsFull("no more sessions") from error
            raise

    def done(self) -> None:
        """A command is over."""
        with self._lock:
            self._users -= 1
            last = self._retired and self._users == 0
        if last:
            self.close()

    def retire(self) -> None:
        """Close it as soon as no command uses it: at once, or later."""
        with self._lock:
            self._retired = True
            last = self._users == 0
        if last:
            self.close()

    def close(self) -> None:
        """Let it go, and the gateways that it came through."""
        self._pulse.stop()
        self._closing.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A channel that has no command yet; or, ``ahead``, one whose shell was started earlier and may have gone since."""

    channel: paramiko.Channel
    ahead: bool = False


class _Passing(Exception):
    """A failure to connect that may be gone a moment later. Only these are tried again."""


def connect(route: Route, timings: Timings) -> Connection:
    """Open a connection. A host that is busy starting sshd is tried again a few times; nothing else is.

    Raises:
        Unreachable: nobody there, or nobody who speaks SSH in time.
        Refused: host key, authentication.
    """
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_Passing),
        stop=tenacity.stop_after_attempt(3) | tenacity.stop_after_delay(timings.connect_s or route.connect_timeout_s),
        wait=tenacity.wait_exponential(multiplier=0.25, max=2),
        reraise=True,
    )
    closing = contextlib.ExitStack()
    try:
        fabric = attempts(_open, route, timings, closing)
    except BaseException as error:
        closing.close()
        if isinstance(error, _Passing):
            raise Unreachable(str(error)) from error
        raise
    return Connection(fabric, closing, route.name, timings)


def _open(route: Route, timings: Timings, closing: contextlib.ExitStack) -> FabricConnection:
    closing.close()  # what an attempt before this one left
    gateway: FabricConnection | None = None
    if route.through is not None:
        gateway = _open(route.through, timings, closing.enter_context(contextlib.ExitStack()))
        _wake(gateway)
    connect_s = timings.connect_s or route.connect_timeout_s
    keys = OurKeys(route)
    arguments: dict[str, Any] = {
        "banner_timeout": timings.banner_s,
        "auth_timeout": timings.auth_s,
        "channel_timeout": timings.channel_s,
        "auth_strategy": keys,
        "transport_factory": _TransportFactory(route),
    }
    if route.proxy_command is not None:
        arguments["sock"] = _proxy(route.proxy_command, closing)
    elif gateway is None:
        arguments["sock"] = _tcp(route, connect_s)
    # A Config of our own for each connection: sharing one between threads is a race. Nothing is read from fabric.yml.
    negotiation_s = int(connect_s + timings.banner_s) + 1
    config = Config(overrides={"load_ssh_configs": False, "timeouts": {"connect": negotiation_s}}, lazy=True)
    fabric = FabricConnection(
        route.address, user=route.user, port=route.port, config=config, gateway=gateway, connect_kwargs=arguments
    )
    fabric.client = client = paramiko.SSHClient()
    client.set_missing_host_key_policy(CheckedHostKeys(route))
    closing.callback(_hang_up, client)
    where = f"{route.name} ({route.address}:{route.port})"
    asked = time.monotonic()
    try:
        fabric.open()
    except AuthFailure as error:
        raise _authentication(error, keys, route) from error
    except paramiko.ChannelException as error:
        raise Unreachable(f"the gateway of {where} cannot connect to it: {error.text}") from error
    except (paramiko.SSHException, EOFError) as error:
        if "banner" in str(error) and time.monotonic() - asked >= timings.banner_s:
            # The kernel takes connections for a server that stands still; paramiko says the same of any other trouble.
            silent = f"{where} takes connections, and its sshd said nothing for {timings.banner_s:g} s"
            raise Unreachable(f"{silent}: the host hangs, or is frozen; nothing was sent") from error
        raise _Passing(f"{where} does not speak SSH: {error or 'it hung up'}; nothing was sent") from error
    except OSError as error:
        raise _Passing(f"{where} hung up: {error.strerror or error}; nothing was sent") from error
    finally:
        keys.close()
    if not fabric.transport.is_authenticated():
        raise Refused(f"{where} wants more than a key from {route.user}, and drctl has nobody to ask: nothing was sent")
    return fabric


class _TransportFactory:
    """Paramiko's transport with quick ciphers first, and the key types first that can be compared."""

    def __init__(self, route: Route) -> None:
        self._route = route

    def __call__(self, sock: Any, **options: Any) -> paramiko.Transport:
        transport = paramiko.Transport(sock, **options)
        options_ = transport.get_security_options()
        ciphers = tuple(options_.ciphers)
        quick = tuple(name for name in _FAST_CIPHERS if name in ciphers)
        options_.ciphers = (*quick, *(name for name in ciphers if name not in quick))
        options_.key_types = preferred_key_types(self._route, tuple(options_.key_types))
        return transport


def _tcp(route: Route, connect_s: float) -> socket.socket:
    """A socket that notices a dead line. Every address of the name is tried."""
    where = f"{route.name} ({route.address}:{route.port})"
    try:
        sock = socket.create_connection((route.address, route.port), timeout=connect_s)
    except TimeoutError as error:
        raise Unreachable(f"{where} did not answer within {connect_s:g} s: nothing was sent") from error
    except socket.gaierror as error:
        raise Unreachable(f"{route.address} is no address that is known: {error.strerror}; nothing was sent") from error
    except ConnectionError as error:
        raise _Passing(f"{where} does not take connections: {error.strerror}; nothing was sent") from error
    except OSError as error:
        raise Unreachable(f"{where} cannot be reached: {error.strerror}; nothing was sent") from error
    # Without NODELAY, Nagle's algorithm waits 40 ms for the other side's delayed acknowledgement in every exchange.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000)):
        if hasattr(socket, option):  # macOS lacks two of them; the pulse does the same, later
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return sock


def _proxy(command: str, closing: contextlib.ExitStack) -> socket.socket:
    """ProxyCommand as OpenSSH runs it: by the user's shell, with a socket as its standard input and output."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {command}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end() -> None:
        process.kill()
        process.wait()

    closing.callback(end)
    return ours


def _hang_up(client: paramiko.SSHClient) -> None:
    """Whoever says goodbye through a gateway that has gone already is told so by an exception."""
    with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
        client.close()


def _wake(gateway: FabricConnection) -> None:
    """sshd sets TCP_NODELAY on the gateway at its first command only: 88 ms for each later exchange, or 3."""
    with contextlib.suppress(paramiko.SSHException, EOFError, OSError), gateway.transport.open_session() as channel:
        channel.settimeout(2)
        channel.exec_command("true")
        channel.recv(1)


def _authentication(error: AuthFailure, keys: OurKeys, route: Route) -> Exception:
    where = f"{route.name} ({route.address}:{route.port})"
    # Whatever happens to a key is collected; a host that hung up or fell silent has not said no to anything.
    said_no = [r for _, r in error.result if isinstance(r, paramiko.AuthenticationException) and _is_a_no(r)]
    if keys.tried and not said_no:
        return _Passing(f"{where} hung up during authentication; nothing was sent")
    notes = "".join(f"; {note}" for note in keys.notes)
    offered = f"took none of the {keys.tried} keys offered" if keys.tried else "was offered no key: there is none"
    return Refused(f"{where} {offered} for user {route.user}{notes}; nothing was sent")


def _is_a_no(error: paramiko.AuthenticationException) -> bool:
    return "EOF" not in str(error) and "timeout" not in str(error).lower()
