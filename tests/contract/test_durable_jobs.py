"""What holds for durable jobs: once only, whoever comes second attaches, and the end is known or said to be unknown."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from drctl.adapters import job as jobs
from drctl.adapters.job import job_directory
from drctl.adapters.payload import script_text
from drctl.adapters.transport import Exchanged, Limit, Take
from drctl.engine.ports import Ending, JobName, ShellCommand
from tests.contract.conftest import Way, new_name
from tests.contract.ear import Ear

WAITS = 'echo begun; echo x >>"$effects"; while [ ! -e "$go" ]; do sleep 0.05; done; echo done; exit 42'


class Effects:
    """A job that does one thing that can be counted, and then waits to be let go."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "effects"
        self.go = directory / "go"
        self.name = new_name()

    @property
    def count(self) -> int:
        return self.file.read_text().count("x") if self.file.exists() else 0

    @property
    def arguments(self) -> dict[str, object]:
        return {"name": self.name, "variables": {"effects": str(self.file), "go": str(self.go)}}


@pytest.fixture
def effects(tmp_path: Path) -> Effects:
    return Effects(tmp_path)


def worker_of(way: Way, name: JobName) -> int:
    """The process id that the claim has."""
    return int((way.directory(name) / "claim").read_text().split()[1])


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_whoever_comes_second_gets_the_same(way: Way, effects: Effects) -> None:
    effects.go.touch()
    ears = [Ear(), Ear()]
    first, second = (way.job(WAITS, ear, **effects.arguments) for ear in ears)
    assert (first.ending, first.exit_code, first.attached) == (Ending.FINISHED, 42, False)
    assert (second.ending, second.exit_code, second.attached) == (Ending.FINISHED, 42, True)
    assert ears[0].out == ears[1].out == b"begun\ndone\n"
    assert effects.count == 1


def test_three_at_once_have_one_effect(way: Way, effects: Effects) -> None:
    runners = [way.make() for _ in range(3)]
    ears = [Ear() for _ in runners]
    racing = [
        way.later(way.job, WAITS, ear, commands=runner, **effects.arguments)
        for runner, ear in zip(runners, ears, strict=True)
    ]
    for ear in ears:
        ear.wait_for(b"begun\n")
    effects.go.touch()
    results = [each.result() for each in racing]
    assert [result.exit_code for result in results] == [42, 42, 42]
    assert sorted(result.attached for result in results) == [False, True, True]
    assert [ear.out for ear in ears] == [b"begun\ndone\n"] * 3
    assert effects.count == 1
    for runner in runners:
        runner.close()


def test_a_new_attempt_is_a_new_job(way: Way, effects: Effects) -> None:
    effects.go.touch()
    way.job(WAITS, **effects.arguments)
    again = JobName(run_id=effects.name.run_id, step_id=effects.name.step_id, attempt=2)
    result = way.job(WAITS, **(effects.arguments | {"name": again}))
    assert not result.attached
    assert effects.count == 2


def test_it_goes_on_when_drctl_is_killed_and_another_attaches(way: Way, effects: Effects, tmp_path: Path) -> None:
    if way.endpoint is None and way.commands._local._environment["PATH"] != os.environ["PATH"]:  # type: ignore[attr-defined]
        pytest.skip("the other process is given the usual PATH")
    description = {
        "endpoint": None
        if way.endpoint is None
        else {
            name: getattr(way.endpoint, name)
            for name in ("host", "site", "country", "address", "port", "user", "ssh_config")
        },
        "script": WAITS,
        "variables": effects.arguments["variables"],
        "run_id": effects.name.run_id,
    }
    first = subprocess.Popen(
        [sys.executable, "-c", _FIRST_OPERATOR, json.dumps(description)],
        stdout=subprocess.PIPE,
        env={**os.environ, "HOME": str(tmp_path / "home"), "XDG_STATE_HOME": ""},
    )
    assert first.stdout is not None
    with first.stdout:
        assert first.stdout.readline() == b"begun\n"
        first.send_signal(signal.SIGKILL)
        first.wait()
    ear = Ear()
    second = way.later(way.job, WAITS, ear, **effects.arguments)
    ear.wait_for(b"begun\n")
    effects.go.touch()
    result = second.result()
    assert (result.ending, result.exit_code, result.attached) == (Ending.FINISHED, 42, True)
    assert ear.out == b"begun\ndone\n"
    assert effects.count == 1


_FIRST_OPERATOR = """
import json, sys
from drctl.adapters.commands import Commands
from drctl.adapters.redact import Redactor
from drctl.adapters.secrets import SecretResolver
from drctl.engine.ports import JobName, ShellCommand
from drctl.model.plan import Endpoint

what = json.loads(sys.argv[1])
Commands(SecretResolver(Redactor())).job(
    Endpoint(**what["endpoint"]) if what["endpoint"] else None,
    ShellCommand(script=what["script"], variables=what["variables"]),
    name=JobName(run_id=what["run_id"], step_id="step", attempt=1),
    timeout_s=600,
    output=lambda stream, data: (sys.stdout.buffer.write(data), sys.stdout.flush()),
)
"""


def test_a_killed_job_is_lost_and_says_so(way: Way, effects: Effects) -> None:
    ear = Ear()
    running = way.later(way.job, WAITS, ear, **effects.arguments)
    ear.wait_for(b"begun\n")
    os.killpg(worker_of(way, effects.name), signal.SIGKILL)
    first = running.result()
    second = way.job(WAITS, **effects.arguments)
    for result in (first, second):
        assert result.ending is Ending.LOST
        assert result.exit_code is None
        assert "left no exit code" in result.detail
    assert effects.count == 1
    assert way.commands.kill(way.endpoint, name=effects.name, become=None).exit_code == 0


def test_a_reboot_is_not_taken_for_an_end(way: Way, effects: Effects) -> None:
    ear = Ear()
    running = way.later(way.job, WAITS, ear, **effects.arguments)
    ear.wait_for(b"begun\n")
    claim = way.directory(effects.name) / "claim"
    truth = claim.read_text()
    claim.write_text(truth.replace(truth.split()[0], str(uuid.uuid4())))
    try:
        ear = Ear()
        result = way.job(WAITS, ear, **effects.arguments)
        assert (result.ending, result.exit_code, result.attached) == (Ending.REBOOTED, None, True)
        assert ear.out == b"begun\n"
        killed = way.commands.kill(way.endpoint, name=effects.name, become=None)
        assert (killed.ending, killed.exit_code) == (Ending.FINISHED, 0)
        assert not gone(worker_of(way, effects.name))  # a number of another boot is nobody that we know
    finally:
        effects.go.touch()
        running.result()
    # What was written down before a reboot is known after it.
    assert way.job(WAITS, **effects.arguments).exit_code == 42


def test_kill_ends_the_group_and_is_sure_of_it(way: Way, effects: Effects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drctl.adapters.job.KILL_GRACE_S", 1)
    ear = Ear()
    running = way.later(way.job, f"trap '' TERM; {WAITS}", ear, **effects.arguments)
    ear.wait_for(b"begun\n")
    worker = worker_of(way, effects.name)
    killed = way.commands.kill(way.endpoint, name=effects.name, become=None)
    assert (killed.ending, killed.exit_code) == (Ending.FINISHED, 0)
    assert gone(worker)
    for result in (running.result(), way.job(WAITS, **effects.arguments)):
        assert (result.ending, result.exit_code) == (Ending.ENDED, 137)
        assert result.detail == "its process group was ended, as drctl was told; what it had begun is half done"


def test_a_job_that_was_ended_before_it_began_never_begins(way: Way, effects: Effects) -> None:
    effects.go.touch()
    killed = way.commands.kill(way.endpoint, name=effects.name, become=None)
    assert (killed.ending, killed.exit_code, killed.detail) == (Ending.FINISHED, 0, "it was never started")
    late = way.job(WAITS, **effects.arguments)
    assert (late.ending, late.exit_code, late.attached) == (Ending.ENDED, 137, True)
    assert effects.count == 0


def test_killing_a_finished_job_changes_nothing(way: Way, effects: Effects) -> None:
    effects.go.touch()
    way.job(WAITS, **effects.arguments)
    assert way.commands.kill(way.endpoint, name=effects.name, become=None).exit_code == 0
    result = way.job(WAITS, **effects.arguments)
    assert (result.exit_code, result.detail) == (42, "")


def test_a_number_that_is_used_again_is_not_killed(way: Way, effects: Effects) -> None:
    effects.go.touch()
    way.job(WAITS, **effects.arguments)
    stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        claim = way.directory(effects.name) / "claim"
        claim.write_text(claim.read_text().replace(f" {worker_of(way, effects.name)} ", f" {stranger.pid} ", 1))
        next(way.directory(effects.name).glob("rc.*")).unlink()
        assert way.commands.kill(way.endpoint, name=effects.name, become=None).exit_code == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_timeout_is_told_to_all_who_attach(way: Way, effects: Effects) -> None:
    first = way.job(WAITS, timeout_s=2.0, **effects.arguments)
    second = way.job(WAITS, **effects.arguments)
    assert (first.ending, first.attached) == (Ending.TIMED_OUT, False)
    assert (second.ending, second.attached) == (Ending.TIMED_OUT, True)
    assert effects.count == 1


def test_secrets_are_nowhere_but_in_the_shell(way: Way, effects: Effects) -> None:
    secret = uuid.uuid4().hex
    way.environ["THE_SECRET"] = secret
    ear = Ear()
    running = way.later(
        way.job, f'printf "%s" "$s" | wc -c; {WAITS}', ear, secrets={"s": "env:THE_SECRET"}, **effects.arguments
    )
    ear.wait_for(b"begun\n")
    try:
        seen = [
            str(file)
            for pid in os.listdir("/proc")
            if pid.isdecimal()
            for file in (Path("/proc", pid, "cmdline"), Path("/proc", pid, "environ"))
            if secret.encode() in _content(file)
        ]
        assert seen == []
        files = [file for file in way.directory(effects.name).iterdir() if file.is_file()]
        assert files
        assert [file for file in files if secret.encode() in file.read_bytes()] == []
        mode = way.directory(effects.name).stat().st_mode & 0o777
        assert mode == 0o700
        assert {file.stat().st_mode & 0o077 for file in files} == {0}
    finally:
        effects.go.touch()
    assert running.result().exit_code == 42
    assert ear.out.split()[0] == b"32"
    assert [
        file
        for file in way.directory(effects.name).iterdir()
        if file.is_file() and secret.encode() in file.read_bytes()
    ] == []


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def test_starters_that_are_killed_at_any_moment_have_one_effect(way: Way, effects: Effects) -> None:
    """The shell that starts a job is killed again and again, a little later each time; the job happens once."""
    if way.endpoint is not None:
        pytest.skip("the shell is the same; killing it here reaches it at any moment")
    command = ShellCommand(script='echo x >>"$effects"; exit 42', variables={"effects": str(effects.file)})
    environment = way.commands._local._environment  # type: ignore[attr-defined]
    dice = random.Random(1)
    for _ in range(25):
        name = new_name()
        before = effects.count
        starters = []
        for _ in range(2):
            starter = subprocess.Popen(
                ["sh", "-s"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
            assert starter.stdin is not None
            starter.stdin.write(starting_text(command, name))
            starter.stdin.close()
            starters.append(starter)
        try:
            starters[0].wait(dice.uniform(0, 0.04))
        except subprocess.TimeoutExpired:
            os.killpg(starters[0].pid, signal.SIGKILL)
            starters[0].wait()
        starters[1].wait()
        result = way.job(command.script, variables=command.variables, name=name)
        assert (result.ending, result.exit_code) == (Ending.FINISHED, 42)
        assert effects.count == before + 1


def test_a_text_that_came_in_part_does_nothing(way: Way, effects: Effects) -> None:
    if way.endpoint is not None:
        pytest.skip("the shell is the same; here the text can be cut at any place")
    # Cut in the middle, this script still does the first half of what it is for.
    command = ShellCommand(
        script="echo x >>\"$effects\" 'it' && rm -rf \"$effects\" 'is'",
        variables={"effects": str(effects.file)},
        words=("it's",),
    )
    text = starting_text(command, effects.name)
    environment = way.commands._local._environment  # type: ignore[attr-defined]
    begin = text.rindex(b"\ndrctl ")
    awkward = [
        at for at in range(begin, len(text)) if text[at - 1 : at] in (b"'", b"\\", b"\n") or text[at : at + 1] == b"'"
    ]
    dice = random.Random(2)
    last = len(text.rstrip()) - 1
    for cut in sorted({at for at in awkward if at <= last} | {last, *(dice.randrange(last) for _ in range(40))}):
        subprocess.run(["sh", "-s"], input=text[:cut], env=environment, capture_output=True, check=False)
        assert effects.count == 0, text[:cut][-40:]
        assert not (way.directory(effects.name) / "claim").exists(), text[:cut][-40:]
    subprocess.run(["sh", "-s"], input=text, env=environment, capture_output=True, check=True)
    assert [code.read_text() for code in way.directory(effects.name).glob("rc.*")] == ["000\n"]


def starting_text(command: ShellCommand, name: JobName) -> bytes:
    """What is sent to start a job, as it leaves here."""
    sent: list[bytes] = []

    class Recording:
        label = "nowhere"

        def exchange(self, text: bytes, *, become: str | None, take: Take, limit: Limit) -> Exchanged:
            sent.append(text)
            return Exchanged(status=None)

    jobs.job(
        Recording(), command, script_text(command, {}), directory=job_directory(name, ""), timeout_s=1, output=Ear()
    )
    return sent[0]


def test_a_host_that_cannot_hold_the_job_is_told_and_nothing_is_run(way: Way, effects: Effects) -> None:
    effects.go.touch()
    way.jobs.mkdir(parents=True)
    way.directory(effects.name).touch()
    result = way.job(WAITS, **effects.arguments)
    assert result.ending is Ending.REFUSED
    assert "cannot make" in result.detail
    assert "nothing was run" in result.detail
    assert effects.count == 0
    assert way.commands.kill(way.endpoint, name=effects.name, become=None).ending is Ending.LOST


@pytest.mark.parametrize("step", ["a/b", "..", "a b", "é", "a'b\n", "$(x)", "-n", "."])
def test_any_step_id_makes_a_directory_of_its_own(way: Way, step: str) -> None:
    name = JobName(run_id=f"-.{uuid.uuid4().hex}/..", step_id=step, attempt=1)
    before = set(way.jobs.iterdir()) if way.jobs.exists() else set()
    assert way.job("exit 5", name=name).exit_code == 5
    (made,) = set(way.jobs.iterdir()) - before
    assert made.is_dir()
    assert way.job("exit 6", name=name).exit_code == 5


def test_two_hosts_that_share_a_home_have_jobs_of_their_own() -> None:
    name = new_name()
    assert len({job_directory(name, host) for host in ("", "a", "b", "a.b")}) == 4
