"""Bad days of hosts that lack something: room, setsid, a POSIX login shell, silence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drctl.lab import Lab
from tests.contract.sshd import Sshd
from tests.support import needs
from tests.support.days import Day, Machine, same, story

JOBS = "/home/drctl/.local/state/drctl/jobs"
BOOK = """
steps:
  - id: look
    hosts: primary
    read_only: true
    run: echo seen
    capture: {found: text}
  - id: change
    hosts: primary
    run: echo x >>"$effects/change"; echo "found $found"
    expect: found seen
  - id: later
    hosts: primary
    run: echo x >>"$effects/later"
"""


@contextmanager
def hidden(lab: Lab, host: str, *programs: str) -> Iterator[None]:
    """Programs that this host has not: another file is mounted over each, in the host's own view of the files."""
    machine = lab.host(host)
    mounted = []
    try:
        for program in programs:
            place = machine.execute(["readlink", "-f", program]).stdout.strip()
            machine.execute(["mount", "--bind", "/dev/null", place])
            mounted.append(place)
        yield
    finally:
        for place in mounted:
            machine.execute(["umount", place])


@pytest.mark.lab
@pytest.mark.needs(needs.FILES)
def test_a_target_with_no_room_for_the_jobs_files_runs_nothing(lab: Lab, tmp_path: Path) -> None:
    day = Day.on(Machine.in_lab(lab, "cloudprox", "no-room"), tmp_path)
    day.runbook(BOOK)
    host = lab.host("cloudprox")
    host.execute(["install", "-d", "-o", "drctl", *(str(place) for place in (*list(Path(JOBS).parents)[2::-1], JOBS))])
    host.execute(["mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "none", JOBS])
    try:
        host.execute(["sh", "-c", f"head -c 1000000 /dev/zero >{JOBS}/fill"], check=False)
        same(
            story(day.run(code=1)),
            """
            TIME run started (DATE)
            TIME [1/3] start     look @ cloudprox: Look
            TIME [1/3] succeeded look @ cloudprox  SECONDS
            TIME [2/3] start     change @ cloudprox: Change
            TIME [2/3] FAILED    change @ cloudprox  SECONDS, cloudprox cannot hold the job: cannot write to
            ~ /home/drctl/.local/state/drctl/jobs/RUN.change.1@cloudprox: the disk may be full; nothing was run
            TIME [2/3] ASKED     change @ cloudprox: Change: failed on cloudprox (retry, skip, pause, abort)
                      | cloudprox cannot hold the job: cannot write to
            ~ /home/drctl/.local/state/drctl/jobs/RUN.change.1@cloudprox: the disk may be full; nothing was run
            TIME [2/3] ANSWER    change @ cloudprox: nobody was there, so said abort
            TIME run ended: failed

            REAL FAILED: change
              - nothing was changed
              - failed, and changed nothing: change
              exit code 1: a step failed, or a host could not be reached
              next: drctl report RUN
            """,
        )
        assert day.count("change") == 0
        # With a little room the job runs, and its outcome is known even when its own output fills the disk.
        host.execute(["truncate", "-s", "24k", f"{JOBS}/fill"])
        day.runbook("""
            steps:
              - id: talks-a-lot
                hosts: primary
                run: echo x >>"$effects/talks-a-lot"; yes | head -c 1000000 2>/dev/null; exit 5
            """)
        same(
            story(day.run(code=1)),
            """
            TIME run started (DATE)
            TIME [1/1] start     talks-a-lot @ cloudprox: Talks a lot
            TIME [1/1] FAILED    talks-a-lot @ cloudprox  SECONDS, exit code 5
                      | y
                      | y
                      | y
                      | y
                      | y
                      | y
                      | y
                      | y
                      | y
                      | y
            TIME [1/1] ASKED     talks-a-lot @ cloudprox: Talks a lot: failed on cloudprox (retry, skip, pause, abort)
                      | exit code 5
                      | y
                      | y
                      | y
                      | y
                      | y
                      | y
                      | y
                      | y
                      | y
                      | y
            TIME [1/1] ANSWER    talks-a-lot @ cloudprox: nobody was there, so said abort
            TIME run ended: failed

            REAL FAILED: talks-a-lot
              - failed, and may have changed something: talks-a-lot
              exit code 1: a step failed, or a host could not be reached
              next: drctl report RUN
            """,
        )
        assert day.count("talks-a-lot") == 1
    finally:
        host.execute(["umount", JOBS])


@pytest.mark.lab
@pytest.mark.needs(needs.FILES)
def test_a_host_without_setsid_runs_steps_by_perl_or_python_and_without_these_none(lab: Lab, tmp_path: Path) -> None:
    day = Day.on(Machine.in_lab(lab, "cloudprox", "setsid"), tmp_path)
    day.runbook(BOOK)
    with hidden(lab, "cloudprox", "/usr/bin/setsid", "/usr/bin/perl", "/usr/bin/python3"):
        same(
            story(day.run(code=1)),
            """
            TIME run started (DATE)
            TIME [1/3] start     look @ cloudprox: Look
            TIME [1/3] FAILED    look @ cloudprox  SECONDS, the login shell on cloudprox did not give us a shell: this
            ~ host has none of setsid, perl and python3: a script cannot be given a process group; nothing was run
            TIME [1/3] ASKED     look @ cloudprox: Look: failed on cloudprox (retry, skip, pause, abort)
                      | the login shell on cloudprox did not give us a shell: this host has none of setsid, perl and
            ~ python3: a script cannot be given a process group; nothing was run
            TIME [1/3] ANSWER    look @ cloudprox: nobody was there, so said abort
            TIME run ended: failed

            REAL FAILED: look
              - nothing was changed
              - failed, and changed nothing: look
              exit code 1: a step failed, or a host could not be reached
              next: drctl report RUN
            """,
        )
        assert day.count("change") == 0
    with hidden(lab, "cloudprox", "/usr/bin/setsid"):
        same(
            story(day.run(code=0)),
            """
            TIME run started (DATE)
            TIME [1/3] start     look @ cloudprox: Look
            TIME [1/3] succeeded look @ cloudprox  SECONDS
            TIME [2/3] start     change @ cloudprox: Change
            TIME [2/3] succeeded change @ cloudprox  SECONDS
            TIME [3/3] start     later @ cloudprox: Later
            TIME [3/3] succeeded later @ cloudprox  SECONDS
            TIME run ended: done

            REAL DONE: no objective was missed
              - done: change, later
              exit code 0: done: everything that was asked for happened, and no objective was missed
              next: drctl report RUN
            """,
        )
    assert (day.count("change"), day.count("later")) == (1, 1)


@pytest.mark.lab
@pytest.mark.needs(needs.ACCOUNTS)
def test_a_login_shell_that_knows_nothing_of_posix_and_talks(lab: Lab, tmp_path: Path) -> None:
    """csh, whose start-up file prints: what is sent goes to sh, and what csh says is no step's output."""
    day = Day.on(Machine.in_lab(lab, "cloudprox", "csh"), tmp_path)
    day.runbook(BOOK)
    host = lab.host("cloudprox")
    if host.execute(["test", "-x", "/bin/csh"], check=False).returncode:
        pytest.skip("csh is not installed")
    host.execute(["sh", "-c", "echo 'echo welcome to csh; echo 42' >/home/drctl/.cshrc"])
    host.execute(["sed", "-i", "/^drctl:/s#/bin/bash$#/bin/csh#", "/etc/passwd"])
    try:
        assert lab.ssh("cloudprox", ["echo $shell"]).stdout == "welcome to csh\n42\n/bin/csh\n"
        said = day.run(code=0)
    finally:
        host.execute(["sed", "-i", "/^drctl:/s#/bin/csh$#/bin/bash#", "/etc/passwd"])
        host.execute(["rm", "/home/drctl/.cshrc"])
    same(
        story(said),
        """
        TIME run started (DATE)
        TIME [1/3] start     look @ cloudprox: Look
        TIME [1/3] succeeded look @ cloudprox  SECONDS
        TIME [2/3] start     change @ cloudprox: Change
        TIME [2/3] succeeded change @ cloudprox  SECONDS
        TIME [3/3] start     later @ cloudprox: Later
        TIME [3/3] succeeded later @ cloudprox  SECONDS
        TIME run ended: done

        REAL DONE: no objective was missed
          - done: change, later
          exit code 0: done: everything that was asked for happened, and no objective was missed
          next: drctl report RUN
        """,
    )
    assert (day.count("change"), day.count("later")) == (1, 1)


def test_a_banner_and_a_profile_that_print_noise(sshd: Sshd, tmp_path: Path) -> None:
    sshd.stop()
    banner = tmp_path / "banner"
    banner.write_text("*** Authorised use only [/] \x1b[2J ***\n")
    with sshd.server_config.open("a") as file:
        file.write(f"Banner {banner}\n")
    sshd.start()
    for name in (".bashrc", ".profile", ".cshrc", ".zshenv"):
        (sshd.home / name).write_text("echo noise; echo louder noise >&2; printf 'seen and no newline'\n")
    day = Day.on(Machine.on_loopback(sshd), tmp_path)
    day.runbook(BOOK)
    same(
        story(day.run(code=0)),
        """
        TIME run started (DATE)
        TIME [1/3] start     look @ testhost: Look
        TIME [1/3] succeeded look @ testhost  SECONDS
        TIME [2/3] start     change @ testhost: Change
        TIME [2/3] succeeded change @ testhost  SECONDS
        TIME [3/3] start     later @ testhost: Later
        TIME [3/3] succeeded later @ testhost  SECONDS
        TIME run ended: done

        REAL DONE: no objective was missed
          - done: change, later
          exit code 0: done: everything that was asked for happened, and no objective was missed
          next: drctl report RUN
        """,
    )
    assert (day.count("change"), day.count("later")) == (1, 1)
