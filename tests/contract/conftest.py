"""The ways to a shell that every contract holds for: this machine, poorer machines, and a real SSH server."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from drctl.adapters.commands import Commands
from drctl.adapters.local import LocalTransport
from drctl.adapters.redact import Redactor
from drctl.adapters.secrets import SecretResolver
from drctl.engine.ports import CommandResult, JobName, ShellCommand
from drctl.model.plan import Endpoint
from tests.contract.ear import Ear
from tests.contract.sshd import PATIENCE_S, SSHD, Sshd
from tests.contract.transfers import Direction, Files, without_rsync

TOOLS = tuple("cat date env grep head id ln ls mkdir mv printf rm seq sleep sync touch tr wc".split())  # noqa: SIM905


@dataclass
class Way:
    """One way to a shell, and how to make another runner for it, as a second operator would have one."""

    make: Callable[[], Commands]
    endpoint: Endpoint | None
    jobs: Path
    commands: Commands
    environ: dict[str, str]
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16))

    def probe(
        self, script: str, ear: Ear | None = None, *, timeout_s: float = PATIENCE_S, **more: object
    ) -> CommandResult:
        command = ShellCommand(script=script, **more)  # type: ignore[arg-type]
        return self.commands.probe(self.endpoint, command, timeout_s=timeout_s, output=ear or Ear())

    def job(
        self,
        script: str,
        ear: Ear | None = None,
        *,
        name: JobName | None = None,
        timeout_s: float = PATIENCE_S,
        commands: Commands | None = None,
        **more: object,
    ) -> CommandResult:
        command = ShellCommand(script=script, **more)  # type: ignore[arg-type]
        runner = commands or self.commands
        return runner.job(self.endpoint, command, name=name or new_name(), timeout_s=timeout_s, output=ear or Ear())

    def later(self, call: Callable[..., CommandResult], *args: object, **more: object) -> Future[CommandResult]:
        """The same in another thread."""
        return self.pool.submit(call, *args, **more)

    def directory(self, name: JobName) -> Path:
        """Where the job is."""
        return self.jobs / (f"{name}@{self.endpoint.host}" if self.endpoint else str(name))


def new_name() -> JobName:
    """A job that nobody has ever had."""
    return JobName(run_id=uuid.uuid4().hex, step_id="step", attempt=1)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A server that knows our key, and whose key we know."""
    if SSHD is None:
        pytest.skip("OpenSSH's sshd is not installed")
    directory = tmp_path / "sshd"
    directory.mkdir()
    server = Sshd(directory)
    server.start()
    yield server
    server.stop()


def poor_path(directory: Path, *, sh_is: str | None = None, rich: bool = False) -> str:
    """A PATH with little on it: another shell as sh, no setsid, and a tail that cannot wait for a process."""
    tools = directory / "tools"
    tools.mkdir()
    for tool in [*TOOLS, *(["setsid", "tail"] if rich else ["python3"])]:
        found = shutil.which(tool, path="/usr/bin:/bin") or shutil.which(tool)
        assert found, tool
        (tools / tool).symlink_to(found)
    sh = shutil.which(sh_is or "sh", path="/usr/bin:/bin")
    if sh is None:
        pytest.skip(f"{sh_is} is not installed")
    (tools / "sh").symlink_to(sh)
    if not rich:
        tail = tools / "tail"
        tail.write_text('#!/bin/sh\ncase "$*" in *--*) exit 1 ;; esac\nexec /usr/bin/tail "$@"\n')
        tail.chmod(0o755)
    return str(tools)


def busybox_path(directory: Path) -> str:
    """A PATH as small distributions have it: one program that is every tool, the shell included."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    tools = directory / "tools"
    tools.mkdir()
    for tool in (*TOOLS, "sh", "setsid", "tail"):
        (tools / tool).symlink_to(busybox)
    return str(tools)


@pytest.fixture(params=["local", "local-bash", "local-poor", "local-busybox", "ssh"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    """Each way to a shell in turn."""
    environ: dict[str, str] = {}
    if request.param == "ssh":
        server: Sshd = request.getfixturevalue("sshd")
        endpoint, jobs = server.endpoint, server.state / "drctl" / "jobs"

        def make() -> Commands:
            return Commands(SecretResolver(Redactor(), environ=environ))
    else:
        home = tmp_path / "home"
        home.mkdir()
        path = os.environ["PATH"]
        if request.param == "local-bash":
            path = poor_path(tmp_path, sh_is="bash", rich=True)
        elif request.param == "local-poor":
            path = poor_path(tmp_path)
        elif request.param == "local-busybox":
            path = busybox_path(tmp_path)
        environment = {"HOME": str(home), "PATH": path, "TERM": "dumb"}
        endpoint, jobs = None, home / ".local" / "state" / "drctl" / "jobs"

        def make() -> Commands:
            return Commands(SecretResolver(Redactor(), environ=environ), local=LocalTransport(environment=environment))

    commands = make()
    found = Way(make=make, endpoint=endpoint, jobs=jobs, commands=commands, environ=environ)
    yield found
    commands.close()
    found.pool.shutdown()


@pytest.fixture(params=["rsync", "a plain stream"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Files]:
    """A host with rsync, and one without."""
    if SSHD is None:
        pytest.skip("OpenSSH's sshd is not installed")
    if request.param == "rsync" and shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    for name in ("sshd", "here", "there"):
        (tmp_path / name).mkdir()
    server = Sshd(tmp_path / "sshd")
    if request.param != "rsync":
        text = server.server_config.read_text()
        server.server_config.write_text(text.replace("SetEnv ", f"SetEnv PATH={without_rsync(tmp_path)} "))
    server.start()
    found = Files(server=server, here=tmp_path / "here", there=tmp_path / "there", way=request.param)
    yield found
    found.commands.close()
    server.stop()


@pytest.fixture(params=["put", "get"])
def direction(request: pytest.FixtureRequest) -> Direction:
    """To the host, and from it."""
    found: Direction = request.param
    return found
