"""Planned moves and the way home on bad days: what is refused, what is given back, and what happens once only."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from drctl.errors import LabError
from drctl.lab import Lab
from drctl.lab.commands import wait_until
from tests.support import needs
from tests.support.operator import ROOT, SERVICE, Operator, until

pytestmark = [pytest.mark.lab, pytest.mark.needs(needs.PGBACKREST)]

OLD, NEW = "xneelo-jnb", "azure-san"


def in_recovery(lab: Lab, host: str) -> str:
    return lab.psql(host, "select pg_is_in_recovery()").strip()


def streaming_to(lab: Lab, host: str) -> str:
    return lab.psql(host, "select string_agg(application_name, ' ') from pg_stat_replication").strip()


def answers(lab: Lab, host: str) -> str:
    """What pg_is_in_recovery says; empty while nobody answers."""
    try:
        return in_recovery(lab, host)
    except LabError:
        return ""


def streams(lab: Lab, host: str, standby: str) -> None:
    assert wait_until(lambda: standby in streaming_to(lab, host), within=60), f"{standby} does not stream"


def as_postgres(lab: Lab, host: str, script: str) -> subprocess.CompletedProcess[str]:
    return lab.ssh(host, ["sudo", "-u", "postgres", "sh", "-c", f"'{script}'"])


def moves(operator: Operator, verb: str, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return operator.types(verb, SERVICE, "-i", str(operator.inventory), "--yes", *words, code=code)


def broken(directory: Path, step: str, old: str, new: str) -> Path:
    """The switchover with one step of it broken, beside the runbook that it calls."""
    directory.mkdir()
    text = (ROOT / "runbooks" / "switchover.yml").read_text()
    start = text.index(f"- id: {step}\n")
    end = text.index("\n  - id: ", start)
    part = text[start:end]
    assert old in part
    (directory / "switchover.yml").write_text(text[:start] + part.replace(old, new) + text[end:])
    (directory / "rebuild-standby.yml").symlink_to(ROOT / "runbooks" / "rebuild-standby.yml")
    return directory / "switchover.yml"


def test_all_that_speaks_against_a_switchover_is_said_at_once(fresh_lab: Lab, operator: Operator) -> None:
    """A standby that lags, an archiver that fails, a backup that runs."""
    lab = fresh_lab
    lab.wait_backup()
    lab.psql(OLD, "alter system set archive_command = 'false pgbackrest'")
    lab.psql(OLD, "select pg_reload_conf()")
    lab.cut(OLD, NEW)
    lab.psql(OLD, "create table filler as select repeat(md5(n::text), 30) from generate_series(1, 20000) n")
    lab.psql(OLD, "select pg_switch_wal()")
    # Archiving fails, so this backup waits for its WAL until it is given up.
    backup = "pgbackrest --stanza=main --type=full --archive-timeout=120 backup"
    as_postgres(lab, "cloudprox", f"nohup {backup} >/dev/null 2>&1 & sleep 2")
    done = moves(operator, "switchover", code=7)
    for no in ("no-lag", "archiver-works", "no-backup-runs"):
        assert no in done.stderr.split("said no")[0].rsplit("NO-GO", 1)[-1], done.stderr
    assert "nothing was changed" in done.stderr
    assert in_recovery(lab, NEW) == "t"


def test_a_move_that_fails_is_given_back_and_one_that_is_killed_happens_once(
    fresh_lab: Lab, operator: Operator, tmp_path: Path
) -> None:
    lab = fresh_lab
    lab.wait_backup()
    lab.load(seconds=400, rate=10, background=True)
    # It fails at the last moment before the promotion: the old primary is stopped and fenced.
    often, twice = "expect: t\n    retry: {attempts: 60", "expect: never\n    retry: {attempts: 2"
    late = broken(tmp_path / "late", "nothing-is-missing", often, twice)
    done = operator.types("run", str(late), SERVICE, "-i", str(operator.inventory), "--yes", "--no-input", code=1)
    assert "fence.rollback" in done.stderr
    assert in_recovery(lab, OLD) == "f"
    assert in_recovery(lab, NEW) == "t"
    streams(lab, OLD, "azure_san")
    assert lab.psql(NEW, "show restore_command").strip(), "its undo has put it back"
    assert {host.name: host.size for host in lab.status().hosts}[NEW] == "micro"
    assert not lab.acknowledged().missing
    # The same move, drctl is killed when the old primary is being stopped.
    command = operator.words("switchover", SERVICE, "-i", str(operator.inventory), "--yes", "--json")
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        start_new_session=True,
    ) as running:  # fmt: skip
        until(running, lambda e: e["body"]["type"] == "attempt_started" and e["body"].get("step") == "stop")
        os.kill(running.pid, signal.SIGKILL)
    operator.types("resume", "--no-input")
    report = operator.report()
    assert report["rto"]["verdict"] == report["rpo"]["verdict"] == "met"
    assert report["rpo"]["actual_s"] == 0
    assert in_recovery(lab, OLD) == "t"
    assert in_recovery(lab, NEW) == "f"
    timeline = lab.psql(NEW, "select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)").strip()
    assert timeline == "00000002", "promoted once"
    assert not lab.acknowledged().missing
    # It is there already, and the way back is named. A failback has nothing to bring home that is not a standby.
    assert f"drctl switchover {SERVICE} --to primary" in moves(operator, "switchover", code=7).stderr
    # A failure after the promotion may be rolled back by nobody: the old primary must not take writes again.
    back = ("--input", "from=standby", "--input", "to=primary")
    reads = "run: psql -XAtqc 'select max(ts) from dr_heartbeat' -d \"$database\"\n"
    after = broken(tmp_path / "after", "recovery-point", reads, "run: exit 1\n    on_failure: rollback\n")
    words = ["run", str(after), SERVICE, "-i", str(operator.inventory), "--yes", "--no-input", *back]
    done = operator.types(*words, code=1)
    assert "has been promoted, or may have been" in done.stderr
    assert in_recovery(lab, OLD) == "f"
    assert in_recovery(lab, NEW) == "t", "never two primaries"


def test_the_way_home_is_refused_while_both_take_writes_and_copies_what_cannot_be_rewound(
    fresh_lab: Lab, operator: Operator
) -> None:
    lab = fresh_lab
    lab.wait_backup()
    lab.psql(OLD, "alter system set work_mem = '3MB'")
    lab.power_off(OLD)
    operator.failover()
    # The power is back, and its database started by itself.
    lab.power_on(OLD)
    assert wait_until(lambda: answers(lab, OLD) == "f", within=60)
    done = moves(operator, "failback", code=7)
    assert "Both servers take writes" in done.stderr
    assert "nothing was changed" in done.stderr
    as_postgres(lab, OLD, "/usr/lib/postgresql/15/bin/pg_ctl -D /var/lib/postgresql/15/main -m fast -w stop")
    as_postgres(lab, OLD, "rm /var/lib/postgresql/15/main/global/pg_control")  # pg_rewind needs it
    moves(operator, "failback")
    steps = {step["id"]: step for step in operator.report()["steps"]}
    assert (steps["rebuild/rewind"]["outcome"], steps["rebuild/copy"]["outcome"]) == ("failed", "succeeded")
    assert steps["rebuild/configure"]["hosts"][0]["errors"] is None, "its archive answered"
    assert in_recovery(lab, OLD) == "f"
    assert lab.psql(OLD, "show work_mem").strip() == "3MB", "its own configuration"
    streams(lab, OLD, "azure_san")
    status = operator.types("status", SERVICE).stdout
    assert "protected   since" in status


def test_a_standby_whose_slot_has_lost_its_wal_is_seen_and_rebuilt(fresh_lab: Lab, operator: Operator) -> None:
    """The slot of a dead standby kept WAL until the limit was reached, and then none."""
    lab = fresh_lab
    lab.wait_backup()
    # As a failover that was broken off leaves it: it cannot fetch from the archive what the primary has no more.
    lab.psql(NEW, "alter system set restore_command = ''")
    lab.ssh(NEW, ["sudo", "/opt/taskflow/bin/database", "stop"])
    lab.psql(OLD, "alter system set max_slot_wal_keep_size = '16MB'")
    lab.psql(OLD, "alter system set wal_keep_size = 0")
    lab.psql(OLD, "select pg_reload_conf()")
    for _ in range(4):
        lab.psql(OLD, "create table filler as select repeat(md5(n::text), 30) from generate_series(1, 20000) n")
        lab.psql(OLD, "drop table filler")
        lab.psql(OLD, "select pg_switch_wal()")
    lab.psql(OLD, "checkpoint", database_name="postgres")
    assert lab.psql(OLD, "select wal_status from pg_replication_slots").strip() == "lost"
    lab.ssh(NEW, ["sudo", "/opt/taskflow/bin/database", "start"])
    done = operator.types("check", "readiness", SERVICE, "-i", str(operator.inventory), code=7)
    mend = ["run", "rebuild-standby", SERVICE, "--input", "source=primary", "--input", "target=standby"]
    assert "drctl " + " ".join(mend) in done.stderr
    operator.types(*mend, "-i", str(operator.inventory), "--yes", "--no-input")
    streams(lab, OLD, "azure_san")
    assert lab.psql(OLD, "select wal_status from pg_replication_slots").strip() == "reserved"
    operator.types("check", "readiness", SERVICE, "-i", str(operator.inventory))
