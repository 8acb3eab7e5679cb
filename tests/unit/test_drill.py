"""Drills: what would touch production is refused before anything connects; what is due, and whose turn it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from icalendar import Calendar

from drctl.cli.main import execute
from drctl.errors import ExitCode
from drctl.model.events import Ended, Outcome
from drctl.model.plan import Mode, Section
from drctl.report.card import RunCard, StepCard, card_of
from drctl.report.programme import Exercised, Item, Policy, programme
from drctl.screens.units import units
from tests.support import sample_runs
from tests.support.operator import ROOT

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DAY = 86_400.0
QUARTER = Policy(every_s=92 * DAY, restored_within_s=365 * DAY, runbooks=("failover", "restore"))
CARD = card_of(sample_runs.drill())


def exercised(service: str, runbook: str, days_ago: float, **more: object) -> RunCard:
    started_at = NOW - timedelta(days=days_ago)
    run_id = f"{started_at:%Y%m%d-%H%M%S}-{service}"
    card = replace(CARD, service=service, runbook=runbook, started_at=started_at, run_id=run_id, steps=())
    return replace(card, **more)  # type: ignore[arg-type]


def items(wanted: list[Exercised], cards: list[RunCard]) -> dict[tuple[str, str], Item]:
    newest_first = sorted(cards, key=lambda card: card.started_at, reverse=True)
    return {(i.service, i.runbook): i for i in programme(wanted, newest_first, QUARTER, NOW)}


def wanted(runbook: str, *services: str) -> list[Exercised]:
    return [Exercised(service=service, runbook=runbook, steps={}) for service in services]


def test_what_was_never_exercised_is_due_and_then_once_a_quarter() -> None:
    found = items(wanted("failover", "a", "b", "c"), [exercised("a", "failover", 10), exercised("b", "failover", 93)])
    assert not found["a", "failover"].due
    assert found["a", "failover"].next_at == NOW + timedelta(days=82)
    assert found["b", "failover"].due
    assert found["c", "failover"].due
    assert found["c", "failover"].why == "never exercised"


def test_a_check_a_failure_and_another_runbook_are_no_exercise() -> None:
    cards = [
        exercised("a", "failover", 1, mode=Mode.CHECK),
        exercised("a", "failover", 2, ended=Ended.FAILED),
        exercised("a", "switchover", 3),
    ]
    assert items(wanted("failover", "a"), cards)["a", "failover"].due
    assert not items(wanted("failover", "a"), [exercised("a", "failover", 4, mode=Mode.REAL)])["a", "failover"].due


def test_within_a_year_each_database_is_restored() -> None:
    """Played through: each quarter whoever is due is restored, and nobody waits for longer than a year."""
    services = [f"s{n}" for n in range(10)]
    cards: list[RunCard] = []
    last: dict[str, float] = {}
    longest = 0.0
    for day in range(0, 365 * 3, 7):
        now = NOW + timedelta(days=day)
        newest_first = sorted(cards, key=lambda card: card.started_at, reverse=True)
        due = [i for i in programme(wanted("restore", *services), newest_first, QUARTER, now) if i.due]
        assert len(due) <= 3 or day == 0, "no more at once than a quarter's share"
        for item in due:
            if item.service in last:
                longest = max(longest, day - last[item.service])
            last[item.service] = day
            card = exercised(item.service, "restore", 0)
            cards.append(replace(card, started_at=now, run_id=f"{now:%Y%m%d}-{item.service}"))
    assert set(last) == set(services)
    assert longest <= 365 + 7


def test_a_fallback_that_restored_is_a_restore() -> None:
    step = StepCard(id="restore/files", digest="d", section=Section.FALLBACK, outcome=Outcome.SUCCEEDED)
    fell_back = exercised("a", "failover", 5, steps=(step,))
    assert not items(wanted("restore", "a"), [fell_back])["a", "restore"].due
    assert items(wanted("restore", "a"), [exercised("a", "failover", 5)])["a", "restore"].due


def test_steps_that_changed_since_they_last_succeeded() -> None:
    def step(step_id: str, digest: str, outcome: Outcome | None = Outcome.SUCCEEDED) -> StepCard:
        return StepCard(id=step_id, digest=digest, section=Section.STEPS, outcome=outcome)

    newer = exercised("a", "failover", 1, steps=(step("fence", "2"), step("promote", "9", Outcome.SKIPPED)))
    older = exercised("a", "failover", 50, steps=(step("fence", "1"), step("promote", "1")))
    now = {"fence": "2", "promote": "2", "repoint": "1"}
    found = items([Exercised(service="a", runbook="failover", steps=now)], [newer, older])["a", "failover"]
    assert found.changed == ("promote",)
    assert found.never == ("repoint",)


def test_a_fallback_s_steps_are_exercised_by_a_drill_of_the_runbook_that_it_is_and_the_other_way_round() -> None:
    def done(step_id: str, section: Section = Section.STEPS, digest: str = "1") -> StepCard:
        return StepCard(id=step_id, digest=digest, section=section, outcome=Outcome.SUCCEEDED)

    failover = Exercised(
        service="a", runbook="failover", fallback="restore",
        steps={"promote": "1", "restore/files": "1", "restore/stop": "1", "restore/rows": "1"},
    )  # fmt: skip
    restore = Exercised(service="a", runbook="restore", steps={"files": "1", "stop": "1", "rows": "1"})
    drilled = exercised("a", "drill-restore", 3, steps=(done("ground/stop"), done("restore/files"), done("promote")))
    by_itself = exercised("a", "restore", 4, steps=(done("stop", digest="old"), done("failover/promote")))
    found = items([failover, restore], [drilled, by_itself])
    assert found["a", "failover"].never == ("promote", "restore/rows")
    assert found["a", "failover"].changed == ("restore/stop",)
    assert found["a", "failover"].due, "its own way was never gone"
    # A drill of the failover that left for its fallback; the clone of its pair is no step of either.
    steps = (done("failover/promote"), done("pair/rows"), done("restore/rows", Section.FALLBACK))
    fell_back = exercised("a", "drill-failover", 2, steps=steps)
    found = items([failover, restore], [fell_back, drilled, by_itself])
    assert found["a", "failover"].never == ()
    assert found["a", "restore"].never == ()
    # What was exercised for another service, or by a check, says nothing here.
    others = [replace(drilled, service="b"), replace(by_itself, mode=Mode.CHECK)]
    assert len(items([failover], others)["a", "failover"].never) == 4


INVENTORY = """\
inventory: office
residency: ZA
sites:
  here: {provider: TaskFlow, country: ZA, kind: office}
  there: {provider: Xneelo, country: ZA, kind: datacentre}
hosts:
  desk: {site: here, address: 192.0.2.1, user: drctl}
  db: {site: there, address: 192.0.2.2, user: drctl}
  scratch: {site: there, address: 192.0.2.3, user: drctl}
services:
  acacia:
    title: Acacia
    roles: {primary: db, monitor: desk, drill: scratch}
    vars: {notes: NOTES, door: "http://192.0.2.2/health"}
    commands: {power_off: [power, "off", db], power_off_scratch: [echo, scratch]}
"""
HEAD = "runbook: exercise\ntitle: An exercise\ninputs: {ticket: {}}\nsteps:\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("DRCTL_INVENTORY", raising=False)
    Path("runbooks").mkdir()
    Path("inventories").mkdir()
    Path("inventories/office.yml").write_text(INVENTORY.replace("NOTES", str(tmp_path / "notes")))
    return tmp_path


def steps(*lines: str) -> None:
    Path("runbooks/exercise.yml").write_text(HEAD + "".join(f"  - {line}\n" for line in lines))


DRILL = ["drill", "exercise", "acacia", "--yes", "--no-input"]
REFUSED = {
    "a host": ('{id: change, hosts: primary, run: "true"}', "change runs on db"),
    "a command": ("{id: fence, local: {command: power_off}}", "fence names db: db"),
    "a value": ('{id: touch, local: "ping $primary_address"}', "touch names db: 192.0.2.2"),
    "a request": ('{id: ask, http: {url: "${door}", method: POST}}', "ask names db: http://192.0.2.2/health"),
}


@pytest.mark.parametrize(("line", "said"), REFUSED.values(), ids=REFUSED)
def test_a_drill_that_would_touch_production_is_refused(
    folder: Path, line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    steps('{id: note, local: "echo done >>\\"$notes\\""}', line)
    assert execute(DRILL) == ExitCode.NO_GO
    error = capsys.readouterr().err
    assert said in error
    assert re.search(r"runbooks/exercise.yml:\d+:\d+: ", error)
    assert "--on-production acacia" in error
    assert not (folder / "notes").exists()
    assert not (folder / "state").exists()
    assert execute([*DRILL, "--on-production", "baobab"]) == ExitCode.USAGE
    assert execute([*DRILL, "--on-production", "acacia", "--dry-run"]) == ExitCode.DONE


def test_the_attempts_of_a_call_are_told_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("runbooks/other.yml").write_text(
        'runbook: other\ntitle: Other\nsteps:\n  - {id: change, hosts: primary, run: "true", expected: 1s}\n'
    )
    steps('{id: note, local: "echo done >>\\"$notes\\""}', "{id: try, runbook: other, retry: {attempts: 3}}")
    assert execute(DRILL) == ExitCode.NO_GO
    error = capsys.readouterr().err
    assert (
        "this drill would change production, in 3 steps:\n  runbooks/other.yml:4:5: try/1/change runs on db, " in error
    )
    assert "and so do 2 attempts more\n" in error
    assert "try/2" not in error


def test_what_only_reads_or_is_left_out_in_a_drill_or_names_others_may_be_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps(
        '{id: note, local: "echo done >>\\"$notes\\""}',
        '{id: look, hosts: primary, run: "true", read_only: true, on_failure: continue, on_unreachable: continue}',
        "{id: fence, local: {command: power_off}, modes: [real]}",
        "{id: fence-scratch, local: {command: power_off_scratch}, modes: [drill]}",
        '{id: silent, tcp: {host: "192.0.2.2", port: 5432, expect: closed}, on_failure: continue}',
    )
    assert execute([*DRILL, "--dry-run"]) == ExitCode.DONE
    assert "DRILL" not in capsys.readouterr().err


def test_a_drill_runs_in_its_mode_and_counts_for_the_service_that_it_is_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps('{id: note, local: "echo $service >>\\"$notes\\""}')
    text = Path("inventories/office.yml").read_text()
    text += "  acacia-drill:\n    title: Drills of Acacia\n    drill_of: acacia\n    roles: {primary: scratch}\n"
    text += f"    vars: {{notes: {folder / 'notes'}}}\n"
    Path("inventories/office.yml").write_text(text.replace(", drill: scratch", ""))
    assert execute(DRILL) == ExitCode.USAGE
    assert "there is no runbook drill-exercise that prepares exercise on a stand-in" in capsys.readouterr().err
    around = "runbook: drill-exercise\ntitle: Around it\nsteps: [{id: exercise, runbook: exercise}]\n"
    Path("runbooks/drill-exercise.yml").write_text(around)
    assert execute(DRILL) == ExitCode.DONE
    assert "DRILL" in capsys.readouterr().err
    assert (folder / "notes").read_text() == "acacia-drill\n"
    Path("inventories/office.yml").write_text(
        Path("inventories/office.yml").read_text() + "drills: {runbooks: [exercise]}\n"
    )
    assert execute(["drill", "plan", "--json"]) == ExitCode.DONE
    said = json.loads(capsys.readouterr().out)["items"]
    assert [(i["service"], i["last_mode"], i["due"], i["changed"], i["never"]) for i in said] == [
        ("acacia", "drill", False, [], [])
    ]
    assert execute(["drill", "due"]) == ExitCode.DONE
    steps('{id: note, local: "printf $service >>\\"$notes\\""}', "{id: more, wait: 1s}")
    assert execute(["drill", "plan", "--detail"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "changed since the last exercise: note" in out
    assert "never exercised since the last exercise: more" in out


def test_drill_targets_serve_nobody_else(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("inventories/office.yml").read_text()
    Path("inventories/office.yml").write_text(text.replace("drill: scratch", "drill: db"))
    assert execute(["validate", "inventories/office.yml"]) == ExitCode.INVALID_DOCUMENT
    assert "db is a drill target here, and it is primary of acacia" in capsys.readouterr().out
    other = "  d:\n    title: D\n    drill_of: nobody\n    sla: true\n    roles: {primary: scratch}\n"
    Path("inventories/office.yml").write_text(text + other)
    assert execute(["validate", "inventories/office.yml"]) == ExitCode.INVALID_DOCUMENT
    out = capsys.readouterr().out
    assert 'there is no service "nobody"' in out
    assert "nobody was promised anything" in out


def test_a_stand_in_writes_its_log_on_a_host_of_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped drills and the example: with the service's own monitor they would write into production's log."""
    shutil.copytree(ROOT / "runbooks", "runbooks", dirs_exist_ok=True)
    text = (ROOT / "inventories" / "taskflow.example.yml").read_text()
    for monitor, code in (("drill-edge", ExitCode.DONE), ("monitor", ExitCode.NO_GO)):
        Path("example.yml").write_text(text.replace("monitor: drill-edge", f"monitor: {monitor}"))
        for runbook in ("failover", "restore"):
            words = ["drill", runbook, "acacia", "-i", "example.yml", "--dry-run"]
            assert execute(words) == code
            said = capsys.readouterr().err
            assert ("ground/begin-log runs on monitor" in said) == (code == ExitCode.NO_GO), said


def test_due_is_for_a_scheduler_and_the_plan_for_a_calendar(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps('{id: note, local: "true"}')
    text = Path("inventories/office.yml").read_text()
    Path("inventories/office.yml").write_text(text + "drills: {every: 30d, runbooks: [exercise]}\n")
    assert execute(["drill", "due"]) == ExitCode.STEP_FAILED
    told = capsys.readouterr().out
    assert told.startswith("1 of 1 exercises are due")
    assert told.endswith("\nnext: drctl drill exercise acacia\n")
    assert execute(["drill", "plan", "--calendar", "drills.ics"]) == ExitCode.DONE
    events = Calendar.from_ical(Path("drills.ics").read_bytes()).walk("VEVENT")
    assert [(str(e["summary"]), str(e["uid"])) for e in events] == [
        ("DR drill: exercise of acacia", "exercise.acacia@drctl")
    ]
    assert events[0].decoded("dtstart") == datetime.now(UTC).date()
    Path("inventories/office.yml").write_text(text + "drills: {runbooks: [exercize]}\n")
    assert execute(["drill", "due"]) == ExitCode.USAGE
    assert "exercise" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_units_are_what_systemd_takes(tmp_path: Path) -> None:
    program = tmp_path / "a dr%ctl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    made = units(str(program), Path('/srv/in"ventories/$x.yml'), "Mon *-*-* 08:00:00")
    for name, text in made.items():
        (tmp_path / name).write_text(text)
    names = [str(tmp_path / name) for name in made]
    done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    mine = [line for line in done.stderr.splitlines() if "drctl" in line]
    assert mine == []
    (tmp_path / "drctl-drill-due.timer").write_text(made["drctl-drill-due.timer"].replace("Mon", "Someday"))
    done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    assert "Someday" in done.stderr, "it does look at the timer"
