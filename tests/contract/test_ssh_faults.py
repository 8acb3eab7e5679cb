"""Over SSH: what is said when the connection or the server dies, and that the job does not die with it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drctl.adapters.commands import Commands
from drctl.adapters.redact import Redactor
from drctl.adapters.secrets import SecretResolver
from drctl.adapters.ssh import ahead
from drctl.adapters.ssh.connection import Timings
from drctl.adapters.ssh.runner import SshTransport
from drctl.engine.ports import Ending, JobName, ShellCommand
from tests.contract.conftest import new_name
from tests.contract.ear import Ear
from tests.contract.sshd import Sshd, wait_until

WAITS = 'echo begun; echo x >>"$effects"; while [ ! -e "$go" ]; do sleep 0.05; done; echo done; exit 42'
PATIENT = Timings(connect_s=5, pulse_s=60)
WATCHFUL = Timings(connect_s=5, banner_s=2, channel_s=3, pulse_s=0.1, silence_s=4)


def runner(timings: Timings) -> Commands:
    return Commands(SecretResolver(Redactor()), connect=lambda endpoint: SshTransport(endpoint, timings=timings))


@pytest.fixture(params=[PATIENT, WATCHFUL], ids=["patient", "watchful"])
def commands(request: pytest.FixtureRequest) -> Iterator[Commands]:
    made = runner(request.param)
    yield made
    made.close()


@pytest.fixture
def watchful() -> Iterator[Commands]:
    made = runner(WATCHFUL)
    yield made
    made.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


@pytest.fixture
def waits(tmp_path: Path) -> ShellCommand:
    return ShellCommand(script=WAITS, variables={"effects": str(tmp_path / "effects"), "go": str(tmp_path / "go")})


def let_go(waits: ShellCommand) -> None:
    Path(waits.variables["go"]).touch()


def effects(waits: ShellCommand) -> int:
    return Path(waits.variables["effects"]).read_text().count("x")


def test_a_server_killed_in_mid_job_is_lost_and_the_job_goes_on(
    commands: Commands, sshd: Sshd, pool: ThreadPoolExecutor, waits: ShellCommand
) -> None:
    name, ear = new_name(), Ear()
    running = pool.submit(commands.job, sshd.endpoint, waits, name=name, timeout_s=60, output=ear)
    ear.wait_for(b"begun\n")
    assert sshd.signal_sessions(signal.SIGKILL) > 0
    result = running.result()
    assert (result.ending, result.exit_code) == (Ending.LOST, None)
    assert "testhost" in result.detail
    assert "the job goes on if the host does" in result.detail
    # The next word to that host opens a connection anew, and finds the job.
    ear = Ear()
    attached = pool.submit(commands.job, sshd.endpoint, waits, name=name, timeout_s=60, output=ear)
    ear.wait_for(b"begun\n")
    let_go(waits)
    again = attached.result()
    assert (again.ending, again.exit_code, again.attached) == (Ending.FINISHED, 42, True)
    assert ear.out == b"begun\ndone\n"
    assert effects(waits) == 1


def test_a_server_killed_in_mid_probe_is_lost(
    commands: Commands, sshd: Sshd, pool: ThreadPoolExecutor, waits: ShellCommand
) -> None:
    ear = Ear()
    running = pool.submit(commands.probe, sshd.endpoint, waits, timeout_s=60, output=ear)
    ear.wait_for(b"begun\n")
    sshd.signal_sessions(signal.SIGKILL)
    result = running.result()
    let_go(waits)
    assert (result.ending, result.exit_code) == (Ending.LOST, None)


def test_a_server_that_hangs_is_noticed(
    watchful: Commands, sshd: Sshd, pool: ThreadPoolExecutor, waits: ShellCommand
) -> None:
    name, ear = new_name(), Ear()
    running = pool.submit(watchful.job, sshd.endpoint, waits, name=name, timeout_s=600, output=ear)
    ear.wait_for(b"begun\n")
    assert sshd.signal_sessions(signal.SIGSTOP) > 0
    result = running.result()
    assert result.ending is Ending.LOST
    assert "stopped answering" in result.detail
    sshd.signal_sessions(signal.SIGCONT)
    let_go(waits)
    again = watchful.job(sshd.endpoint, waits, name=name, timeout_s=60, output=Ear())
    assert (again.exit_code, again.attached) == (42, True)
    assert effects(waits) == 1


def test_a_quiet_command_on_a_server_that_answers_is_not_taken_for_a_hanging_one(
    watchful: Commands, sshd: Sshd
) -> None:
    result = watchful.probe(sshd.endpoint, ShellCommand(script="sleep 6; exit 9"), timeout_s=60, output=Ear())
    assert result.exit_code == 9


def test_a_connection_that_died_while_idle_is_replaced(commands: Commands, sshd: Sshd) -> None:
    for _ in range(3):
        result = commands.probe(sshd.endpoint, ShellCommand(script="exit 5"), timeout_s=60, output=Ear())
        assert result.exit_code == 5
        sshd.signal_sessions(signal.SIGKILL)


def test_a_connection_that_hangs_while_idle_is_replaced(watchful: Commands, sshd: Sshd) -> None:
    assert watchful.probe(sshd.endpoint, ShellCommand(script="exit 5"), timeout_s=60, output=Ear()).exit_code == 5
    sshd.signal_sessions(signal.SIGSTOP)
    assert watchful.probe(sshd.endpoint, ShellCommand(script="exit 6"), timeout_s=60, output=Ear()).exit_code == 6


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize(("far_s", "shells"), [(60.0, 1), (0.0, 2)], ids=["near", "far"])
def test_shells_that_were_started_ahead_and_do_not_answer_are_replaced(
    watchful: Commands,
    sshd: Sshd,
    waits: ShellCommand,
    how: signal.Signals,
    far_s: float,
    shells: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing was sent to them, so the job is neither lost nor started twice. Of a far host two wait."""
    monkeypatch.setattr(ahead, "FAR_S", far_s)
    let_go(waits)
    for _ in range(3):
        assert watchful.probe(sshd.endpoint, ShellCommand(script="exit 5"), timeout_s=60, output=Ear()).exit_code == 5
    wait_until("the next shells wait", lambda: len(sshd.shells) == shells)
    waiting = sshd.shells
    for shell in waiting:
        os.kill(shell, how)
    result = watchful.job(sshd.endpoint, waits, name=new_name(), timeout_s=60, output=Ear())
    for shell in waiting:
        with contextlib.suppress(ProcessLookupError):
            os.kill(shell, signal.SIGKILL)
    assert (result.ending, result.exit_code, result.attached) == (Ending.FINISHED, 42, False)
    assert effects(waits) == 1


def test_a_timeout_whose_kill_cannot_be_confirmed_is_lost(
    sshd: Sshd, pool: ThreadPoolExecutor, waits: ShellCommand
) -> None:
    commands = runner(Timings(connect_s=2, banner_s=2, channel_s=2, pulse_s=60))
    ear = Ear()
    running = pool.submit(commands.job, sshd.endpoint, waits, name=new_name(), timeout_s=3, output=ear)
    ear.wait_for(b"begun\n")
    sshd.signal_sessions(signal.SIGSTOP)
    assert sshd._server is not None
    sshd._server.send_signal(signal.SIGSTOP)
    result = running.result()
    sshd._server.send_signal(signal.SIGCONT)
    let_go(waits)
    commands.close()
    assert (result.ending, result.exit_code) == (Ending.LOST, None)
    assert "could be seen" in result.detail or "could not be seen" in result.detail


def test_kill_over_a_new_connection(
    commands: Commands, sshd: Sshd, pool: ThreadPoolExecutor, waits: ShellCommand
) -> None:
    name, ear = new_name(), Ear()
    running = pool.submit(commands.job, sshd.endpoint, waits, name=name, timeout_s=60, output=ear)
    ear.wait_for(b"begun\n")
    sshd.signal_sessions(signal.SIGKILL)
    assert running.result().ending is Ending.LOST
    killed = commands.kill(sshd.endpoint, name=name, become=None)
    assert (killed.ending, killed.exit_code) == (Ending.FINISHED, 0)
    sshd.stop()
    assert commands.kill(sshd.endpoint, name=name, become=None).ending is Ending.UNREACHABLE


def test_more_sessions_than_one_connection_may_have(commands: Commands, sshd: Sshd, pool: ThreadPoolExecutor) -> None:
    """The server allows four on each connection; a timeout needs one more to end what took too long."""
    with ThreadPoolExecutor(10) as many:
        running = [
            many.submit(
                commands.probe, sshd.endpoint, ShellCommand(script=f"sleep 1; exit {i}"), timeout_s=60, output=Ear()
            )
            for i in range(10)
        ]
        results = [each.result() for each in running]
    assert [result.exit_code for result in results] == list(range(10)), results


def test_closing_while_a_job_runs_lets_it_go_on(
    commands: Commands, sshd: Sshd, pool: ThreadPoolExecutor, waits: ShellCommand
) -> None:
    name, ear = JobName(run_id=new_name().run_id, step_id="s", attempt=2), Ear()
    running = pool.submit(commands.job, sshd.endpoint, waits, name=name, timeout_s=60, output=ear)
    ear.wait_for(b"begun\n")
    commands.close()
    assert running.result().ending is Ending.LOST
    let_go(waits)
    assert commands.job(sshd.endpoint, waits, name=name, timeout_s=60, output=Ear()).exit_code == 42


def test_closing_does_not_wait_for_a_host_that_says_nothing(sshd: Sshd, pool: ThreadPoolExecutor) -> None:
    """What was asked of it goes on, and takes its connection with it when it is over."""
    transport = SshTransport(sshd.endpoint, timings=PATIENT)
    commands = Commands(SecretResolver(Redactor()), connect=lambda endpoint: transport)
    sshd.signal_server(signal.SIGSTOP)
    running = pool.submit(commands.probe, sshd.endpoint, ShellCommand(script="exit 5"), timeout_s=60, output=Ear())
    wait_until("it is being connected to", transport._connecting.locked)
    commands.close()
    assert not running.done()
    sshd.signal_server(signal.SIGCONT)
    assert running.result().exit_code == 5
    wait_until("its connection has gone", lambda: sshd.signal_sessions(0) == 0)


def test_what_a_login_shell_prints_is_not_the_scripts_output(commands: Commands, sshd: Sshd) -> None:
    (sshd.home / ".bashrc").write_text("echo welcome; echo warning >&2; printf 'no newline'\n")
    ear = Ear()
    result = commands.job(
        sshd.endpoint, ShellCommand(script="echo mine; echo wrong >&2"), name=new_name(), timeout_s=60, output=ear
    )
    assert result.exit_code == 0
    assert (ear.out, ear.err) == (b"mine\n", b"wrong\n")


def test_an_account_that_may_not_log_in_is_refused(commands: Commands, sshd: Sshd) -> None:
    sshd.stop()
    with sshd.server_config.open("a") as file:
        file.write("ForceCommand echo This account is not available. >&2; exit 1\n")
    sshd.start()
    result = commands.job(sshd.endpoint, ShellCommand(script="true"), name=new_name(), timeout_s=60, output=Ear())
    assert result.ending is Ending.REFUSED
    assert "not available" in result.detail
    assert "nothing was run" in result.detail
