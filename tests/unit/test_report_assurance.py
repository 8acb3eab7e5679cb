"""What a report tells auditors: the copies that were tried, where the hosts are, what a drill left and covered."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drctl.model.events import Ended, Event, Outcome, Reason
from drctl.model.plan import Mark, Mode, Plan, Round, Section, Shell, Stage
from drctl.model.promises import Place, Residency
from drctl.report import assurance, assurance_words, html, markdown, text
from drctl.report.summary import summarise
from tests.support import sample_plan, sample_steps
from tests.support import sample_runs as samples

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
PRODUCTION = replace(sample_plan.PRIMARY, host="real-db-1", site="teraco-cpt")
STAND_IN = replace(sample_plan.STANDBY, host="spare-db-1")


def drill_plan() -> Plan:
    """A drill of a restore from one of two copies, on a ground of its own."""

    def step(step_id: str, *hosts: object, attempt: int | None = None, **kind: object) -> object:
        of = None if attempt is None else Round(of="from-a-copy", number=attempt)
        return sample_plan.a_step(step_id, f"Step {step_id}", Shell(script="x"), endpoints=hosts, round=of, **kind)

    def stage(section: Section, *steps: object) -> tuple[Stage, ...]:
        return tuple(Stage(section=section, steps=(one,)) for one in steps)  # type: ignore[arg-type]

    copies = [
        one for n in (1, 2)
        for one in (step(f"from-a-copy/{n}/pick", attempt=n, read_only=True),
                    step(f"from-a-copy/{n}/files", STAND_IN, attempt=n))
    ]  # fmt: skip
    stages = (
        *stage(Section.STEPS, step("ground/lag-before", PRODUCTION, read_only=True), *copies),
        *stage(
            Section.ALWAYS, step("ground/destroy", STAND_IN), step("ground/residue", STAND_IN, read_only=True),
            step("thaw", STAND_IN), step("ground/lag-after", PRODUCTION, read_only=True),
        ),
    )  # fmt: skip
    where = Residency(country="ZA", places=(Place(host="cpt-backup-1", address="10.9.0.1", country="ZA"),))
    return replace(sample_plan.failover_plan(mode=Mode.DRILL), stages=stages, residency=where)


def drill(plan: Plan | None = None) -> list[Event]:
    """The first copy is damaged, the second is restored; what is left of it is found."""
    run = sample_steps.Builder(plan or drill_plan()).begin(outage=False)
    run.did("ground/lag-before", "real-db-1", took_s=0.2, captured={"lag_before": "1.5"})
    picked = {
        "copy_location": "teraco-cpt", "copy_host": "cpt-backup-1", "copy_label": "20261122-020000F",
        "copy_consistent_at": "2026-11-22T01:31:04+00:00", "copy_reaches": "2026-11-23T01:11:00+00:00",
        "copy_loss": "60.0", "copy_size": "1048576", "copy_trust": "proven",
        "copy_replicated_at": "2026-11-22T02:14:00+00:00",
    }  # fmt: skip
    run.did("from-a-copy/1/pick", took_s=2.0, captured=picked)
    run.start("from-a-copy/1/files", "spare-db-1")
    run.finish("from-a-copy/1/files", "spare-db-1", took_s=9.0, outcome=Outcome.FAILED, reason=Reason.EXIT_CODE)
    other = {"copy_location": "offline-store", "copy_label": "20261121-020000F", "copy_size": "not a size"}
    other |= {"copy_replicated_at": "-"}
    run.did("from-a-copy/2/pick", took_s=2.0, captured=other)
    run.did("from-a-copy/2/files", "spare-db-1", took_s=30.0, captured={"copy_manifest_sha256": "5d" * 32})
    run.did("ground/destroy", "spare-db-1", took_s=1.0)
    run.start("ground/residue", "spare-db-1")
    run.finish("ground/residue", "spare-db-1", took_s=1.0, outcome=Outcome.FAILED, reason=Reason.EXIT_CODE)
    run.did("thaw", "spare-db-1", took_s=1.0)
    run.did("ground/lag-after", "real-db-1", took_s=0.2, captured={"lag_after": "2.0"})
    return run.end(Ended.FAILED)


def said(title: str, events: list[Event]) -> str:
    return "\n".join(dict(assurance_words.sections(summarise(events))).get(title, ()))


def test_each_copy_that_was_tried_and_what_became_of_it() -> None:
    first, second = summarise(drill()).backups
    assert (first.attempt, first.location, first.country, first.trust) == (1, "teraco-cpt", "ZA", "proven")
    assert (first.age_s, first.loss_s, first.bytes) == (86_400.0, 60.0, 1_048_576)
    assert (first.outcome, first.failed_step) == (Outcome.FAILED, "from-a-copy/1/files")
    assert (second.outcome, second.failed_step, second.country) == (Outcome.SUCCEEDED, "", "")
    assert (second.bytes, second.consistent_at, second.loss_s) == (None, None, None)
    told = said("Backups", drill())
    assert "attempt 1: 20261122-020000F at teraco-cpt (ZA): FAILED at from-a-copy/1/files" in told
    assert "attempt 2: 20261121-020000F at offline-store: restored" in told
    assert (first.manifest_sha256, second.manifest_sha256) == ("", "5d" * 32), "each attempt has its own"
    assert (first.replicated_at, second.replicated_at) == (datetime(2026, 11, 22, 2, 14, tzinfo=UTC), None)
    assert "last replicated to there at 2026-11-22 02:14:00Z" in told
    assert f"sha256 of its manifest {'5d' * 32}" in told
    assert "recovers up to 2026-11-23 01:11:00" in told


def test_a_run_that_picks_no_copy_has_no_such_section() -> None:
    assert summarise(samples.succeeded()).backups == ()
    assert said("Backups", samples.succeeded()) == ""


def test_where_the_steps_went() -> None:
    found = summarise(drill()).residency
    assert [(h.host, h.country, h.changed) for h in found.hosts] == [
        ("real-db-1", "ZA", False), ("spare-db-1", "ZA", True),
    ]  # fmt: skip
    assert found.outside == ()
    plan = drill_plan()
    abroad = Residency(country="NA", places=())
    assert summarise(drill(replace(plan, residency=abroad))).residency.outside == ("real-db-1", "spare-db-1")
    assert "elsewhere: real-db-1, spare-db-1" in said("Residency", drill(replace(plan, residency=abroad)))


def test_a_drill_says_how_production_fared() -> None:
    found = summarise(drill()).drill_safety
    assert found is not None
    assert (found.lag_before_s, found.lag_during_s, found.lag_after_s) == (1.5, None, 2.0)
    assert (found.production, found.production_changed) == (("real-db-1",), ())
    assert "before 1.5s, during not measured, after 2.0s" in said("Drill safety", drill())
    assert summarise(samples.succeeded()).drill_safety is None


def test_a_change_of_production_in_a_drill_is_said_loudly() -> None:
    plan = drill_plan()
    last = plan.stages[-1]
    changing = replace(last, steps=tuple(replace(step, read_only=False) for step in last.steps))
    events = drill(replace(plan, stages=(*plan.stages[:-1], changing)))
    found = summarise(events).drill_safety
    assert found is not None
    assert found.production_changed == ("real-db-1",)
    assert "STEPS THAT MAY CHANGE SOMETHING were begun on production: real-db-1" in said("Drill safety", events)


def test_the_destruction_of_restored_data_and_the_clean_up() -> None:
    found = summarise(drill()).reconstitution
    assert [(c.step, c.outcome) for c in found.destruction] == [
        ("ground/destroy", Outcome.SUCCEEDED), ("ground/residue", Outcome.FAILED),
    ]  # fmt: skip
    assert [c.step for c in found.clean_up] == ["thaw"]
    assert found.protected_at is None
    assert "(ground/residue on spare-db-1): FAILED" in said("Reconstitution", drill())
    real = summarise(samples.succeeded())
    assert real.reconstitution.protected_at == next(c.at for c in real.clock if c.mark is Mark.PROTECTED)


@pytest.mark.parametrize("sample", samples.SAMPLES)
def test_each_step_is_counted_once(sample: str) -> None:
    found = summarise(samples.SAMPLES[sample]())
    of = found.coverage
    counted = (*of.exercised, *of.only_answered, *of.failed, *of.simulated, *of.left_out, *of.not_over)
    assert sorted(counted) == sorted(step.id for step in found.steps)


def test_a_check_exercises_nothing() -> None:
    found = summarise(samples.simulated()).coverage
    assert found.exercised == ()
    assert "promote" in found.simulated
    assert "standby-lag" in found.only_answered


def test_every_format_has_the_sections() -> None:
    found = summarise(drill())
    plain, page, table = text.render(found, width=120), html.render(found), markdown.render(found)
    for title, told in assurance_words.sections(found):
        assert f"\n{title}\n" in plain
        assert f"<h2>{title}</h2>" in page
        assert f"## {title}\n" in table
        assert told
    assert "supplies evidence for these clauses, not compliance" in page


def test_the_control_map_names_sections_that_there_are() -> None:
    found = summarise(drill())
    titles = set(re.findall(r"<h2>([^<]+)</h2>", html.render(found))) | {"Objectives"}
    assert {section for control in found.control_map for section in control.sections} <= titles


def test_the_shipped_runbooks_call_things_by_these_names() -> None:
    ground = (RUNBOOKS / "drill-ground.yml").read_text()
    for step in (*assurance.PRODUCTION_CHECKS, *assurance.DESTRUCTION):
        assert f"- id: {step}\n" in ground
    for lag in assurance.LAGS:
        assert f"{lag}: duration" in ground
    copies = (RUNBOOKS / "restore-copy.yml").read_text()
    for name in ("location", "host", "label", "consistent_at", "reaches", "loss", "size", "trust"):
        assert re.search(rf"^ +copy_{name}: ", copies, re.MULTILINE)
