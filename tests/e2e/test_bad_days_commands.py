"""Bad days of commands, on a real sshd: no end in sight, something left behind, output that no screen should show."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pexpect
import pytest

from tests.contract.sshd import Sshd
from tests.support.days import Day, Machine, same, story
from tests.support.operator import ROOT

BIG = int(os.environ.get("DRCTL_TEST_BIG_MB", "1000")) * 1_000_000
"""The large output of these tests: 1 GB, which passes in some 15 seconds. A small machine may ask for less."""


@pytest.fixture
def day(sshd: Sshd, tmp_path: Path) -> Iterator[Day]:
    """A day on this machine's own sshd. What still waits when a test has failed is let go."""
    made = Day.on(Machine.on_loopback(sshd), tmp_path)
    yield made
    made.let_go()


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_command_that_ignores_sigterm_at_its_timeout_is_killed_with_all_that_it_started(day: Day) -> None:
    day.runbook("""
        steps:
          - id: stubborn
            hosts: primary
            timeout: 2s
            run: |
              trap '' TERM
              echo "begun" >>"$effects/stubborn"
              echo $$ >>"$effects/pids"
              sleep 1000 & echo $! >>"$effects/pids"
              echo "no end in sight"
              while :; do sleep 0.1; done
        """)
    same(
        story(day.run(code=1)),
        """
        TIME run started (DATE)
        TIME [1/1] start     stubborn @ testhost: Stubborn
        TIME [1/1] FAILED    stubborn @ testhost  SECONDS, it took longer than 2 s and was ended with its process group
                  | no end in sight
        TIME [1/1] ASKED     stubborn @ testhost: Stubborn: failed on testhost (retry, skip, pause, abort)
                  | it took longer than 2 s and was ended with its process group
                  | no end in sight
        TIME [1/1] ANSWER    stubborn @ testhost: nobody was there, so said abort
        TIME run ended: failed

        REAL FAILED: stubborn
          - failed, and may have changed something: stubborn
          exit code 1: a step failed, or a host could not be reached
          next: drctl report RUN
        """,
    )
    assert day.count("stubborn") == 1
    pids = [int(word) for word in (day.machine.effects / "pids").read_text().split()]
    assert len(pids) == 2
    assert not any(runs(pid) for pid in pids)


def test_a_command_that_leaves_a_child_behind_is_over_when_it_is_over(day: Day) -> None:
    """The child holds the step's output open; it is nobody's step, and drctl neither waits for it nor ends it."""
    day.runbook("""
        steps:
          - id: start-daemon
            hosts: primary
            run: echo x >>"$effects/start-daemon"; sleep 1000 & echo $! >"$effects/pid"; echo started
          - id: later
            hosts: primary
            run: echo x >>"$effects/later"
        """)
    said = day.run(code=0)
    child = int((day.machine.effects / "pid").read_text())
    try:
        same(
            story(said),
            """
            TIME run started (DATE)
            TIME [1/2] start     start-daemon @ testhost: Start daemon
            TIME [1/2] succeeded start-daemon @ testhost  SECONDS
            TIME [2/2] start     later @ testhost: Later
            TIME [2/2] succeeded later @ testhost  SECONDS
            TIME run ended: done

            REAL DONE: no objective was missed
              - done: start-daemon, later
              exit code 0: done: everything that was asked for happened, and no objective was missed
              next: drctl report RUN
            """,
        )
        assert runs(child)
        assert (day.count("start-daemon"), day.count("later")) == (1, 1)
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(("end", "code"), [("exit 255", 255), ("exit 128", 128), ("kill -KILL $$", 137)])
def test_an_exit_code_over_127_is_told_as_it_is(day: Day, end: str, code: int) -> None:
    """ssh itself says 255 for a broken connection, and shells 128 and more for a signal: neither is guessed at."""
    day.runbook(f"""
        steps:
          - id: change
            hosts: primary
            run: echo x >>"$effects/change"; {end}
        """)
    same(
        story(day.run(code=1)),
        f"""
        TIME run started (DATE)
        TIME [1/1] start     change @ testhost: Change
        TIME [1/1] FAILED    change @ testhost  SECONDS, exit code {code}
        TIME [1/1] ASKED     change @ testhost: Change: failed on testhost (retry, skip, pause, abort)
                  | exit code {code}
        TIME [1/1] ANSWER    change @ testhost: nobody was there, so said abort
        TIME run ended: failed

        REAL FAILED: change
          - failed, and may have changed something: change
          exit code 1: a step failed, or a host could not be reached
          next: drctl report RUN
        """,
    )
    assert day.count("change") == 1


WILD = r"""
steps:
  - id: wild
    hosts: primary
    run: |
      printf 'caf\351 \377\376 not UTF-8\n'
      printf '[/etc/passwd] [bold red]no markup[/]\n'
      printf '\033[2J\033[H\033]0;owned\007cleared\n'
      printf '\033[31mred\033[0m <b>html</b> `code` | pipe\n'
      printf 'on stderr: [/] \202\033[2J\n' >&2
      exit 9
"""


def test_output_that_is_not_text_is_markup_or_clears_the_screen_is_shown_as_what_it_is(day: Day) -> None:
    day.runbook(WILD)
    done = day.operator.types(*day.words(), code=1)
    same(
        story(day.plain(done.stderr)),
        """
        TIME run started (DATE)
        TIME [1/1] start     wild @ testhost: Wild
        TIME [1/1] FAILED    wild @ testhost  SECONDS, exit code 9
                  | caf� �� not UTF-8
                  | [/etc/passwd] [bold red]no markup[/]
                  | cleared
                  | red <b>html</b> `code` | pipe
                  | on stderr: [/] �
        TIME [1/1] ASKED     wild @ testhost: Wild: failed on testhost (retry, skip, pause, abort)
                  | exit code 9
                  | caf� �� not UTF-8
                  | [/etc/passwd] [bold red]no markup[/]
                  | cleared
                  | red <b>html</b> `code` | pipe
                  | on stderr: [/] �
        TIME [1/1] ANSWER    wild @ testhost: nobody was there, so said abort
        TIME run ended: failed

        REAL FAILED: wild
          - failed, and may have changed something: wild
          exit code 1: a step failed, or a host could not be reached
          next: drctl report RUN
        """,
    )
    # What was printed is kept to the byte, and every form of the report shows it without obeying it.
    kept = [f.read_bytes() for f in (day.operator.state / "outputs").iterdir()]
    assert any(b"caf\xe9 \xff\xfe not UTF-8\n" in k and b"\x1b[2J\x1b[H\x1b]0;owned\x07" in k for k in kept)
    for form in ("text", "markdown", "json", "svg"):
        shown = day.operator.types("report", "--details", "--format", form).stdout
        assert "\x1b" not in shown, form
        assert "\x07" not in shown, form
        assert form != "svg" or "<b>" not in shown
        assert "etc/passwd" in shown or form == "svg", form  # the picture has no outputs


def test_a_live_screen_obeys_no_output_of_a_host(day: Day) -> None:
    """On a real terminal, where drctl's own screen does move the cursor."""
    day.runbook(WILD)
    words = day.operator.words(*day.words("--no-input"))
    with pexpect.spawn(
        words[0], words[1:], cwd=str(ROOT), dimensions=(40, 120), timeout=60, encoding=None, env=_terminal()
    ) as child:
        child.expect(pexpect.EOF)
        seen = child.before
    assert child.exitstatus == 1
    assert b"[/etc/passwd] [bold red]no markup[/]" in seen
    for never in (b"\x1b[2J", b"\x1b]0;owned", b"\x1b[31mred", b"\xff", b"\xe9 "):
        assert never not in seen


def _terminal() -> dict[str, str]:
    return {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "COLUMNS": "120"}


def _high_water_kb(pid: int) -> int:
    """The most that a program ever held. Not getrusage's: that begins with what its parent held when it forked."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def test_a_large_output_is_kept_whole_and_never_held_in_memory(day: Day) -> None:
    day.runbook(f"""
        steps:
          - id: dump
            hosts: primary
            timeout: 10m
            run: echo x >>"$effects/dump"; yes 'a line of a dump that has no end' | head -c {BIG}
        """)
    with day.begins(*day.words("--plain")) as following:
        most_kb = 0
        while following.process.poll() is None:
            most_kb = max(most_kb, _high_water_kb(following.process.pid))
            with suppress(subprocess.TimeoutExpired):
                following.process.wait(0.05)
        said = following.ends(0)
    same(
        story(said),
        """
        TIME run started (DATE)
        TIME [1/1] start     dump @ testhost: Dump
        TIME [1/1] succeeded dump @ testhost  SECONDS
        TIME run ended: done

        REAL DONE: no objective was missed
          - done: dump
          exit code 0: done: everything that was asked for happened, and no objective was missed
          next: drctl report RUN
        """,
    )
    (kept,) = (day.operator.state / "outputs").iterdir()
    size = kept.stat().st_size
    kept.unlink()  # and what the host has of it: pytest keeps a test's directory for days
    shutil.rmtree(day.machine.effects.parent / "state")
    assert size == BIG
    assert 0 < most_kb * 1024 < 100_000_000, "the most that drctl ever held, with Python and all its libraries"
    assert day.count("dump") == 1
