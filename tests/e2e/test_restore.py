"""Restored from a backup: both sites wrecked, and a write goes in through the client's own door."""

from __future__ import annotations

import os
import signal

import pytest

from drctl.lab import Lab
from tests.support.operator import Operator, until, wreck_both_sites

pytestmark = pytest.mark.lab

NIGHTLY = ["sudo", "-n", "-u", "postgres", "/opt/taskflow/bin/backups", "nightly"]


def began(step: str):  # type: ignore[no-untyped-def]
    return lambda e: e["body"]["type"] == "attempt_started" and e["body"]["step"] == step


def jobs_of(lab: Lab, host: str, step: str) -> int:
    """How often a step of that name was begun on a host, counted from the jobs that were claimed there."""
    found = lab.ssh(
        host, ["sudo", "find", "/var/lib/postgresql", "/root", "/home", "-path", "*/drctl/jobs/*", "-prune"]
    )
    return len([line for line in found.stdout.splitlines() if f"%2F{step}." in line or f".{step}." in line])


def test_both_sites_are_wrecked_drctl_is_killed_twice_and_the_service_is_back_from_the_backup(
    fresh_lab: Lab, operator: Operator
) -> None:
    wreck_both_sites(fresh_lab)
    with operator.begins(verb="restore") as running:
        until(running, began("from-a-copy/1/files"))
        os.kill(running.pid, signal.SIGKILL)
    nightly = fresh_lab.ssh("cloudprox", NIGHTLY)
    assert nightly.returncode == 75, nightly.stdout + nightly.stderr
    assert "the backups are frozen" in nightly.stderr
    with operator.resumes() as running:
        until(running, began("from-a-copy/1/replay"))
        os.kill(running.pid, signal.SIGKILL)
    done = operator.types("resume", "--no-input")
    assert "RTO MET" in done.stderr
    assert "RPO MET" in done.stderr
    # The files were restored once, and the database was promoted once.
    assert jobs_of(fresh_lab, "azure-san", "files") == 1
    assert jobs_of(fresh_lab, "azure-san", "promote") == 1
    assert (
        fresh_lab.psql("azure-san", "select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)").strip() == "00000002"
    )
    # What was lost is what the report says, and it is no more than the archive had.
    report = operator.report()
    lost = fresh_lab.acknowledged().missing
    assert (report["rpo"]["actual_s"] > 0) == bool(lost)
    assert report["rpo"]["actual_s"] < 120
    # Protected again: a standby streams, the newest backup is of the new timeline, and the nightly job may run again.
    assert (
        fresh_lab.psql("azure-san", "select count(*) from pg_stat_replication where state = 'streaming'").strip() == "1"
    )
    info = fresh_lab.ssh("cloudprox", ["sudo", "-n", "-u", "postgres", "pgbackrest", "--stanza=main", "info"]).stdout
    assert info.rindex("wal start/stop: 00000002") > info.rindex("full backup")
    assert fresh_lab.ssh("cloudprox", [*NIGHTLY[:-1], "status"]).returncode == 3
    assert fresh_lab.psql("azure-san", "select name from pg_settings where sourcefile like '%auto.conf'").strip() == ""
    # A second restore finds a service that is alive, and refuses.
    again = operator.restore(code=7)
    assert "drctl failover" in again.stderr or "is alive" in again.stderr
