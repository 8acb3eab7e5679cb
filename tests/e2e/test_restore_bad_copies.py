"""Restores from a week of copies most of which are no good: none of them ends as a success, and each says its loss."""

from __future__ import annotations

import os
import re
import signal
from datetime import datetime, timedelta

import pytest

from drctl.lab import Lab
from drctl.lab.damage import Fault
from drctl.lab.repository import Repository
from tests.support import needs
from tests.support.operator import Operator, ended, jobs_of, until, wreck_both_sites

pytestmark = [pytest.mark.lab, pytest.mark.needs(needs.PGBACKREST)]

REPOSITORY, DURBAN, VAULT = "cloudprox", "teraco-dbn", "vault"


def test_a_failover_without_a_standby_goes_over_to_the_restore_and_through_every_kind_of_bad_copy(
    fresh_lab: Lab, operator: Operator
) -> None:
    """One run and one clock. What a list shows is never tried; what only reading shows costs an attempt."""
    lab = fresh_lab
    oldest, second, third, newest = lab.backups_history(4)
    wreck_both_sites(lab)
    for fault, place, label in (
        (Fault.TRUNCATE, REPOSITORY, newest),
        (Fault.FLIP, REPOSITORY, third),
        (Fault.MISSING, REPOSITORY, second),
        (Fault.WAL_FIRST, DURBAN, newest),
        (Fault.DIRECTORY, VAULT, newest),
    ):
        lab.break_backup(fault, [place], label)
    # In the middle of what older ones need: a damaged file of WAL is in the list of the repository, one that is gone
    # is missing in the vault's.
    between(lab, REPOSITORY, oldest, second, damaged=True)
    between(lab, VAULT, second, third, damaged=False)
    with operator.begins() as running:
        until(running, ended("restore/door/service-answers", "succeeded"))
        os.kill(running.pid, signal.SIGKILL)  # how it is protected again is another test's matter
    report = operator.report()
    assert report["rto"]["verdict"] == "met"
    tried = [(c["location"], c["label"], c["outcome"], c["failed_step"].rpartition("/")[2]) for c in report["backups"]]
    assert tried == [
        ("cloudprox", newest, "failed", "files"),
        ("cloudprox", third, "failed", "files"),
        ("cloudprox", second, "failed", "files"),
        ("cloudprox", oldest, "failed", "replay"),
        ("offline-store", third, "succeeded", ""),
    ]
    # Each attempt said what it would lose; the last, whose WAL ends with the replication, loses more than the first.
    losses = [c["loss_s"] for c in report["backups"]]
    assert losses == sorted(losses)
    assert losses[-1] > losses[0]
    assert report["rpo"]["verdict"] == "met"
    assert abs(report["rpo"]["actual_s"] - losses[-1]) < 60, "what was said before is what was measured afterwards"
    assert lab.acknowledged().missing
    steps = {step["id"]: step["hosts"][0] for step in report["steps"]}
    assert "missing or damaged" in steps["restore/from-a-copy/4/replay"]["errors"]["tail"]
    why = steps["restore/from-a-copy/5/pick"]["errors"]["tail"]
    assert f"offline-store/{newest}: bad: its directory or its manifest is gone" in why
    assert re.search(f"teraco-dbn/{newest}: bad: WAL .* is missing, the first that it needs", why)
    assert re.search(f"offline-store/{second}: bad: WAL .* is missing: recovery would end before it", why)
    # Nothing was promoted before that: there is one new timeline, and it begins where the good copy ended.
    assert jobs_of(lab, "azure-san", "promote") == 1
    assert lab.psql("azure-san", "select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)").strip() == "00000002"


def between(lab: Lab, host: str, first: str, then: str, *, damaged: bool) -> None:
    """A file of WAL that only the first of two backups needs is damaged without a trace, or gone."""
    held = Repository(lab.settings, host)
    after = held.segments_after(held.find(first).wal_stop)
    path = held.segment(next(name for name in after if name < held.find(then).wal_start))
    if not damaged:
        path.unlink()
        return
    was = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def test_a_label_at_a_place_up_to_a_moment_on_the_other_host_when_every_copy_is_stale(
    fresh_lab: Lab, operator: Operator
) -> None:
    lab = fresh_lab
    _, middle, newest = lab.backups_history(3)
    lab.break_backup(Fault.STALE)
    held = Repository(lab.settings, VAULT)
    assert newest not in [backup.label for backup in held.backups()]
    moment: datetime = held.find(middle).stopped + timedelta(hours=1)
    words = ("--to", moment.isoformat(), "--backup", middle, "--location", "offline-store", "--target", "primary")
    asked = operator.restore(*words, code=6)
    assert "which is more than the RPO" in asked.stderr
    assert jobs_of(lab, "xneelo-jnb", "files") == 0, "nothing was overwritten"
    agreed = ("--approve", "from-a-copy/1/accept-the-loss=INC-7, a table was dropped")
    done = operator.types("resume", "--no-input", *agreed, code=4)
    assert "RPO MISSED" in done.stderr
    report = operator.report()
    (copy,) = report["backups"]
    assert (copy["location"], copy["label"], copy["outcome"]) == ("offline-store", middle, "succeeded")
    assert copy["loss_s"] > 86_400
    assert report["rpo"]["actual_s"] > 86_400
    assert "INC-7, a table was dropped" in operator.types("report").stdout
    # What was committed up to the moment is there, and nothing of later but what was written since.
    rows = (
        "select count(*) filter (where ts <= '{0}') > 0, "
        "max(ts) filter (where source = 'heartbeat' and ts < '{1}') <= '{0}' from dr_heartbeat"
    )
    began = report["chain"]["first_at"]
    assert lab.psql("xneelo-jnb", rows.format(moment.isoformat(), began)).strip() == "t|t"
    assert lab.psql("xneelo-jnb", "select pg_is_in_recovery()").strip() == "f"
    assert lab.psql("xneelo-jnb", "select state from pg_stat_replication").strip() == "streaming"
    assert lab.psql("azure-san", "select pg_is_in_recovery()").strip() == "t"
