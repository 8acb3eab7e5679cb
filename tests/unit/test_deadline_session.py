"""The deadline in a real run: a real journal, real jobs here, and the history that the next plan is made of."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drctl.cli.main import execute
from drctl.errors import ExitCode

WORLD = """inventory: here
residency: ZA
timezone: Africa/Johannesburg
sites: {jnb: {provider: X, country: ZA, kind: datacentre}}
hosts: {db: {site: jnb, address: 192.0.2.1}}
services: {acacia: {title: Acacia, sla: false, objectives: {rto: 4h}, roles: {primary: db}}}
"""
FAILOVER = """runbook: failover
title: Fail over
steps:
  - {id: promote, local: touch promoted}
  - {id: serve, local: "true", read_only: true, marks: service_restored}
on_failure: {runbook: restore}
deadline: {action: fallback, margin: 5m}
"""
RESTORE = """runbook: restore
title: Restore
steps:
  - {id: files, local: touch restored, expected: 50m, timeout: 55m}
  - {id: serve, local: "true", read_only: true, expected: 1s, marks: service_restored}
"""


def test_a_run_that_begins_too_late_leaves_at_once_and_the_next_plan_knows_how_long_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DRCTL_STATE_DIR", str(tmp_path / "state"))
    for path, text in (("inventory.yml", WORLD), ("failover.yml", FAILOVER), ("restore.yml", RESTORE)):
        Path(path).write_text(text)
    plan = ["plan", "failover.yml", "acacia", "-i", "inventory.yml"]
    assert execute(plan) == ExitCode.DONE
    said = capsys.readouterr().out
    assert "last moment to leave for the fallback: 3h 05m after the outage began, 5m 00s kept free" in said
    assert "without one: leave for the fallback" in said
    assert not Path("state").exists(), "to look at a plan makes no journal"

    outage = (datetime.now(UTC) - timedelta(hours=3, minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    order = ["run", "failover.yml", "acacia", "-i", "inventory.yml", "--yes", "--no-input", "--outage-started", outage]
    assert execute(order) == ExitCode.DONE
    told = capsys.readouterr()
    assert "you must switch: restore takes 50m 01s (from the runbook); 25m" in told.err + told.out
    assert Path("restored").exists()
    assert not Path("promoted").exists()

    assert execute(["report", "--format", "json"]) == ExitCode.DONE
    report = json.loads(capsys.readouterr().out)
    assert (report["deadline"]["action"], report["deadline"]["answer"]) == ("fallback", "fallback")
    assert report["forecast"]["fallback_s"] == 3001.0
    assert [d["kind"] for d in report["deviations"] if d["kind"] == "nobody_decided"] == ["nobody_decided"]
    assert execute([*plan, "--json"]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["forecast"]["fallback"]["basis"] == "p90 of 1 run"
