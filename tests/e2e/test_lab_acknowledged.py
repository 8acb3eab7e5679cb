"""Nothing that had reached the standby is lost by a failover; and a loss is seen and named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from drctl.cli.lab import app
from drctl.lab import Lab
from drctl.lab.commands import wait_until
from drctl.lab.edge import health
from tests.crash.evidence import never_arrived
from tests.support import needs
from tests.support.operator import at_home

pytestmark = pytest.mark.lab

PROMOTE = """\
set -e
until [ "$(psql -XAtc 'select pg_is_in_recovery()')" = t ]; do sleep 0.1; done
psql -XAtqc "ALTER SYSTEM SET restore_command = ''" -c 'SELECT pg_reload_conf()'
/usr/lib/postgresql/15/bin/pg_ctl -D /var/lib/postgresql/15/main -w -t 60 promote
"""


def promote_and_repoint(lab: Lab) -> None:
    promote = at_home(lab, "azure-san", PROMOTE)
    done = lab.ssh("azure-san", ["sudo -n -H -u postgres -- sh -s"], stdin=promote)
    assert done.returncode == 0, done.stderr
    done = lab.ssh("edge", [at_home(lab, "edge", "/opt/taskflow/bin/repoint"), lab.settings.address("azure-san")])
    assert done.returncode == 0, done.stderr


def acknowledged() -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["acknowledged", "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_a_load_is_acknowledged_and_present(lab: Lab) -> None:
    before = lab.acknowledged().acknowledged
    result = lab.load(seconds=2, rate=10)
    assert result is not None
    assert result.asked >= 10
    assert result.acknowledged == result.asked
    found = lab.acknowledged()
    assert found.acknowledged >= before + result.acknowledged
    assert found.present == found.acknowledged
    assert found.server == "xneelo-jnb"


def test_a_failover_over_a_healthy_link_loses_nothing_that_had_arrived(fresh_lab: Lab) -> None:
    lab = fresh_lab
    lab.load(seconds=60, rate=20, background=True)
    assert wait_until(lambda: lab.acknowledged().acknowledged > 30, within=15)
    lab.power_off("xneelo-jnb")
    # Replication is asynchronous: what was acknowledged in the last milliseconds may never have left the primary.
    not_ours = {(row.id, row.ts) for row in never_arrived(lab)}
    promote_and_repoint(lab)
    assert health(lab.settings)["server"] == lab.settings.address("azure-san")
    code, found = acknowledged()
    assert {(row["id"], row["ts"]) for row in found["missing"]} <= not_ours
    assert code == (1 if found["missing"] else 0), found
    assert found["server"] == "azure-san"
    assert found["present"] > 30


@pytest.mark.needs(needs.LINKS)
def test_what_a_cut_link_lost_is_missing_and_named(fresh_lab: Lab) -> None:
    lab = fresh_lab
    lab.cut("xneelo-jnb", "azure-san")
    held = lab.acknowledged().acknowledged
    assert wait_until(lambda: lab.acknowledged().acknowledged >= held + 3, within=15)
    lab.power_off("xneelo-jnb")
    promote_and_repoint(lab)
    # The new primary numbers its own rows on: enough of them to reach the numbers of those that were lost.
    lab.load(seconds=3, rate=20)
    code, found = acknowledged()
    assert code == 1
    assert len(found["missing"]) >= 3, found
    assert found["acknowledged"] == found["present"] + len(found["missing"])
