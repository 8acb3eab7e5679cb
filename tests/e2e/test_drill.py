"""The restore, exercised on the stand-in: real data from the real backups, and nothing of it is left afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from drctl.lab import Lab
from drctl.lab.topology import DRILL_DATABASES, DRILL_HOSTS, PGDATA
from tests.support.operator import SERVICE, Operator

pytestmark = pytest.mark.lab
STAND_IN = f"{SERVICE}-drill"


def test_a_restore_is_exercised_and_leaves_no_data_and_production_alone(
    fresh_lab: Lab, operator: Operator, tmp_path: Path
) -> None:
    lab = fresh_lab
    lab.wait_backup()
    words = ["drill", "restore", SERVICE, "-i", str(operator.inventory), "--yes", "--no-input"]
    document = yaml.safe_load(operator.inventory.read_text())
    del document["services"][STAND_IN]
    alone = tmp_path / "alone.yml"
    alone.write_text(yaml.safe_dump(document))
    touching = operator.types("drill", "switchover", SERVICE, "-i", str(alone), "--yes", code=7)
    assert "this drill would change production" in touching.stderr
    backups = lab.ssh("cloudprox", ["sudo -u postgres pgbackrest info --output=json"]).stdout
    done = operator.types(*words)
    assert "DRILL DONE" in done.stderr
    assert "UNPROTECTED" not in done.stderr
    report = operator.report()
    outcomes = {step["id"]: step["outcome"] for step in report["steps"]}
    for step in ("restore/from-a-copy/1/files", "restore/promote", "restore/door/service-answers", "ground/residue"):
        assert outcomes[step] == "succeeded", step
    # The standby was rebuilt too, though its host never had a database.
    assert outcomes["restore/rebuild/streaming"] == "succeeded"
    assert report["rto"]["verdict"] == "met"
    assert report["rpo"]["verdict"] == "met"
    changed = {
        host["host"]
        for step in report["steps"]
        if not step["read_only"]
        for host in step["hosts"]
        if host["host"] and host["runs"]
    }
    assert changed <= set(DRILL_HOSTS), "no production host got a changing step"
    # Told by the hosts and not by drctl.
    for name in DRILL_DATABASES:
        left = lab.host(name).execute(["find", PGDATA, "-mindepth", "1"], check=False).stdout
        assert left == ""
        assert "postgres" not in lab.host(name).execute(["ps", "-eo", "comm="]).stdout.split()
    assert lab.psql("azure-san", "select pg_is_in_recovery()").strip() == "t"
    assert lab.psql("xneelo-jnb", "select count(*) from pg_replication_slots").strip() == "1"
    after = json.loads(lab.ssh("cloudprox", ["sudo -u postgres pgbackrest info --output=json"]).stdout)
    labels = [[b["label"] for b in stanza["backup"]] for stanza in (after[0], json.loads(backups)[0])]
    assert labels[0] == labels[1]
    assert not list(lab.acknowledged().missing), "clients lost nothing"
    # It counts as an exercise of the service, and of the runbook.
    programme = json.loads(operator.types("drill", "plan", "-i", str(operator.inventory), "--json").stdout)
    restore = next(i for i in programme["items"] if (i["service"], i["runbook"]) == (SERVICE, "restore"))
    assert (restore["last_mode"], restore["due"]) == ("drill", False)
    assert "restore/promote" not in restore["never"]
    assert "promote" not in restore["never"]
    # What an earlier drill left behind is not written over in silence.
    lab.host(DRILL_DATABASES[1]).execute(["touch", f"{PGDATA}/personal"], user="postgres")
    left = operator.types(*words, code=1)
    assert "An earlier drill was not cleaned up" in left.stderr
