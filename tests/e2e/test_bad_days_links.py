"""Bad days of hosts and links: nobody answers, or not any more, or only one way, or after a reboot."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from drctl.lab import Lab
from drctl.lab.commands import wait_until
from tests.contract.sshd import Sshd
from tests.support import needs
from tests.support.days import Day, Machine, same, story

WAITS = """\
      echo x >>"$effects/change"
      while [ ! -e "$effects/go" ]; do sleep 0.1; done
      echo x >>"$effects/changed"
"""
BOOK = f"""\
steps:
  - id: change
    hosts: primary
    run: |
{WAITS}
  - id: later
    hosts: primary
    run: echo x >>"$effects/later"
"""
ANEW = "the host was started anew before the job had left an exit code"
SILENT = "edge stopped answering in"
# Where the boot id is the machine's nobody can tell that, and where a host is processes its connections end with it.
UNSEEN = "the job's process is gone and left no exit code: something other than drctl killed it"
CLOSED = "the connection to edge was lost in"


def as_of_a_host_of_its_own(said: str) -> str:
    """What is said of a host that lost its power, where hosts have no boot id of their own, in the words of others."""
    return said if needs.has(needs.BOOT_ID) else said.replace(UNSEEN, ANEW).replace(CLOSED, SILENT)


def test_a_sshd_that_accepts_and_never_answers(sshd: Sshd, tmp_path: Path) -> None:
    """The kernel takes the connection for a server that stands still. Nothing was sent, and drctl may say so."""
    day = Day.on(Machine.on_loopback(sshd), tmp_path)
    day.runbook(BOOK)
    assert sshd._server is not None
    sshd._server.send_signal(signal.SIGSTOP)
    try:
        said = day.run(code=1)
    finally:
        sshd._server.send_signal(signal.SIGCONT)
    same(
        story(said),
        """
        TIME run started (DATE)
        TIME [1/2] start     change @ testhost: Change
        TIME [1/2] FAILED    change @ testhost  SECONDS, testhost (ADDRESS) takes connections, and its sshd said
        ~ nothing for 15 s: the host hangs, or is frozen; nothing was sent
        TIME [1/2] ASKED     change @ testhost: Change: failed on testhost (retry, skip, pause, abort)
                  | testhost (ADDRESS) takes connections, and its sshd said nothing for 15 s: the host hangs, or is
        ~ frozen; nothing was sent
        TIME [1/2] ANSWER    change @ testhost: nobody was there, so said abort
        TIME run ended: failed

        REAL FAILED: change
          - nothing was changed
          - failed, and changed nothing: change
          exit code 1: a step failed, or a host could not be reached
          next: drctl report RUN
        """,
    )
    assert day.count("change") == 0


@pytest.mark.lab
def test_three_hosts_fall_silent_in_mid_step_and_come_back(lab: Lab, tmp_path: Path) -> None:
    """One freezes and is thawed, one is cut off and healed, and what one says is lost while it still hears.

    Each falls silent after the step has begun there. drctl must not call that a failure, nor begin it again: it asks
    until the host answers, and attaches to the job, which went on alone. Without links only the first can happen.
    """
    silences = {"edge": (lambda: lab.freeze("edge"), lambda: lab.thaw("edge"))}
    if needs.has(needs.LINKS):
        silences["cloudprox"] = (lambda: lab.cut("operator", "cloudprox"), lambda: lab.heal("operator", "cloudprox"))
        silences["azure-san"] = (
            lambda: lab.cut("azure-san", "operator", one_way=True),
            lambda: lab.heal("azure-san", "operator"),
        )
    days = {}
    for host in silences:
        (tmp_path / host).mkdir()
        days[host] = Day.on(Machine.in_lab(lab, host, f"silence-{host}"), tmp_path / host)
        days[host].runbook(BOOK.replace("      while", "      echo begun\n      while"))
    with ExitStack() as stack:
        running = {host: stack.enter_context(day.begins()) for host, day in days.items()}
        try:
            for host, (fall_silent, _) in silences.items():
                days[host].wait_for_effect("change")
                days[host].wait_until_heard()
                fall_silent()
            for host, following in running.items():
                following.wait_for(f"settling  change @ {host}")
                days[host].let_go()
            # Those that only cannot be heard finish it alone; the frozen one cannot.
            for host in silences.keys() - {"edge"}:
                days[host].wait_for_effect("changed")
            assert days["edge"].count("changed") == 0
        finally:
            for _, come_back in silences.values():
                come_back()
        for host, following in running.items():
            same(
                story(following.ends(0)),
                f"""
                TIME run started (DATE)
                TIME [1/2] start     change @ {host}: Change
                TIME [1/2] IN DOUBT  change @ {host}  SECONDS, {host} stopped answering in the middle of it; the job
                ~ goes on if the host does
                          | begun
                TIME [1/2] settling  change @ {host}: what became of it?
                TIME [1/2] succeeded change @ {host}  SECONDS, attached to the job that had been started before
                TIME [2/2] start     later @ {host}: Later
                TIME [2/2] succeeded later @ {host}  SECONDS
                TIME run ended: done

                REAL DONE: no objective was missed
                  - done: change, later
                  exit code 0: done: everything that was asked for happened, and no objective was missed
                  next: drctl report RUN
                """,
            )
            assert (days[host].count("change"), days[host].count("changed"), days[host].count("later")) == (1, 1, 1)


@pytest.mark.lab
def test_power_lost_in_mid_step_is_in_doubt_until_the_verify_has_looked(lab: Lab, tmp_path: Path) -> None:
    day = Day.on(Machine.in_lab(lab, "edge", "power"), tmp_path)
    day.runbook(f"""\
steps:
  - id: change
    hosts: primary
    run: |
{WAITS}
    verify: {{run: 'test -e "$effects/change"', within: 5s}}
  - id: later
    hosts: primary
    run: echo x >>"$effects/later"
""")
    with day.begins() as following:
        day.wait_for_effect("change")
        lab.power_off("edge")
        following.wait_for("settling  change @ edge")
        os.kill(following.process.pid, signal.SIGTERM)
        same(
            as_of_a_host_of_its_own(story(following.ends(143))),
            """
            TIME run started (DATE)
            TIME [1/2] start     change @ edge: Change
            TIME [1/2] IN DOUBT  change @ edge  SECONDS, edge stopped answering in the middle of it; the job goes on
            ~ if the host does
            TIME [1/2] settling  change @ edge: what became of it?

            stopping after the current step; again to leave at once
            TIME STOP    SIGTERM by OPERATOR: nothing new is started
            TIME run ended: paused

            REAL PAUSED: stopped by SIGTERM
              - in doubt: change on edge
              exit code 143: stopped by SIGTERM; the run can be resumed
              next: drctl resume RUN
                    drctl abort RUN --reason "…"
                    drctl report RUN
            """,
        )
    same(
        day.types("status"),
        """
        days (A bad day)
          last run    RUN (REAL bad-day)
          paused      DATE TIME: PAUSED: stopped by SIGTERM
          RPO         exposure by a restore: not measured: type drctl backups days
          next        drctl resume RUN
                      drctl abort RUN --reason "…"
                      drctl report RUN
        """,
    )
    lab.power_on("edge")
    same(
        as_of_a_host_of_its_own(story(day.types("resume", "--no-input"))),
        """
        TIME run resumed (DATE) by OPERATOR
        TIME [1/2] settling  change @ edge: what became of it?
        TIME [1/2] IN DOUBT  change @ edge  SECONDS, attached to the job that had been started before, the host was
        ~ started anew before the job had left an exit code
        TIME [1/2] succeeded change @ edge  SECONDS
        TIME [2/2] start     later @ edge: Later
        TIME [2/2] succeeded later @ edge  SECONDS
        TIME run ended: done

        REAL DONE: no objective was missed
          - done: change, later
          exit code 0: done: everything that was asked for happened, and no objective was missed
          next: drctl report RUN
        """,
    )
    assert (day.count("change"), day.count("changed"), day.count("later")) == (1, 0, 1)
    assert wait_until(lambda: lab.status().application == "ok", within=30), "the lab is left as it was found"


@pytest.mark.lab
def test_a_reboot_in_mid_step_is_asked_of_verify_then_of_idempotent_then_of_a_person(lab: Lab, tmp_path: Path) -> None:
    """Three steps are under way at the reboot. None left an exit code, and each is settled by what it promises."""
    day = Day.on(Machine.in_lab(lab, "edge", "reboot"), tmp_path)
    waits = 'while [ ! -e "$effects/go" ]; do sleep 0.1; done'
    day.runbook(f"""\
steps:
  - parallel:
      - id: verified
        hosts: primary
        run: echo x >>"$effects/verified"; {waits}
        verify: {{run: 'test -e "$effects/verified"', within: 5s}}
      - id: repeatable
        hosts: primary
        run: echo x >>"$effects/repeatable"; {waits}
        idempotent: true
      - id: once-only
        hosts: primary
        run: echo x >>"$effects/once-only"; {waits}
  - id: later
    hosts: primary
    run: echo x >>"$effects/later"
""")
    with day.begins() as following:
        for step in ("verified", "repeatable", "once-only"):
            day.wait_for_effect(step)
        lab.power_off("edge")
        day.let_go()
        lab.power_on("edge")
        said = as_of_a_host_of_its_own(story(following.ends(6)))
    # Whether the host's last word still came through depends on how quickly it went down and came up.
    said = said.replace("edge stopped answering", "the connection to edge was lost")
    same(
        said,
        """
        TIME run started (DATE)
        TIME [1/4] start     verified @ edge: Verified
        TIME [2/4] start     repeatable @ edge: Repeatable
        TIME [3/4] start     once-only @ edge: Once only
        TIME [3/4] IN DOUBT  once-only @ edge  SECONDS, the connection to edge was lost in the middle of it; the job
        ~ goes on if the host does
        TIME [3/4] settling  once-only @ edge: what became of it?
        TIME [1/4] IN DOUBT  verified @ edge  SECONDS, the connection to edge was lost in the middle of it; the job
        ~ goes on if the host does
        TIME [1/4] settling  verified @ edge: what became of it?
        TIME [2/4] IN DOUBT  repeatable @ edge  SECONDS, the connection to edge was lost in the middle of it; the job
        ~ goes on if the host does
        TIME [2/4] settling  repeatable @ edge: what became of it?
        TIME [3/4] IN DOUBT  once-only @ edge  SECONDS, attached to the job that had been started before, the host was
        ~ started anew before the job had left an exit code
        TIME [2/4] IN DOUBT  repeatable @ edge  SECONDS, attached to the job that had been started before, the host
        ~ was started anew before the job had left an exit code
        TIME [2/4] start     repeatable @ edge: Repeatable (attempt 2)
        TIME [1/4] IN DOUBT  verified @ edge  SECONDS, attached to the job that had been started before, the host was
        ~ started anew before the job had left an exit code
        TIME [1/4] succeeded verified @ edge  SECONDS
        TIME [2/4] succeeded repeatable @ edge  SECONDS
        TIME [3/4] ASKED     once-only @ edge: Once only: it was sent on edge, and nobody knows whether it was done
        ~ (succeeded, run_again, pause, abort)
                  | the host was started anew before the job had left an exit code
        TIME [3/4] ANSWER    once-only @ edge: nobody was there, so said pause
        TIME run ended: paused

        REAL PAUSED: a person decides later
          - done: verified, repeatable
          - in doubt: once-only on edge
          exit code 6: in doubt, or waiting for a person
          next: drctl resume RUN
                drctl abort RUN --reason "…"
                drctl report RUN
        """,
        in_any_order=True,
    )
    same(
        as_of_a_host_of_its_own(story(day.types("resume", "--no-input", code=6))),
        """
        TIME run resumed (DATE) by OPERATOR
        TIME [3/4] settling  once-only @ edge: what became of it?
        TIME [3/4] IN DOUBT  once-only @ edge  SECONDS, attached to the job that had been started before, the host was
        ~ started anew before the job had left an exit code
        TIME [3/4] ASKED     once-only @ edge: Once only: it was sent on edge, and nobody knows whether it was done
        ~ (succeeded, run_again, pause, abort)
                  | the host was started anew before the job had left an exit code
        TIME [3/4] ANSWER    once-only @ edge: nobody was there, so said pause
        TIME run ended: paused

        REAL PAUSED: a person decides later
          - done: verified, repeatable
          - in doubt: once-only on edge
          exit code 6: in doubt, or waiting for a person
          next: drctl resume RUN
                drctl abort RUN --reason "…"
                drctl report RUN
        """,
    )
    assert [day.count(s) for s in ("verified", "repeatable", "once-only", "later")] == [1, 2, 1, 0]
    assert wait_until(lambda: lab.status().application == "ok", within=30), "the lab is left as it was found"
