"""The how-to pages of the moves, typed on the lab as they are written; and what is true of the hosts afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from drctl.lab import Lab
from tests.support import needs
from tests.support.operator import ROOT
from tests.support.pages import seat, type_all

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900), pytest.mark.needs(needs.PGBACKREST)]

HOW_TO = ROOT / "docs" / "how-to"


def roles(lab: Lab) -> dict[str, str]:
    return {
        host: lab.psql(host, "select case when pg_is_in_recovery() then 'standby' else 'primary' end").strip()
        for host in ("xneelo-jnb", "azure-san")
    }


def test_a_failover_the_way_home_and_a_planned_move_there_and_back(
    fresh_lab: Lab, lab_inventory: Path, tmp_path: Path
) -> None:
    lab = fresh_lab
    environment = seat(lab, lab_inventory, tmp_path)
    lab.wait_backup()
    # Its own configuration, which a rewind writes over.
    lab.psql("xneelo-jnb", "alter system set work_mem = '3MB'")
    lab.load(seconds=2, rate=20)

    type_all(HOW_TO / "failover.md", tmp_path, environment)
    assert lab.psql("azure-san", "select pg_is_in_recovery()").strip() == "f"
    type_all(HOW_TO / "failback.md", tmp_path, environment)
    assert roles(lab) == {"xneelo-jnb": "primary", "azure-san": "standby"}
    assert lab.psql("xneelo-jnb", "show work_mem").strip() == "3MB"
    assert lab.psql("azure-san", "show restore_command").strip() != "", "a standby can ask the archive again"
    for host in ("xneelo-jnb", "azure-san"):
        assert lab.psql(host, "select count(*) from pg_replication_slots where not active").strip() == "0"

    lost_by_the_failover = lab.acknowledged().missing  # replication is asynchronous; the RPO has said how much
    lab.load(seconds=300, rate=20, background=True)
    type_all(HOW_TO / "switchover.md", tmp_path, environment)
    assert roles(lab) == {"xneelo-jnb": "primary", "azure-san": "standby"}
    status = lab.status()
    assert {host.name: host.size for host in status.hosts}["azure-san"] == "micro"
    assert status.application_database == lab.settings.address("xneelo-jnb")
    # Clients wrote through both planned moves: of what they were told is safe, every row is there.
    compared = lab.acknowledged()
    assert compared.acknowledged > 0
    assert compared.missing == lost_by_the_failover
