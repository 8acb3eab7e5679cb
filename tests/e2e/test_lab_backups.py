"""The lab's backups are real: made at one place, copied to two, readable at each, and frozen when that is asked for."""

from __future__ import annotations

import json
import re

import pytest

from drctl.errors import LabError
from drctl.lab import Lab
from drctl.lab.topology import COPIES, DATABASE_HOSTS, REPOSITORY_HOST, REPOSITORY_HOSTS

pytestmark = pytest.mark.lab

BACKUPS = "/opt/taskflow/bin/backups"


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
    said = lab.ssh(REPOSITORY_HOST, ["/opt/taskflow/bin/replicate-backups offline-store"])
    assert f"offline-store: 1 new of 2 backups ({second[1]})" in said.stdout, said.stdout + said.stderr
    now = as_postgres(lab, "vault", "cat /var/lib/pgbackrest/.replicated; ls -A /var/lib/pgbackrest").split()
    assert now[0] > before.strip()
    assert now[1:] == [".replicated", "archive", "backup"], "what was on its way is left behind"
    assert labels(lab, "vault") == second

    # What has expired at the source is forgotten by the copies; what only went missing there is not.
    as_postgres(lab, REPOSITORY_HOST, f"pgbackrest --stanza=main --set={first[0]} expire")
    as_postgres(lab, REPOSITORY_HOST, f"rm /var/lib/pgbackrest/backup/main/{second[1]}/pg_data/PG_VERSION.zst")
    as_postgres(lab, REPOSITORY_HOST, "/opt/taskflow/bin/replicate-backups")
    for host in COPIES.values():
        assert labels(lab, host) == second[1:]
        kept = as_postgres(
            lab, host, "cd /var/lib/pgbackrest/backup/main; ls -d [0-9]*; ls -A ..; ls */pg_data/PG_VERSION.zst"
        )
        assert first[0] not in kept
        assert f"{second[1]}/pg_data/PG_VERSION.zst" in kept

    # A repository that was made anew does not wipe the copies.
    as_postgres(lab, REPOSITORY_HOST, "sed -i '/^2.*F=/s/^20../2001/' /var/lib/pgbackrest/backup/main/backup.info")
    refused = lab.ssh(REPOSITORY_HOST, ["/opt/taskflow/bin/replicate-backups"])
    assert refused.returncode == 1
    assert f"vault has the backup {second[1]}" in refused.stderr
    assert labels(lab, "vault") == second[1:]
