"""The one ``CommandRunner`` that the engine gets: the operator's machine, or a host over SSH."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from drctl.adapters import job as jobs
from drctl.adapters.hold import Hold, hold_name
from drctl.adapters.left import Left, left, prune
from drctl.adapters.local import LocalTransport
from drctl.adapters.payload import PayloadError, script_text
from drctl.adapters.secrets import SecretError, SecretResolver
from drctl.adapters.transport import NotSent, Transport
from drctl.engine.ports import CommandResult, Ending, JobName, OutputSink, ShellCommand
from drctl.model.plan import Endpoint


class ClosableTransport(Transport, Protocol):
    """A way to a host that holds something open."""

    def close(self) -> None:
        """Let it go."""
        ...


_Way = tuple[str, str, int, str, str | None]
Connect = Callable[[Endpoint], ClosableTransport]


def over_ssh(endpoint: Endpoint) -> ClosableTransport:
    """A host over SSH, with the usual timings. Fabric is imported here, and only when a host is needed."""
    from drctl.adapters.ssh.runner import SshTransport

    return SshTransport(endpoint)


class Commands:
    """Runs shell commands, on this machine or over SSH. Safe to use from several threads at once.

    ``secrets`` resolves the references in commands, each time that one is sent. ``local`` and ``connect`` are the
    ways to this machine and to the hosts. Nothing is raised for a command that could not be sent: that a secret is
    not there, or a value cannot be sent, is REFUSED, as nothing was run. ``hold`` is for whom the service is claimed
    on the hosts where jobs are started.
    """

    def __init__(
        self,
        secrets: SecretResolver,
        *,
        local: Transport | None = None,
        connect: Connect = over_ssh,
        hold: Hold | None = None,
    ) -> None:
        self._secrets = secrets
        self._hold = hold
        self._local = local or LocalTransport()
        self._connect = connect
        self._lock = threading.Lock()
        self._hosts: dict[_Way, ClosableTransport] = {}

    def probe(
        self, endpoint: Endpoint | None, command: ShellCommand, *, timeout_s: float, output: OutputSink
    ) -> CommandResult:
        """See ``CommandRunner.probe``."""
        try:
            script = self._script(command)
        except (SecretError, PayloadError) as error:
            return _not_sent(error)
        return jobs.probe(self._transport(endpoint), script, become=command.become, timeout_s=timeout_s, output=output)

    def job(
        self,
        endpoint: Endpoint | None,
        command: ShellCommand,
        *,
        name: JobName,
        timeout_s: float,
        output: OutputSink,
    ) -> CommandResult:
        """See ``CommandRunner.job``. ``timeout_s`` counts from now, also for a job that was started long ago."""
        try:
            script = self._script(command)
        except (SecretError, PayloadError) as error:
            return _not_sent(error)
        transport = self._transport(endpoint)
        hold = replace(self._hold, host=endpoint.host) if self._hold and endpoint else None

        def start() -> CommandResult:
            return jobs.job(
                transport,
                command,
                script,
                directory=jobs.job_directory(name, endpoint.host if endpoint else ""),
                timeout_s=timeout_s,
                output=output,
                hold=hold,
            )

        result = start()
        if hold is None or not result.held_by or not hold.ours(result.held_by):
            return result
        with suppress(NotSent):
            jobs.release(transport, name=hold.name, run_id=result.held_by, become=command.become)
        return start()

    def release(self, endpoint: Endpoint, *, service: str, run_id: str, become: str | None) -> tuple[str, ...]:
        """Let a service go on a host; see ``jobs.release``. A host that cannot be asked is ``unknown``, with why."""
        name = hold_name(service, endpoint.host)
        try:
            return jobs.release(self._transport(endpoint), name=name, run_id=run_id, become=become)
        except NotSent as error:
            return "unknown", str(error)

    def kill(self, endpoint: Endpoint | None, *, name: JobName, become: str | None) -> CommandResult:
        """See ``CommandRunner.kill``. A job that was never started cannot be started by that name any more."""
        directory = jobs.job_directory(name, endpoint.host if endpoint else "")
        return jobs.kill(self._transport(endpoint), directory=directory, become=become)

    def left(self, endpoint: Endpoint | None, *, become: str | None) -> Left:
        """What is left of runs on a host, for one of its users."""
        return left(self._transport(endpoint), become=become)

    def prune(self, endpoint: Endpoint | None, names: Sequence[str], *, become: str | None) -> int:
        """Remove jobs by their directories' names; how many. What runs or is held there stays."""
        return prune(self._transport(endpoint), names, become=become)

    def close(self) -> None:
        """Let the connections go. Running jobs go on."""
        with self._lock:
            hosts = list(self._hosts.values())
            self._hosts.clear()
        for host in hosts:
            host.close()

    def _script(self, command: ShellCommand) -> str:
        return script_text(command, self._secrets.resolve_all(command.secrets))

    def _transport(self, endpoint: Endpoint | None) -> Transport:
        if endpoint is None:
            return self._local
        way = (endpoint.host, endpoint.address, endpoint.port, endpoint.user, endpoint.ssh_config)
        with self._lock:
            if way not in self._hosts:
                self._hosts[way] = self._connect(endpoint)
            return self._hosts[way]


def _not_sent(error: SecretError | PayloadError) -> CommandResult:
    detail = error.message if isinstance(error, SecretError) else str(error)
    return CommandResult(ending=Ending.REFUSED, detail=f"{detail}: nothing was run")
