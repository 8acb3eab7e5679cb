"""A standby that is gone, and a slot that keeps WAL for it until the primary's disk is really full."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drctl.lab import Lab
from drctl.lab.commands import wait_until
from tests.support import needs
from tests.support.operator import ROOT
from tests.support.pages import type_all

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900), pytest.mark.needs(needs.PGBACKREST)]

HOME, AWAY = "xneelo-jnb", "azure-san"

SMALL_DISK = """\
set -eu
/opt/taskflow/bin/database stop
mkdir -p /mnt/small
mount -t tmpfs -o size=420m,mode=750 small /mnt/small
chown postgres:postgres /mnt/small
cp -a /var/lib/postgresql/15/. /mnt/small/
mount --move /mnt/small /var/lib/postgresql/15
/opt/taskflow/bin/database start
"""
# Only WAL: 8 MB of it each time, with a checkpoint between, while there is room for more.
FILL = """\
cd /tmp
for n in 1 2 3; do
  psql -XAtq -d postgres -c "select pg_logical_emit_message(false, 'fill', repeat(md5(random()::text), 250000))"
done
psql -XAtqc checkpoint -d postgres
"""


def stands(lab: Lab) -> bool:
    return lab.ssh(HOME, ["sudo", "/opt/taskflow/bin/database", "status"]).stdout.startswith("running")


def test_the_disk_is_filled_and_the_page_is_typed_as_it_is_written(
    fresh_lab: Lab, lab_inventory: Path, tmp_path: Path
) -> None:
    lab = fresh_lab
    (tmp_path / "runbooks").symlink_to(ROOT / "runbooks")
    environment = {
        **dict(word.split("=", 1) for word in lab.settings.environment_words()),
        "DRCTL_INVENTORY": str(lab_inventory),
        "DRCTL_STATE_DIR": str(tmp_path / "state"),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    lab.wait_backup()
    lab.ssh(HOME, ["sudo", "sh", "-s"], stdin=SMALL_DISK)
    lab.psql(HOME, "alter system set max_slot_wal_keep_size = -1")
    lab.psql(HOME, "select pg_reload_conf()")
    lab.load(seconds=2, rate=20)
    lab.ssh(AWAY, ["sudo", "/opt/taskflow/bin/database", "stop"])
    for _ in range(100):
        if not stands(lab):
            break
        lab.ssh(HOME, ["sudo", "-u", "postgres", "sh", "-s"], stdin=FILL)
    assert not stands(lab)
    free = lab.ssh(HOME, ["sudo", "df", "-B1", "--output=avail", "/var/lib/postgresql/15"]).stdout.split()[-1]
    assert int(free) < 16 * 1024 * 1024, "no room for another file of WAL"

    type_all(ROOT / "docs" / "how-to" / "full-disk.md", tmp_path, environment)
    assert lab.psql(HOME, "select pg_is_in_recovery()").strip() == "f"
    assert wait_until(
        lambda: "azure_san" in lab.psql(HOME, "select string_agg(application_name, ' ') from pg_stat_replication"),
        within=60,
    )
    compared = lab.acknowledged()
    assert compared.acknowledged > 0
    assert not compared.missing
