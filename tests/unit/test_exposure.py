"""Where an RPO is shown there also stands what a restore would lose: as measured, or what to type to measure it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drctl.adapters.kept import KeptFiles
from drctl.backups.copies import Verified
from drctl.cli.copies import restored_copy
from drctl.cli.settings import Settings
from drctl.engine.fold import fold
from drctl.engine.state import RunState
from drctl.model.events import Act, AttemptFinished, Event, Outcome, RunStarted
from drctl.model.exposure import Exposure
from drctl.model.plan import Mode, Section, Stage
from drctl.report import json as report_json
from drctl.report.summary import summarise
from drctl.screens.clocks import clock_lines
from drctl.screens.lines import LinesScreen
from drctl.screens.plan import plain_text
from drctl.screens.tables import status_json, status_text
from tests.support import sample_plan, sample_steps, world
from tests.support import sample_runs as samples

POINT = datetime(2026, 11, 23, 0, 6, tzinfo=UTC)
KNOWN = Exposure(
    looked_at=POINT + timedelta(hours=1),
    copy="cloudprox/20261123-000003F",
    verdict="proven",
    consistency_point=POINT,
    recovery_point=POINT + timedelta(minutes=50),
    from_wal=True,
    backup_s=360.0,
    replication_s=720.0,
    archive_timeout_s=60.0,
    transfer_s=3.0,
)
WORST = "worst of the day 24h 18m by nightly backups alone, 1m 03s with archived WAL"


def with_exposure(events: tuple[Event, ...]) -> tuple[Event, ...]:
    first = events[0].body
    assert isinstance(first, RunStarted)
    return (replace(events[0], body=replace(first, exposure=KNOWN)), *events[1:])


def test_the_report_says_what_was_measured_before_the_run() -> None:
    found = summarise(with_exposure(samples.succeeded()))
    assert found.rpo.note.startswith("When the run began, exposure by a restore: at most ")
    assert "(cloudprox/20261123-000003F, consistent 2026-11-23 00:06:00Z, and WAL after it)" in found.rpo.note
    assert found.rpo.note.endswith(WORST)
    assert json.loads(report_json.render(found))["rpo"]["note"] == found.rpo.note


def test_the_report_says_what_to_type_when_nothing_was_measured() -> None:
    assert "not measured: type drctl backups" in summarise(samples.succeeded()).rpo.note


def test_a_plan_and_a_status_say_it_in_one_line(tmp_path: Path) -> None:
    settings = Settings(given=str(tmp_path))
    nothing = settings.exposure_line("acacia")
    assert nothing == "exposure by a restore: not measured: type drctl backups acacia"
    KeptFiles(tmp_path / "backups", "acacia").keep_exposure(KNOWN)
    line = settings.exposure_line("acacia")
    assert line.endswith(WORST)
    assert f"\n{'':14}{line}\n" in plain_text(sample_plan.failover_plan(), exposure=line)
    run = summarise(samples.succeeded())
    assert f"  RPO         {line}\n" in status_text([run], exposures={run.service: line})
    assert json.loads(status_json([run], exposures={run.service: line}))[0]["exposure"] == line


def test_what_was_verified_outlives_the_call_and_a_torn_line_says_nothing(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path / "backups", "acacia")
    assert kept.verified() == {}
    assert kept.exposure() is None
    one = Verified(
        location="cloudprox", label="a", at=POINT, how="verify", problem="", listing="x", wal_end="y", wal_listing="z"
    )
    later = replace(one, problem="1 missing")
    kept.add_verified((one, replace(one, label="b")))
    kept.add_verified((later,))
    with kept.verified_path.open("a") as file:
        file.write('{"location": "cloudprox", "label": "b", "prob')
    assert kept.verified() == {("cloudprox", "a"): later, ("cloudprox", "b"): replace(one, label="b")}
    assert kept.verified_path.stat().st_mode & 0o777 == 0o600


def test_the_screens_of_a_run_say_it() -> None:
    events = with_exposure(samples.succeeded())
    stream, state = io.StringIO(), RunState()
    screen = LinesScreen(stream)
    for event in events:
        state = fold(state, event)
        screen.on_event(event, state)
    assert f"  {summarise(events).rpo.note}\n" in stream.getvalue()
    live = "\n".join(line.plain for line in clock_lines(state, events[-1].at, width=120, notes=True))
    assert "A restore would lose at most " in live
    assert "; worst 24h 18m nightly, 1m 03s with WAL" in live


def test_a_copy_that_a_run_restored_is_found_in_its_events() -> None:
    def run(*, mode: Mode, runbook: str, section: Section) -> tuple[tuple[str, str], str]:
        plan = world.plan_of_stages(Stage(section=section, steps=(world.step("pick", host=None),)), mode=mode)
        begun = sample_steps.Builder(replace(plan, runbook=runbook)).begin().events[0]
        captured = {"copy_location": "cloudprox", "copy_label": "20261123-000003F"}
        done = AttemptFinished(
            step="pick", host="", attempt=1, act=Act.RUN, outcome=Outcome.SUCCEEDED, captured=captured
        )
        return restored_copy([begun, replace(begun, body=done)])

    copy = ("cloudprox", "20261123-000003F")
    assert run(mode=Mode.DRILL, runbook="restore", section=Section.STEPS) == (copy, "drill")
    assert run(mode=Mode.REAL, runbook="failover", section=Section.FALLBACK) == (copy, "real")
    assert run(mode=Mode.REAL, runbook="failover", section=Section.STEPS)[0] == ("", "")  # only to know what it takes
    assert run(mode=Mode.CHECK, runbook="restore", section=Section.STEPS)[0] == ("", "")
