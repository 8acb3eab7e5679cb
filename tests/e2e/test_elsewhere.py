"""People at other terminals, and runs that only look."""

from __future__ import annotations

import subprocess

import pytest

from drctl.lab import Lab
from drctl.lab.commands import wait_until
from tests.support import needs
from tests.support.operator import ROOT, SERVICE, Operator, lose_the_primary_with_a_lagging_standby, until

pytestmark = pytest.mark.lab


def started(step: str):
    return lambda e: e["body"]["type"] == "attempt_started" and e["body"].get("step") == step


def _backups(lab: Lab) -> str:
    """The processes that take a full backup."""
    return lab.ssh("cloudprox", ["pgrep", "-f", "type=full"]).stdout.strip()


@pytest.mark.needs(needs.PGBACKREST)
def test_an_abort_from_another_terminal_ends_the_job_on_its_host(fresh_lab: Lab, operator: Operator) -> None:
    fresh_lab.power_off("xneelo-jnb")
    with operator.begins() as running:
        run = until(running, lambda e: e["body"]["type"] == "run_started")["run_id"]
        watching = subprocess.Popen(
            operator.words("watch", run, "--plain"), cwd=ROOT, stderr=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        with watching:
            until(running, started("protect/full-backup"))
            # What was only meant to begin is not left half done.
            assert wait_until(lambda: bool(_backups(fresh_lab)), within=60)
            asked = operator.types("abort", run, "--reason", "the data centre is back")
            assert f"{run} is being given up" in asked.stderr
            ended = until(running, lambda e: e["body"]["type"] == "run_ended")
            assert watching.stderr
            watched = watching.stderr.read()
    assert running.returncode == 8
    assert ended["body"]["ended"] == "aborted"
    assert "the data centre is back" in ended["body"]["why"]
    assert "run ended: aborted" in watched
    assert watching.returncode == 8
    assert _backups(fresh_lab) == ""
    half_done = "ended in the middle, and left half done: protect/full-backup @ cloudprox"
    assert half_done in " ".join(operator.types("report").stdout.split())
    # always ran: the report says who writes.
    assert "who-writes" in operator.types("report").stdout


@pytest.mark.needs(needs.LINKS)
def test_an_approval_from_another_terminal_lets_a_paused_run_go_on(fresh_lab: Lab, operator: Operator) -> None:
    operator.changed(lambda inventory: inventory["services"][SERVICE].update(objectives={"rpo": "1s"}))
    lose_the_primary_with_a_lagging_standby(fresh_lab, seconds=5)
    assert "approve-the-loss" in operator.failover(code=6).stderr
    wrong = operator.types("approve", "approve-the-los", "--reason", "x", code=2)
    assert 'did you mean "approve-the-loss"' in wrong.stderr
    operator.types("approve", "approve-the-loss", "--reason", "agreed on the phone")
    operator.types("resume", "--no-input", code=4)
    assert "agreed on the phone" in " ".join(operator.types("report").stdout.split())


@pytest.mark.needs(needs.PGBACKREST)
def test_a_check_of_the_readiness_changes_nothing(lab: Lab, operator: Operator) -> None:
    lab.wait_backup()
    query = "select count(*) from pg_stat_activity where backend_type = 'walsender'"
    before = lab.psql("xneelo-jnb", query)
    done = operator.types("check", "readiness", SERVICE, "-i", str(operator.inventory))
    assert "CHECK DONE" in done.stderr
    assert "nothing was changed: this is a run in check mode" in done.stderr
    assert lab.psql("xneelo-jnb", query) == before
    assert not lab.ssh("azure-san", ["sudo", "ls", "/var/lib/postgresql/.local"]).stdout.strip()


def test_a_check_of_the_failover_says_that_the_primary_is_alive_and_sends_no_job(lab: Lab, operator: Operator) -> None:
    done = operator.types("failover", SERVICE, "-i", str(operator.inventory), "--check", code=7)
    assert "CHECK NO-GO" in done.stderr
    assert lab.psql("azure-san", "select pg_is_in_recovery()").strip() == "t"
