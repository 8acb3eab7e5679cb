"""Drills on the stand-in: real data from the real backups, and nothing of it is left afterwards."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from drctl.lab import Lab
from drctl.lab.topology import DRILL_DATABASES, DRILL_EDGE, DRILL_HOSTS, PGDATA
from tests.support import needs
from tests.support.operator import ROOT, SERVICE, Operator
from tests.support.pages import seat, type_all

pytestmark = [pytest.mark.lab, pytest.mark.needs(needs.PGBACKREST)]
STAND_IN = f"{SERVICE}-drill"


def labels(lab: Lab) -> list[str]:
    """The service's backups."""
    told = lab.ssh("cloudprox", ["sudo -u postgres pgbackrest info --output=json"]).stdout
    return [backup["label"] for backup in json.loads(told)[0]["backup"]]


def item(operator: Operator, runbook: str) -> dict:
    """The line of the programme about the service and a runbook."""
    programme = json.loads(operator.types("drill", "plan", "-i", str(operator.inventory), "--json").stdout)
    return next(i for i in programme["items"] if (i["service"], i["runbook"]) == (SERVICE, runbook))


def untouched(lab: Lab, report: dict, backups: list[str]) -> None:
    """No data is left, and production was only read from: told by the hosts and not by drctl."""
    changed = {
        host["host"]
        for step in report["steps"]
        if not step["read_only"]
        for host in step["hosts"]
        if host["host"] and host["runs"]
    }
    assert changed <= set(DRILL_HOSTS), "no production host got a changing step"
    assert {"operator", "xneelo-jnb", "azure-san", "cloudprox"} == set(report["drill_safety"]["production"])
    assert report["drill_safety"]["production_changed"] == []
    for name in DRILL_DATABASES:
        assert lab.host(name).execute(["find", PGDATA, "-mindepth", "1"], check=False).stdout == ""
        assert "postgres" not in lab.host(name).execute(["ps", "-eo", "comm="]).stdout.split()
    assert lab.psql("azure-san", "select pg_is_in_recovery()").strip() == "t"
    assert lab.psql("xneelo-jnb", "select count(*) from pg_replication_slots").strip() == "1"
    assert labels(lab) == backups
    assert not list(lab.acknowledged().missing), "clients lost nothing"


def noted(lab: Lab, report: dict) -> None:
    """What is noted around a drill, held against what hosts, the repository of backups and git say themselves."""
    assert report["exercise"]["observers"] == ["N. Dlamini"]
    assert report["exercise"]["absent"] == ["the DBA"]
    assert report["exercise"]["next_due_at"] > report["exercise"]["planned_at"]
    clocks = {clock["host"]: clock for clock in report["host_clocks"]}
    for name in ("xneelo-jnb", "azure-san", "cloudprox"):
        # The hosts of a lab have the clock of this machine.
        assert abs(clocks[name]["offset_s"]) <= clocks[name]["within_s"] + 0.001, clocks[name]
    assert clocks.keys() >= {*DRILL_DATABASES}, "whether or not they had their power yet"
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert report["repository"]["commit"] == head.strip()
    copy = report["backups"][0]
    manifest = f"backup/main/{copy['label']}/backup.manifest"
    told = lab.ssh("cloudprox", [f"sudo -u postgres pgbackrest --stanza=main repo-get {manifest} | sha256sum"]).stdout
    assert copy["manifest_sha256"] == told.split()[0]


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
    backups = labels(lab)
    done = operator.types(*words, "--observer", "N. Dlamini", "--absent", "the DBA")
    assert "DRILL DONE" in done.stderr
    assert "UNPROTECTED" not in done.stderr
    report = operator.report()
    noted(lab, report)
    outcomes = {step["id"]: step["outcome"] for step in report["steps"]}
    for step in ("restore/from-a-copy/1/files", "restore/promote", "restore/door/service-answers", "ground/residue"):
        assert outcomes[step] == "succeeded", step
    # The standby was rebuilt too, though its host never had a database.
    assert outcomes["restore/rebuild/streaming"] == "succeeded"
    assert report["rto"]["verdict"] == "met"
    assert report["rpo"]["verdict"] == "met"
    untouched(lab, report, backups)
    # The copy of the service's backups that it restored is known to restore, whichever of the two is asked about.
    (restored,) = report["backups"]
    for service in (SERVICE, STAND_IN):
        listed = json.loads(
            operator.types("backups", service, "-i", str(operator.inventory), "--json", code=None).stdout
        )
        tested = {(c["location"], c["label"]): c["restore_tested"] for c in listed["copies"] if c["restore_tested"]}
        assert list(tested) == [(restored["location"], restored["label"])]
        assert (tested.popitem()[1]["mode"], listed["service"]) == ("drill", service)
    # It counts as an exercise of the service, and of the runbook.
    restore = item(operator, "restore")
    assert (restore["last_mode"], restore["due"]) == ("drill", False)
    assert "restore/promote" not in restore["never"]
    assert "promote" not in restore["never"]
    # And of what the failover falls back on: the same steps.
    failover = item(operator, "failover")
    assert not {"restore/promote", "restore/from-a-copy/1/files", "restore/log-agrees"} & {*failover["never"]}
    assert not failover["changed"]
    assert "promote" in failover["never"]
    # What an earlier drill left behind is not written over in silence.
    lab.host(DRILL_DATABASES[1]).execute(["touch", f"{PGDATA}/personal"], user="postgres")
    left = operator.types(*words, code=1)
    assert "An earlier drill was not cleaned up" in left.stderr


def test_a_failover_of_a_cloned_pair_is_exercised_from_the_loss_of_its_primary(
    fresh_lab: Lab, operator: Operator, tmp_path: Path
) -> None:
    """Typed as the how-to page has it."""
    lab = fresh_lab
    lab.wait_backup()
    backups = labels(lab)
    assert item(operator, "failover")["due"]
    said = type_all(ROOT / "docs" / "how-to" / "drill.md", tmp_path, seat(lab, operator.inventory, tmp_path))
    assert not any("UNPROTECTED" in one for one in said)
    report = operator.report()
    steps = {step["id"]: step for step in report["steps"]}
    in_order = ("pair/rebuild/streaming", "writes", "loss", "failover/promote", "failover/door/service-answers")
    assert [steps[step]["outcome"] for step in in_order] == ["succeeded"] * len(in_order)
    assert steps["pair/rebuild/rewind"]["outcome"] == "skipped", "there is nothing to rewind"
    assert steps["ground/residue"]["outcome"] == "succeeded"
    # The clock: not one point of it is from the preparation, which promoted a database and opened a door as well.
    clock = {row["mark"]: row for row in report["clock"]}
    assert clock["outage_started"]["source"] == "step outage-begins"
    assert clock["service_restored"]["source"] == "step failover/door/service-answers"
    assert (report["rto"]["verdict"], report["rpo"]["verdict"]) == ("met", "met")
    assert report["rpo"]["actual_s"] < 60, "what the drill's own clients wrote, and not the age of the backup"
    # The proof that the old primary is dead is of this outage, and not of the restore that made it a primary.
    proofs = {proof["fact"]: proof["proved_by"] for proof in report["proofs"]}
    assert proofs["primary_fenced"] == ["failover/fence/by-power"]
    assert "target_stopped" not in proofs, "the restore that it would have fallen back on needs it"
    untouched(lab, report, backups)
    assert lab.host(DRILL_EDGE).execute(["find", "/home", "-name", "acknowledged.tsv"]).stdout == ""
    failover = item(operator, "failover")
    assert (failover["last_mode"], failover["due"]) == ("drill", False)
    assert "promote" not in failover["never"]
