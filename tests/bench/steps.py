"""What a step costs: on one connection, as a durable job, through a jump host, far away, and with much output."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from drctl.adapters.commands import Commands
from drctl.adapters.journal import JournalFile
from drctl.adapters.outputs import OutputStore
from drctl.adapters.redact import Redactor
from drctl.engine.ports import CommandResult, Ending, JobName, ShellCommand, Stream
from drctl.model.events import Act, AttemptFinished, AttemptStarted, Outcome
from drctl.model.plan import Endpoint
from tests.bench.measure import ROOT, Section, by_turns, medians, ms, peak_mb, ratio, seconds
from tests.bench.server import Master, commands, far_away, server
from tests.support.world import START

A_TURN = 10  # steps in one turn: short turns, so that a busy moment of the machine meets all the ways
ROUNDS = 10
MASTER = "OpenSSH ControlMaster, `ssh HOST true`"


def _nowhere(stream: Stream, data: bytes) -> None:
    """Output that nobody wants."""


def _well(result: CommandResult) -> None:
    assert result.ending is Ending.FINISHED, result
    assert result.exit_code == 0, result


def probes(runner: Commands, endpoint: Endpoint, number: int) -> None:
    for _ in range(number):
        _well(runner.probe(endpoint, ShellCommand(script="true"), timeout_s=60, output=_nowhere))


def jobs(runner: Commands, endpoint: Endpoint, number: int) -> None:
    run = uuid.uuid4().hex
    for n in range(number):
        name = JobName(run_id=run, step_id=f"s{n}", attempt=1)
        _well(runner.job(endpoint, ShellCommand(script="true"), name=name, timeout_s=60, output=_nowhere))


def on_one_connection(place: Path) -> Section:
    """a and b: read-only steps and durable jobs beside ControlMaster, and the journal's part."""
    section = Section("Small steps on one connection")
    with server(place / "one") as sshd, Master(sshd) as master:
        runner = commands()
        probes(runner, sshd.endpoint, 1)  # the connection is not what is measured here
        found = medians(
            by_turns(
                {
                    MASTER: lambda: seconds(lambda: master.times(A_TURN, "true")) / A_TURN,
                    "read-only step (`Commands.probe`)": lambda: (
                        seconds(lambda: probes(runner, sshd.endpoint, A_TURN)) / A_TURN
                    ),
                    "durable job (`Commands.job`)": lambda: (
                        seconds(lambda: jobs(runner, sshd.endpoint, A_TURN)) / A_TURN
                    ),
                    "two records in the journal": lambda: _journal(place),
                },
                rounds=ROUNDS,
            )
        )
        runner.close()
    base = found[MASTER]
    section.table(("a step", "median", "of ControlMaster"), [(n, ms(v), ratio(v, base)) for n, v in found.items()])
    section.say(
        "A durable job syncs its claim, its output and its exit code to the host's disk before it is believed; "
        "ControlMaster keeps nothing. The journal's two records (intent and outcome, `synchronous=FULL`) are what "
        "each step costs on the operator's machine besides."
    )
    section.say()
    return section


def _journal(place: Path) -> float:
    journal = JournalFile(place / f"{uuid.uuid4().hex}.db")
    run = journal.writer("run", now=lambda: START, redact=Redactor().clean_text)
    intent = AttemptStarted(step="s", host="h", attempt=1, act=Act.RUN)
    outcome = AttemptFinished(step="s", host="h", attempt=1, act=Act.RUN, outcome=Outcome.SUCCEEDED, exit_code=0)

    def write() -> None:
        for _ in range(A_TURN):
            run.append(intent)
            run.append(outcome)

    took_s = seconds(write)
    journal.close()
    return took_s / A_TURN


def through_a_jump_host(place: Path) -> Section:
    section = Section("Through a jump host")
    with server(place / "jump", through="gateway") as sshd, Master(sshd) as master:
        _beside_the_master(section, sshd.endpoint, master)
    return section


def far(place: Path) -> Section:
    """Ten milliseconds each way, by a relay: netem is not in every kernel."""
    section = Section("At 20 ms round trip")
    with server(place / "near") as near, far_away(near.port) as port, server(place / "far") as sshd:
        # The client's files lead to the first server by way of the relay.
        sshd.known_hosts.write_text(near.known_hosts.read_text().replace(f":{near.port} ", f":{port} "))
        near.authorized_keys.write_text(sshd.authorized_keys.read_text())
        sshd.write_config(f"  HostName 127.0.0.1\n  Port {port}\n")
        sshd.port = port
        with Master(sshd) as master:
            _beside_the_master(section, sshd.endpoint, master)
    section.say("The distance is made by a relay in user space that holds everything back for 10 ms in each direction.")
    section.say()
    return section


def _beside_the_master(section: Section, endpoint: Endpoint, master: Master) -> None:
    runner = commands()
    probes(runner, endpoint, 1)
    number = A_TURN
    found = medians(
        by_turns(
            {
                MASTER: lambda: seconds(lambda: master.times(number, "true")) / number,
                "read-only step": lambda: seconds(lambda: probes(runner, endpoint, number)) / number,
                "durable job": lambda: seconds(lambda: jobs(runner, endpoint, number)) / number,
            },
            rounds=ROUNDS,
        )
    )
    runner.close()
    base = found[MASTER]
    section.table(("a step", "median", "of ControlMaster"), [(n, ms(v), ratio(v, base)) for n, v in found.items()])


MEGABYTES = 100
MUCH = f"yes 'a line of output as long as lines of output usually are' | head -c {MEGABYTES * 1024 * 1024}"


def much_output(place: Path) -> Section:
    """Each way in a process of its own, so that its memory is its own too."""
    section = Section(f"{MEGABYTES} MB of a step's output")
    peaks: dict[str, list[float]] = {"read-only step, redacted and kept": [], "durable job, redacted and kept": []}
    with server(place / "much") as sshd, Master(sshd) as master:

        def by_ssh() -> float:
            kept = place / "by-ssh"
            with kept.open("wb") as file:
                words = [*master.words, MUCH]
                took_s = seconds(lambda: subprocess.run(words, check=True, stdout=file, stdin=subprocess.DEVNULL))
            assert kept.stat().st_size == MEGABYTES * 1024 * 1024
            kept.unlink()
            return took_s

        def by_drctl(kind: str, name: str) -> float:
            words = [sys.executable, "-m", "tests.bench.steps", kind, str(sshd.config), str(sshd.port), str(place)]
            done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
            peaks[name].append(float(done[1]))
            return float(done[0])

        ways: dict[str, Callable[[], float]] = {"OpenSSH into a file": by_ssh}
        ways |= {name: partial(by_drctl, kind, name) for kind, name in zip(("probe", "job"), peaks, strict=True)}
        found = medians(by_turns(ways, rounds=5))
    rows = [(n, f"{v:.2f} s", f"{max(peaks[n]):.0f} MB" if n in peaks else "–") for n, v in found.items()]
    section.table(("how", "median of 5", "peak memory"), rows)
    section.say(
        "drctl's peak is that of the whole process. Both ends sync what they keep: a durable job's output goes to the "
        "host's disk and to the operator's."
    )
    return section


def _take_much(kind: str, config: str, port: int, place: Path) -> None:
    endpoint = Endpoint(
        host="testhost", site="", country="ZA", address="127.0.0.1", port=port, user="", ssh_config=config
    )
    runner, recorder = commands(), OutputStore(place / f"outputs-{kind}").recorder()
    began = time.perf_counter()
    if kind == "probe":
        _well(runner.probe(endpoint, ShellCommand(script=MUCH), timeout_s=600, output=recorder))
    else:
        name = JobName(run_id=uuid.uuid4().hex, step_id="much", attempt=1)
        _well(runner.job(endpoint, ShellCommand(script=MUCH), name=name, timeout_s=600, output=recorder))
    output, _ = recorder.close()
    took_s = time.perf_counter() - began
    assert output is not None
    assert output.bytes == MEGABYTES * 1024 * 1024
    runner.close()
    sys.stdout.write(f"{took_s} {peak_mb()}\n")


if __name__ == "__main__":
    _take_much(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
