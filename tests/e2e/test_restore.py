"""Restored from a backup: both sites wrecked, and a write goes in through the client's own door."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from drctl.lab import Lab
from drctl.lab.commands import wait_until
from drctl.lab.damage import Fault
from drctl.model.units import parse_instant
from tests.support import needs
from tests.support.operator import ROOT, SERVICE, Operator, began, ended, jobs_of, until, wreck_both_sites
from tests.support.pages import type_all

pytestmark = [pytest.mark.lab, pytest.mark.needs(needs.PGBACKREST)]

NIGHTLY = ["sudo", "-n", "-u", "postgres", "/opt/taskflow/bin/backups", "nightly"]


CHECKS = (
    "fence/by-power", "fence/stays-silent", "stop", "target-stays-silent", "freeze", "from-a-copy/1/same-version",
    "from-a-copy/1/room", "from-a-copy/1/replay", "from-a-copy/1/is-whole", "recovery-point", "witnesses-agree",
    "log-agrees", "canary", "rows", "amcheck", "analyze", "door/service-answers",
    "protect/archive", "protect/full-backup", "rebuild/streaming", "rebuild/archive", "unfreeze",
)  # fmt: skip


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
    # Every check that makes it a recovery was made, and the three witnesses of its point spoke.
    steps = {step["id"]: step for step in operator.report()["steps"]}
    for check in CHECKS:
        assert steps[check]["outcome"] == "succeeded", check
    assert "waits for WAL at 0/" in steps["from-a-copy/1/is-whole"]["hosts"][0]["output"]["tail"]
    point = dict(steps["recovery-point"]["hosts"][0]["captured"])
    assert "unknown" not in point["last_transaction"]
    assert "log: 20" in steps["log-agrees"]["hosts"][0]["output"]["tail"]
    assert "dr_heartbeat" in steps["rows"]["hosts"][0]["output"]["tail"]
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
    the_log_is_heard(fresh_lab, recovered_to=point["recovered_to"])
    # A second restore finds a service that is alive, and refuses.
    again = operator.restore(code=7)
    assert "drctl failover" in again.stderr or "is alive" in again.stderr


def test_a_gap_in_the_wal_of_every_copy_is_found_before_the_promotion_and_a_person_has_to_accept_it(
    fresh_lab: Lab, operator: Operator
) -> None:
    # A heartbeat that is not of the last transaction's minute is no recovery point; a standby can be asked as well.
    assert witnesses_agree(fresh_lab) == "t"
    fresh_lab.psql(
        "xneelo-jnb", "insert into dr_heartbeat (source, ts) values ('wrong', now() + interval '10 minutes')"
    )
    assert wait_until(lambda: witnesses_agree(fresh_lab) == "f", within=60, every=0.2)
    fresh_lab.psql("xneelo-jnb", "delete from dr_heartbeat where source = 'wrong'")
    with_a_gap_everywhere(fresh_lab)
    done = operator.restore(code=6)
    assert "No copy of the backups has all of its WAL" in done.stderr
    assert jobs_of(fresh_lab, "azure-san", "files") == 0, "nothing was overwritten"
    done = operator.types(
        "resume", "--no-input", "--approve", "from-a-copy/1/accept-the-gap=INC-9, the client agreed", code=None
    )
    assert done.returncode in (0, 4), done.stderr
    assert "the client agreed" in operator.types("report").stdout
    assert fresh_lab.acknowledged().missing
    assert operator.report()["rpo"]["actual_s"] > 0


def the_log_is_heard(lab: Lab, *, recovered_to: str) -> None:
    """``log-agrees`` bears a minute between the server's log and the heartbeat, either way, and no more."""
    said = says(lab, "log-agrees", recovered_to=recovered_to)
    assert said.returncode == 0, said.stderr
    logged = parse_instant(re.findall(r"log: (.+), heartbeat", said.stdout)[0])
    for seconds, agrees in ((-65, False), (-55, True), (55, True), (65, False)):
        moved = (logged + timedelta(seconds=seconds)).isoformat()
        assert (says(lab, "log-agrees", recovered_to=moved).returncode == 0) == agrees, f"{seconds} s apart"


def witnesses_agree(lab: Lab) -> str:
    """What the runbook's own script says on the standby."""
    return says(lab, "recovery-point", database="taskflow").stdout.splitlines()[2]


def says(lab: Lab, step_id: str, **values: str) -> subprocess.CompletedProcess[str]:
    """The script of a step of the restore, on its host."""
    steps = yaml.safe_load((ROOT / "runbooks" / "restore.yml").read_text())["steps"]
    script = next(step["run"] for step in steps if step.get("id") == step_id)
    given = [f"{name}={value}" for name, value in values.items()]
    words = ["sudo", "-n", "-H", "-u", "postgres", "env", *(shlex.quote(word) for word in given), "sh", "-s"]
    return lab.ssh("azure-san", words, stdin=script)


def with_a_gap_everywhere(lab: Lab) -> None:
    """Several files of WAL follow the newest backup, and one in their middle is missing at all three places."""
    lab.wait_backup()
    for _ in range(4):
        lab.load(seconds=1, rate=10)
        lab.psql("xneelo-jnb", "select pg_switch_wal()")
    wreck_both_sites(lab)
    assert lab.ssh("cloudprox", [*NIGHTLY[:-1], "replicate"]).returncode == 0
    lab.break_backup(Fault.WAL_GAP, ["cloudprox", "teraco-dbn", "vault"])


def test_a_small_disk_and_another_version_change_nothing_and_a_lost_repository_is_no_end(
    fresh_lab: Lab, operator: Operator
) -> None:
    wreck_both_sites(fresh_lab)
    inventory = operator.inventory
    fresh_lab.resize("azure-san", "standard")  # else the restore's own resize would boot it with its own disk
    fresh_lab.break_backup(Fault.DISK_FULL, ["azure-san"])
    done = operator.restore(code=6)
    assert "MiB can be used on azure-san" in done.stderr
    assert "Make room on azure-san" in done.stderr + operator.types("report").stdout
    assert jobs_of(fresh_lab, "azure-san", "files") == 0
    operator.types("abort", "--reason", "a bigger disk is on its way", code=None)
    fresh_lab.mend_backup()
    # Programs of another major version: the files are not touched.
    fresh_lab.ssh("azure-san", ["sudo sh -s"], stdin=OLDER)
    operator.changed(lambda i: i["services"][SERVICE]["vars"].update(pgbin="/opt/older/bin"))
    done = operator.restore(code=1)
    assert "of PostgreSQL 15, and azure-san has 14" in done.stderr
    assert jobs_of(fresh_lab, "azure-san", "files") == 0
    # The repository's site is lost as well: another copy serves, and a standby streams without an archive.
    operator.inventory = inventory
    fresh_lab.power_off("cloudprox")
    with operator.begins(verb="restore") as running:
        until(running, ended("rebuild/archive", "failed"))
        os.kill(running.pid, signal.SIGKILL)  # that it fails three times is not waited for
    report = operator.report()
    assert report["rto"]["verdict"] == "met"
    steps = {step["id"]: step for step in report["steps"]}
    assert dict(steps["from-a-copy/1/pick"]["hosts"][0]["captured"])["copy_location"] == "teraco-dbn"
    assert jobs_of(fresh_lab, "azure-san", "files") == 1
    assert steps["protect/end-stale-backup"]["outcome"] == "failed"
    assert fresh_lab.psql("azure-san", "select pg_is_in_recovery()").strip() == "f"
    assert fresh_lab.psql("azure-san", "select state from pg_stat_replication").strip() == "streaming"
    # The old primary's archiver, which has nowhere to go, was not waited for; nor was a check that cannot succeed.
    assert "only waits for its archiver: ended" in steps["rebuild/stop"]["hosts"][0]["output"]["tail"]
    assert steps["rebuild/rewind"]["outcome"] == "succeeded"
    assert "the repository does not answer" in steps["rebuild/archive"]["hosts"][0]["errors"]["tail"]
    # It was started without its restore_command, and has it again.
    settings = "/var/lib/postgresql/15/main/postgresql.auto.conf"
    assert "the archive does not answer" in steps["rebuild/configure"]["hosts"][0]["errors"]["tail"]
    assert "restore_command" not in fresh_lab.ssh("xneelo-jnb", ["sudo", "cat", settings]).stdout
    assert "archive-get" in fresh_lab.psql("xneelo-jnb", "show restore_command")


OLDER = """\
mkdir -p /opt/older/bin
for program in /usr/lib/postgresql/15/bin/*; do ln -sf "$program" /opt/older/bin/; done
rm /opt/older/bin/postgres
printf '#!/bin/sh\\necho "postgres (PostgreSQL) 14.9"\\n' >/opt/older/bin/postgres
chmod 755 /opt/older/bin/postgres
"""


def test_the_how_to_page_is_typed_as_it_is_written(fresh_lab: Lab, lab_inventory: Path, tmp_path: Path) -> None:
    wreck_both_sites(fresh_lab)
    (tmp_path / "runbooks").symlink_to(ROOT / "runbooks")
    environment = {
        **dict(word.split("=", 1) for word in fresh_lab.settings.environment_words()),
        "DRCTL_INVENTORY": str(lab_inventory),
        "DRCTL_STATE_DIR": str(tmp_path / "state"),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    type_all(ROOT / "docs" / "how-to" / "restore.md", tmp_path, environment)
    assert fresh_lab.psql("azure-san", "select pg_is_in_recovery()").strip() == "f"
    assert fresh_lab.psql("azure-san", "select count(*) from dr_heartbeat where source = 'canary'").strip() == "1"
