"""The lab's backups are real: made at one place, copied to two, readable at each, and frozen when that is asked for."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from drctl.cli.lab import app
from drctl.errors import DrctlError, LabError, UsageError
from drctl.lab import Lab
from drctl.lab.commands import wait_until
from drctl.lab.damage import Fault
from drctl.lab.topology import COPIES, DATABASE_HOSTS, REPOSITORY_HOST, REPOSITORY_HOSTS
from tests.support import needs

pytestmark = [pytest.mark.lab, pytest.mark.needs(needs.PGBACKREST)]

BACKUPS = "/opt/taskflow/bin/backups"
VERIFY = "pgbackrest --stanza=main verify --verbose --log-level-console=detail --output=text"
# Restores a backup beside the running server, into a directory that is gone afterwards; says what the newest row is.
RESTORE = """\
set -eu
place=/var/tmp/scratch
rm -rf $place
mkdir -m 700 $place
pgbackrest --stanza=main --repo1-host="$repository" --set="$label" --pg1-path=$place --archive-mode=off "$@" \
    --target-action=promote restore
/usr/lib/postgresql/15/bin/pg_ctl -D $place -w -t 60 -l $place/log -o "-p 5433 -c listen_addresses='' \
    -c primary_conninfo='' -c primary_slot_name='' -c log_directory=$place" start >/dev/null
until [ "$(psql -p 5433 -XAtc 'select pg_is_in_recovery()')" = f ]; do sleep 0.1; done
psql -p 5433 -XAt -d taskflow -c "select to_char(max(ts), 'YYYYMMDD-HH24') from dr_heartbeat"
/usr/lib/postgresql/15/bin/pg_ctl -D $place -m immediate -w stop >/dev/null
rm -rf $place
"""


def as_postgres(lab: Lab, host: str, command: str) -> str:
    """A command on a host as postgres, over ssh; its output. It has to succeed."""
    done = lab.ssh(host, ["sudo -n -H -u postgres -- sh -s"], stdin=command + "\n")
    assert done.returncode == 0, (host, command, done.stdout, done.stderr)
    return done.stdout


def labels(lab: Lab, host: str, *options: str) -> list[str]:
    """The backups that pgBackRest lists at a place."""
    words = " ".join(["pgbackrest --stanza=main info --output=json", *options])
    return [backup["label"] for backup in json.loads(as_postgres(lab, host, words))[0]["backup"]]


def test_three_places_have_the_backups_and_a_freeze_stops_them(fresh_lab: Lab) -> None:
    lab = fresh_lab
    lab.wait_backup()
    first = labels(lab, REPOSITORY_HOST)
    assert len(first) == 1
    assert {host: labels(lab, host) for host in COPIES.values()} == dict.fromkeys(COPIES.values(), first)

    # Each place verifies its own copy, and both database servers can restore from each.
    for host in REPOSITORY_HOSTS:
        said = as_postgres(
            lab, host, "pgbackrest --stanza=main verify --verbose --log-level-console=detail --output=text"
        )
        assert re.search(rf"backup: {first[0]}, status: valid, total files checked: [1-9]", said), said
        assert "backup" in as_postgres(lab, host, "pgbackrest --stanza=main repo-ls").split()
        for server in DATABASE_HOSTS:
            assert labels(lab, server, f"--repo1-host={host}") == first
    restored = as_postgres(
        lab,
        "azure-san",
        "mkdir -m 700 /var/tmp/scratch\n"
        "pgbackrest --stanza=main --repo1-host=vault --pg1-path=/var/tmp/scratch restore\n"
        "cat /var/tmp/scratch/PG_VERSION; rm -rf /var/tmp/scratch",
    )
    assert restored.split()[-1] == "15"

    # Frozen: nothing is made, nothing is copied, nothing is pruned, and it is said.
    frozen = lab.ssh(REPOSITORY_HOST, [f"{BACKUPS} status || {BACKUPS} freeze --reason 'a restore runs'"])
    assert "not frozen" in frozen.stdout
    assert re.search(r"^frozen since \S+Z by drctl: a restore runs$", frozen.stdout, re.M), frozen.stdout
    with pytest.raises(LabError, match=r"refused: the backups are frozen since .*: a restore runs") as caught:
        lab.backup()
    assert "unfreeze" in caught.value.hint
    for program in ("nightly-backup", "replicate-backups"):
        assert lab.ssh(REPOSITORY_HOST, [f"/opt/taskflow/bin/{program}"]).returncode == 75
    assert labels(lab, REPOSITORY_HOST) == first
    assert lab.ssh(REPOSITORY_HOST, [f"{BACKUPS} status; {BACKUPS} unfreeze; {BACKUPS} status"]).returncode == 3

    # Much data is written no faster than it is archived: the backup that follows has all the WAL that it needs.
    assert lab.bulk("50MB") >= 50
    assert lab.psql("xneelo-jnb", "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'") == "0"

    # A place that cannot be reached keeps what it had, and the other one is brought up to date all the same.
    lab.cut(REPOSITORY_HOST, "vault")
    with pytest.raises(LabError, match="offline-store: ssh vault: exit code 255"):
        lab.backup()
    second = labels(lab, REPOSITORY_HOST)
    assert second[:1] == first
    assert len(second) == 2
    assert labels(lab, "teraco-dbn") == second
    assert labels(lab, "vault") == first
    before = as_postgres(lab, "vault", "cat /var/lib/pgbackrest/.replicated")
    lab.heal_all()

    # A copy that is on its way is not seen, and a freeze keeps it from being; it says that it had begun.
    lab.rate("vault", 20)
    lab.host(REPOSITORY_HOST).start(
        ["/opt/taskflow/bin/nightly-backup"], user="postgres", log="/var/log/taskflow/nightly.log"
    )
    on_its_way = lab.settings.disk("vault", "/var/lib/pgbackrest/.incoming")
    assert wait_until(lambda: on_its_way.is_dir() and any(on_its_way.glob("2*/pg_data/base")), within=120, every=0.1)
    assert labels(lab, "vault") == first
    assert as_postgres(lab, "vault", "cd /var/lib/pgbackrest/backup/main; ls -d [0-9]*").split() == first
    frozen = lab.ssh(REPOSITORY_HOST, [f"{BACKUPS} freeze --wait 0"])
    assert frozen.returncode == 75
    assert "a nightly job still runs" in frozen.stdout
    assert "that had begun has not ended" in frozen.stderr
    lab.rate("vault", 0)
    assert lab.ssh(REPOSITORY_HOST, [f"{BACKUPS} freeze --wait 50"]).returncode == 0
    assert labels(lab, "vault") == first
    assert "no replication" in lab.settings.disk(REPOSITORY_HOST, "/var/log/taskflow/nightly.log").read_text()
    second = labels(lab, REPOSITORY_HOST)
    assert len(second) == 3

    lab.ssh(REPOSITORY_HOST, [f"{BACKUPS} unfreeze"])
    said = lab.ssh(REPOSITORY_HOST, ["/opt/taskflow/bin/replicate-backups offline-store"])
    assert f"offline-store: 2 new of 3 backups ({' '.join(second[1:])})" in said.stdout, said.stdout + said.stderr
    now = as_postgres(lab, "vault", "cat /var/lib/pgbackrest/.replicated; ls -A /var/lib/pgbackrest").split()
    assert now[0] > before.strip()
    assert now[1:] == [".replicated", "archive", "backup"], "what was on its way is left behind"
    assert labels(lab, "vault") == second

    # What goes missing at the source, or is struck off its list, stays in the copies. They expire by themselves.
    as_postgres(lab, REPOSITORY_HOST, f"rm -r /var/lib/pgbackrest/backup/main/{second[1]}")
    as_postgres(lab, REPOSITORY_HOST, f"rm /var/lib/pgbackrest/backup/main/{second[2]}/pg_data/PG_VERSION.zst")
    as_postgres(lab, REPOSITORY_HOST, "pgbackrest --stanza=main expire")
    assert labels(lab, REPOSITORY_HOST) == [second[0], second[2]]
    one_only = "s/full=7/full=1/; s/type=time/type=count/"
    assert lab.ssh("vault", [f"sudo -n sed -i '{one_only}' /etc/pgbackrest/pgbackrest.conf"]).returncode == 0
    replicated = as_postgres(lab, REPOSITORY_HOST, "/opt/taskflow/bin/replicate-backups")
    assert labels(lab, "teraco-dbn") == second
    assert labels(lab, "vault") == second[2:]
    assert f"offline-store: repo1: expire full backup {second[0]}" in replicated
    for host in COPIES.values():
        as_postgres(lab, host, f"ls /var/lib/pgbackrest/backup/main/{second[2]}/pg_data/PG_VERSION.zst")

    # Neither a repository that was made anew nor another database's is laid over the copies.
    for spoil, words in (
        (
            "sed -i '/^2.*F=/s/^20../2001/' /var/lib/pgbackrest/backup/main/backup.info",
            f"vault has the backup {second[2]}",
        ),
        (
            "cd /var/lib/pgbackrest/archive/main; sed -i 's/^db-system-id=.*/&0/; s/-id.:[0-9]*/&0/' *.info",
            "has a copy of another database",
        ),
    ):
        as_postgres(lab, REPOSITORY_HOST, spoil)
        refused = lab.ssh(REPOSITORY_HOST, ["/opt/taskflow/bin/replicate-backups"])
        assert refused.returncode == 1
        assert words in refused.stderr
        assert labels(lab, "vault") == second[2:]


def restored_to(lab: Lab, label: str, *options: str) -> str:
    """The hour of the newest row after a restore of a backup from the second region."""
    ahead = f"repository=teraco-dbn label={label}\nset -- {' '.join(options)}\n"
    return as_postgres(lab, "xneelo-jnb", ahead + RESTORE).split()[-1]


def verdict(said: str, label: str) -> str:
    """What verify says of one backup: its status and what is wrong with its files; nothing when it is not named."""
    found = re.search(rf"backup: {label}, status: (\w+),.*\n\s*(.*)\n", said)
    return " ".join(found.groups()) if found else ""


def test_a_week_is_made_and_broken_in_every_way(fresh_lab: Lab) -> None:
    """Three nights of it. The exit code of verify is 0 each time: as_postgres insists on it."""
    lab = fresh_lab
    made = lab.backups_history(3)
    now = datetime.now(UTC)
    assert all(label[9:11] == "00" for label in made), "02:00 in Johannesburg"
    days = [datetime.strptime(label[:8], "%Y%m%d").replace(tzinfo=UTC) for label in made]
    assert [day - days[0] for day in days] == [timedelta(days=number) for number in range(3)]
    assert timedelta(0) < now - days[-1] < timedelta(days=1)
    assert lab.status().history == tuple(made)
    for place in lab.status().backups:
        assert (place.count, place.newest) == (3, made[-1])
    shown = CliRunner().invoke(app, ["status"]).stdout
    assert f"backups at cloudprox: 3, newest {made[-1]}, ended {days[-1]:%Y-%m-%d}T00:00:" in shown
    assert re.search(rf"^backups at offline-store: 3, newest {made[-1]}, ended \S+Z, replicated \S+Z$", shown, re.M)
    assert "3 of these are a history, made with an injected clock" in shown

    # What each holds is of its day, and the log leads from each to any later instant.
    assert restored_to(lab, made[0], "--type=immediate") == f"{made[0][:8]}-00"
    assert restored_to(lab, made[1], "--type=immediate") == f"{made[1][:8]}-00"
    afternoon = f"{days[0]:%Y-%m-%d} 13:00:00+00"
    assert restored_to(lab, made[0], "--type=time", f"'--target={afternoon}'") == f"{made[0][:8]}-12"
    assert lab.acknowledged().missing == ()

    label, clean = made[0], "missing: 0, checksum invalid: 0, size invalid: 0, other: 0"
    expected = {
        Fault.FLIP: "invalid missing: 0, checksum invalid: 1, size invalid: 0, other: 0",
        Fault.TRUNCATE: "invalid missing: 0, checksum invalid: 1, size invalid: 0, other: 0",
        Fault.MISSING: "invalid missing: 1, checksum invalid: 0, size invalid: 0, other: 0",
        Fault.DIRECTORY: "",
        Fault.WAL_FIRST: f"valid {clean}",
        Fault.WAL_GAP: f"valid {clean}",
    }
    for fault, wanted in expected.items():
        (said,) = lab.break_backup(fault, ["offline-store"], label)
        assert said.startswith(f"offline-store: backup {label}: ")
        assert lab.status().broken == (said,)
        verified = as_postgres(lab, "vault", VERIFY)
        assert verdict(verified, label) == wanted, (fault, verified)
        status = "error" if wanted.startswith("invalid") else "ok"
        assert re.search(rf"^status: {status}$", verified, re.M), (fault, verified)
        ranges = len(re.findall(r"DETAIL: archiveId: 15-1, wal start:", verified))
        assert ranges == (2 if fault in (Fault.WAL_FIRST, Fault.WAL_GAP) else 1), (fault, verified)
        assert labels(lab, "vault") == made
        assert lab.mend_backup() == [f"mended: {said}"]
        assert verdict(as_postgres(lab, "vault", VERIFY), label) == f"valid {clean}", fault

    # Stale everywhere, and young again.
    lab.break_backup(Fault.STALE)
    for host in REPOSITORY_HOSTS:
        assert labels(lab, host) == made[:-1]
    assert as_postgres(lab, "vault", "cat /var/lib/pgbackrest/.replicated").startswith(f"{days[1]:%Y-%m-%d}T00:00")
    lab.mend_backup()
    for host in REPOSITORY_HOSTS:
        assert labels(lab, host) == made

    # Out of reach from everywhere, and no other link with it.
    lab.break_backup(Fault.UNREACHABLE, ["teraco-dbn"])
    assert {frozenset(pair) for pair in lab.status().cuts} == {
        frozenset(("teraco-dbn", other)) for other in lab.hosts if other != "teraco-dbn"
    }
    lab.mend_backup()
    assert lab.status().cuts == ()

    # No room: for the nightly job, and for a restore.
    lab.break_backup(Fault.DISK_FULL)
    with pytest.raises(LabError, match="unable to write"):
        lab.backup()
    lab.mend_backup()
    assert labels(lab, REPOSITORY_HOST) == made
    with pytest.raises(LabError, match="PostgreSQL runs"):
        lab.break_backup(Fault.DISK_FULL, ["azure-san"])
    database = "/opt/taskflow/bin/database"
    lab.ssh("azure-san", [f"{database} stop"])
    lab.break_backup(Fault.DISK_FULL, ["azure-san"])
    refused = lab.ssh("azure-san", ["sudo -n -H -u postgres pgbackrest --stanza=main --job-retry=0 restore"])
    assert "unable to write" in refused.stdout + refused.stderr
    lab.mend_backup()
    assert lab.ssh("azure-san", [f"{database} start"]).returncode == 0

    for fault, options, words in (
        (Fault.FLIP, (["mars"], ""), "no backup is kept at 'mars'"),
        (Fault.FLIP, ([], "19990101-000000F"), "lists no backup '19990101-000000F'"),
        (Fault.WAL_GAP, ([], made[-1]), "a gap in the middle takes three"),
        (Fault.STALE, ([], made[-1]), "no label to choose"),
    ):
        with pytest.raises(DrctlError, match=words):
            lab.break_backup(fault, *options)
    unknown = CliRunner().invoke(app, ["break", "backup", "burn"])
    assert isinstance(unknown.exception, UsageError)
    assert "wal-gap" in unknown.exception.hint
    assert CliRunner().invoke(app, ["mend", "backup"]).stdout == "nothing is broken\n"
