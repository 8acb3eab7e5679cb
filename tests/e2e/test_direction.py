"""The service stands the other way round: what is typed is the same, and drctl finds out which way it goes."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drctl.lab import Lab
from drctl.lab.commands import wait_until
from tests.support import needs
from tests.support.operator import ROOT, SERVICE, Operator, wreck_both_sites

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900), pytest.mark.needs(needs.PGBACKREST)]

HOME, AWAY = "xneelo-jnb", "azure-san"


def moves(operator: Operator, to: str) -> None:
    operator.types("switchover", SERVICE, "-i", str(operator.inventory), "--yes", "--to", to)


def has_all_that_was_acknowledged(lab: Lab, host: str) -> bool:
    newest = "select max(ts) from dr_heartbeat"
    return lab.psql(AWAY, newest) == lab.psql(host, newest)


def takes_writes(lab: Lab, host: str) -> bool:
    return lab.psql(host, "select pg_is_in_recovery()").strip() == "f"


def the_wrong_way_by_hand_is_refused(lab: Lab, operator: Operator) -> None:
    """The service is away. A person says that it goes there; at first the standby is well, and then it is lost."""
    refused = operator.failover("--to", "standby", code=7).stderr
    assert f"{HOME} answers, so it is not lost" in refused
    assert f"{AWAY} is no standby: it takes writes, so the service is there already" in refused
    lab.power_off(HOME)
    refused = operator.failover("--to", "standby", code=7).stderr
    assert "NO-GO: nothing was changed, standby-is-a-standby said no" in refused
    wrong = {"from": "primary", "to": "standby", "target": "standby", "other": "primary", "standby_given_up": "true"}
    words = [word for name, text in wrong.items() for word in ("--input", f"{name}={text}")]
    back_in_time = ("--input", f"to_time={datetime.now(UTC).isoformat()}")
    for more in ((), back_in_time):
        refused = operator.types(
            "run", "restore", SERVICE, "-i", str(operator.inventory), *words, *more, "--yes", "--no-input", code=7
        ).stderr
        assert "NO-GO: nothing was changed, standby-takes-no-writes said no" in refused
        assert f"{AWAY} is no standby: it takes writes, and the service stands the other way round" in refused
    assert takes_writes(lab, AWAY)
    lab.power_on(HOME)
    streams = "select count(*) from pg_stat_replication where state = 'streaming'"
    assert wait_until(lambda: lab.psql(AWAY, streams).strip() == "1", within=60)


def test_after_a_move_the_new_primary_is_lost_and_failover_goes_back(
    fresh_lab: Lab, operator: Operator, tmp_path: Path
) -> None:
    lab, inventory = fresh_lab, ("-i", str(operator.inventory))
    lab.wait_backup()
    moves(operator, "standby")
    ready = operator.types("check", "readiness", SERVICE, *inventory)
    assert f"from {AWAY} (standby) to {HOME} (primary)" in ready.stderr
    the_wrong_way_by_hand_is_refused(lab, operator)
    alive = operator.failover(code=7)
    assert f"drctl switchover {SERVICE} --to primary" in alive.stderr
    lab.load(seconds=2, rate=20)
    assert wait_until(lambda: has_all_that_was_acknowledged(lab, HOME), within=30)
    lab.power_off(AWAY)

    # What is looked at beforehand is the same way round, by the journal alone.
    words = operator.words("plan", "failover", SERVICE, *inventory, "--json")
    looked = subprocess.run(["unshare", "--net", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {i["name"]: i.get("text") for i in json.loads(looked.stdout)["plan"]["inputs"]}["from"] == "standby"
    assert "The servers were not asked" in looked.stderr
    assert operator.types("show", "failover", SERVICE, *inventory).stdout.startswith(
        f"# Fail over {SERVICE} from {AWAY} to {HOME}\n"
    )
    done = operator.failover()
    assert f"from {AWAY} (standby) to {HOME} (primary)" in done.stderr
    assert f"promoted {AWAY}" in done.stderr
    assert f"{HOME} says that it is a standby" in done.stderr
    assert f"promoted {AWAY}" in str(operator.report()["way"]), "it is in the evidence"
    assert "RTO MET" in done.stderr
    assert "RPO MET" in done.stderr
    status = lab.status()
    assert takes_writes(lab, HOME)
    assert {host.name: host.power for host in status.hosts}[AWAY] == "off", "fenced"
    assert status.application_database == lab.settings.address(HOME)
    compared = lab.acknowledged()
    assert compared.acknowledged > 0
    assert not compared.missing
    # The way to a standby again is named for this direction, and works.
    cure = ["run", "rebuild-standby", SERVICE, "--input", "source=primary", "--input", "target=standby"]
    assert "drctl " + " ".join(cure) in operator.types("check", "readiness", SERVICE, *inventory, code=7).stderr
    operator.types(*cure, *inventory, "--yes", "--no-input")

    # Somebody moves it from another machine: this journal does not know, the servers do, and nobody guesses.
    other = Operator(tmp_path / "other", operator.inventory)
    moves(other, "standby")
    refused = operator.failover(code=7)
    assert f"promoted {HOME}" in refused.stderr
    # Whoever answers first: a standby's word is enough.
    said = (f"{AWAY} says that it takes writes", f"{HOME} says that it is a standby")
    assert any(one in refused.stderr for one in said)
    assert f"drctl failover {SERVICE} --to ROLE" in refused.stderr
    assert "nothing was changed" in refused.stderr
    newcomer = Operator(tmp_path / "newcomer", operator.inventory)
    assert f"from {AWAY}" in newcomer.types("check", "readiness", SERVICE, *inventory).stderr

    # And both are lost in that direction: the restore goes to the server that was the standby.
    wreck_both_sites(lab, primary=AWAY, standby=HOME)
    operator.failover("--to", "primary")
    assert takes_writes(lab, HOME)
    assert lab.psql(HOME, "select application_name from pg_stat_replication").strip() == "azure_san"
    report = operator.report()
    assert report["rto"]["verdict"] == "met"
    assert (report["rpo"]["actual_s"] > 0) == bool(lab.acknowledged().missing)  # type: ignore[index]
