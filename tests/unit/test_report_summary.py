"""What a report says of a run: the verdict, the clocks, where the time went, and what it does not know."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from drctl.engine.fold import fold_all
from drctl.engine.objectives import Verdict
from drctl.errors import ExitCode
from drctl.model import events as ev
from drctl.model.events import Ended, Outcome
from drctl.model.plan import Mark, Mode, OnFailure, Section, Stage
from drctl.model.units import local_time
from drctl.report import markdown, text, verdict, words
from drctl.report.summary import summarise
from drctl.screens.tables import status_text
from tests.support import sample_plan, sample_steps
from tests.support import sample_runs as samples
from tests.support.world import Bench, exits, plan_of_stages, step


@pytest.mark.parametrize(
    ("sample", "code"),
    [
        ("succeeded", ExitCode.DONE),
        ("drill", ExitCode.DONE),
        ("simulated", ExitCode.DONE),
        ("overridden", ExitCode.DONE),
        ("rpo_missed", ExitCode.OBJECTIVE_MISSED),
        ("failed", ExitCode.STEP_FAILED),
        ("hostile", ExitCode.STEP_FAILED),
        ("no_go", ExitCode.NO_GO),
        ("aborted", ExitCode.ABORTED),
        ("paused_after_failure", ExitCode.NEEDS_A_PERSON),
        ("in_doubt", ExitCode.INTERRUPTED),
        ("still_going", ExitCode.NEEDS_A_PERSON),
    ],
)
def test_exit_code(sample: str, code: ExitCode) -> None:
    assert verdict.exit_code(fold_all(samples.SAMPLES[sample]())) is code


@pytest.mark.parametrize("how", ["SIGTERM", "SIGHUP"])
def test_a_terminated_run_says_so(how: str) -> None:
    state = fold_all(samples.in_doubt())
    assert state.stop is not None
    stopped = replace(state, stop=replace(state.stop, how=how))
    assert verdict.exit_code(stopped) is ExitCode.TERMINATED


def test_a_late_rto_is_an_objective_missed() -> None:
    state = fold_all(samples.succeeded())
    restored = state.clock[Mark.SERVICE_RESTORED]
    five_hours_before = replace(restored, at=restored.at - timedelta(hours=5))
    late = replace(state, clock={**state.clock, Mark.OUTAGE_STARTED: five_hours_before})
    assert verdict.exit_code(late) is ExitCode.OBJECTIVE_MISSED
    assert verdict.missed(late, restored.at) == ("RTO",)


def test_the_clocks_of_a_success() -> None:
    found = summarise(samples.succeeded())
    assert found.rto.verdict is Verdict.MET
    assert found.rto.actual_s == pytest.approx(2012, abs=1)
    assert found.yearly_budget_used == pytest.approx(2012 / 31_536, abs=0.001)
    assert [c.mark.value for c in found.clock] == [
        "outage_started", "detected", "declared", "service_restored", "protected",
    ]  # fmt: skip
    assert found.clock[0].local == "2026-11-23 03:12:00 SAST"
    assert found.unprotected is not None
    assert found.unprotected.duration_s == pytest.approx(1104, abs=2)
    assert found.next_commands[0] == f"drctl report {found.run_id}"


def test_a_timezone_that_is_not_known_is_utc() -> None:
    assert local_time(sample_plan.START, "Nowhere/Else") == "2026-11-23 01:31:04 UTC"


def test_outside_the_sla_no_budget_is_used() -> None:
    run = sample_steps.Builder(sample_plan.failover_plan(sla=False)).begin()
    assert summarise(run.end(Ended.ABORTED)).yearly_budget_used is None


def test_the_nightly_note_stands_by_a_24_hour_rpo_only() -> None:
    assert "02:00" in summarise(samples.succeeded()).rpo.note
    two_days = sample_steps.Builder(sample_plan.failover_plan(rpo_s=172_800.0)).begin()
    assert summarise(two_days.events).rpo.note == ""
    none = sample_steps.Builder(sample_plan.failover_plan(rpo_s=None)).begin()
    assert summarise(none.events).rpo.note == ""


def test_an_rpo_is_not_met_before_anything_is_restored() -> None:
    assert summarise(samples.paused_after_failure()).rpo.verdict is Verdict.RUNNING
    assert summarise(samples.failed()).rpo.verdict is Verdict.NOT_MEASURED
    assert "not restored" in summarise(samples.failed()).rpo.basis


def test_a_check_meets_no_objective() -> None:
    found = summarise(samples.simulated())
    assert (found.rto.verdict, found.rpo.verdict) == (Verdict.NOT_MEASURED, Verdict.NOT_MEASURED)
    assert found.unprotected is None
    assert found.watermark == "CHECK - not an exercise"
    assert found.truths == ("nothing was changed: this is a run in check mode",)
    promote = next(s for s in found.steps if s.id == "promote")
    assert promote.outcome is Outcome.SIMULATED
    assert any("simulated" in limit and "promote" in limit for limit in found.limits)


def test_the_rto_clock_of_a_paused_run_goes_on() -> None:
    events = samples.paused_after_failure()
    later = events[-1].at + timedelta(hours=5)
    assert summarise(events).rto.verdict is Verdict.RUNNING
    found = summarise(events, now=later)
    assert found.rto.verdict is Verdict.MISSED
    assert found.elapsed.paused_s == pytest.approx(5 * 3600)


def test_the_rto_clock_of_an_ended_run_stands_still() -> None:
    events = samples.failed()
    found, later = summarise(events), summarise(events, now=events[-1].at + timedelta(days=9))
    assert later.rto == found.rto
    assert later.elapsed == found.elapsed


def test_unprotected_goes_on_after_the_run() -> None:
    events = samples.hostile()
    found = summarise(events, now=events[-1].at + timedelta(hours=1))
    assert found.unprotected is not None
    assert found.unprotected.until is None
    assert found.unprotected.duration_s == pytest.approx(3603, abs=1)


@pytest.mark.parametrize("sample", samples.SAMPLES)
def test_every_second_is_counted_once(sample: str) -> None:
    spent = summarise(samples.SAMPLES[sample]()).elapsed
    parts = (spent.automation_s, spent.retries_s, spent.people_s, spent.paused_s, spent.drctl_dead_s, spent.idle_s)
    assert sum(parts) == pytest.approx(spent.run_s)
    assert min(parts) >= 0


def test_where_the_time_went() -> None:
    spent = summarise(samples.in_doubt()).elapsed
    assert spent.before_run_s == pytest.approx(1144)
    assert spent.drctl_dead_s == pytest.approx(312)
    assert spent.people_s == pytest.approx(74 + 20)
    # The second attempt at a witness with the pause before it, and the question what became of the promotion.
    assert spent.retries_s == pytest.approx(4.2 + 10.0)


def test_what_a_way_that_was_not_taken_would_have_proved_is_no_proof() -> None:
    other = Stage(section=Section.FALLBACK, steps=(step("stop", proves="standby_fenced"),))
    for code, facts in ((0, ["primary_fenced"]), (1, ["primary_fenced", "standby_fenced"])):
        fence = step("fence", proves="primary_fenced", on_failure=OnFailure.FALLBACK)
        bench = Bench(plan_of_stages(Stage(section=Section.STEPS, steps=(fence,)), other))
        bench.hosts.scripts["fence"] = lambda _, code=code: exits(code)
        bench.run()
        found = summarise(bench.events)
        assert [proof.fact for proof in found.proofs] == facts
        assert any("standby_fenced" in truth for truth in found.truths) == bool(code)


def test_people_and_proofs() -> None:
    found = summarise(samples.overridden())
    assert [(d.question, d.answer, d.fact) for d in found.decisions] == [
        ("approval", "yes", ""), ("failed", "skip", ""), ("override", "override", "primary_fenced"),
    ]  # fmt: skip
    assert [round(d.waited_s) for d in found.decisions] == [74, 30, 95]
    (proof,) = found.proofs
    assert (proof.proved_by, proof.overridden_by, proof.required_by) == ((), "thandi@bastion-cpt", ("promote",))
    kinds = {d.kind for d in found.deviations}
    assert {"override", "skipped_by_person", "failed_but_tolerated"} <= kinds
    (proof,) = summarise(samples.succeeded()).proofs
    assert proof.proved_by == ("fence-by-witnesses",)


def test_nobody_who_decides_is_a_deviation() -> None:
    found = summarise(samples.failed())
    assert [d.text for d in found.deviations if d.kind == "nobody_decided"] == [
        "nobody was there to decide (failed): taken as abort"
    ]


def test_deviations_of_a_run() -> None:
    kinds = [d.kind for d in summarise(samples.rpo_missed()).deviations]
    assert kinds[0] == "objective_missed"
    resumed = summarise(samples.in_doubt())
    assert {"resumed", "stopped", "in_doubt"} <= {d.kind for d in resumed.deviations}
    assert [s.operator for s in resumed.sessions] == ["thandi", "sipho"]
    messenger = [d.text for d in summarise(samples.succeeded()).deviations if d.kind == "messenger_failed"]
    assert messenger == ["mail: mail.example:25 refused the connection"]


def test_truths_never_say_more_than_is_known() -> None:
    """A promotion that failed half-way may have changed something; one that never got there has not."""
    assert "failed, and may have changed something: promote" in summarise(samples.failed()).truths
    assert not any(t.startswith("nothing was changed") for t in summarise(samples.failed()).truths)
    assert "in doubt: promote on azure-db-1" in summarise(samples.in_doubt()).truths
    assert not any(t.startswith("nothing was changed") for t in summarise(samples.in_doubt()).truths)
    assert summarise(samples.no_go()).truths[0] == "nothing was changed"
    assert "under way: resize-standby" in summarise(samples.still_going()).truths


def test_a_no_go_names_what_to_do_instead() -> None:
    (hint,) = summarise(samples.no_go()).hints
    assert hint.endswith("drctl run restore acme")
    assert summarise(samples.succeeded()).hints == ()


@pytest.mark.parametrize("sample", samples.SAMPLES)
def test_what_to_type_next_can_be_typed(sample: str) -> None:
    from typer.main import get_command

    from drctl.cli.main import app

    verbs = get_command(app).commands  # type: ignore[attr-defined]
    commands = summarise(samples.SAMPLES[sample]()).next_commands
    assert commands
    for command in commands:
        program, verb, *_ = command.split()
        assert program == "drctl"
        assert verb in verbs


def test_a_run_that_goes_on_says_so() -> None:
    found = summarise(samples.still_going())
    assert found.ongoing
    assert found.headline == "STILL GOING ON: 6 of 13 steps are over"
    assert any("not over" in limit for limit in found.limits)


def test_the_command_as_it_was_sent() -> None:
    found = summarise(samples.succeeded())
    promote = next(s for s in found.steps if s.id == "promote").hosts[0]
    assert promote.command.script.startswith("# ends when it takes writes")
    assert {v.name: v.text for v in promote.command.variables}["pgdata"] == "/var/lib/postgresql/16/main"
    assert [(a.act.value, a.outcome) for a in promote.attempts] == [
        ("run", Outcome.SUCCEEDED), ("verify", Outcome.SUCCEEDED),
    ]  # fmt: skip
    assert promote.output is not None
    assert promote.country == "ZA"


def test_a_sensitive_output_is_withheld() -> None:
    found = summarise(samples.succeeded())
    password = next(s for s in found.steps if s.id == "set-app-password").hosts[0]
    assert password.output is not None
    assert password.output.withheld
    assert password.output.tail == ""
    assert len(password.output.sha256) == 64
    assert "hunter2" not in repr(found)


def test_a_secret_is_a_reference() -> None:
    plan = sample_plan.failover_plan()
    run = sample_steps.Builder(plan).begin()
    used = replace(plan.step("repoint-app"), action=sample_plan.a_shell('login "$app_password"'))
    stages = tuple(
        replace(stage, steps=tuple(used if s.id == used.id else s for s in stage.steps)) for stage in plan.stages
    )
    run = sample_steps.Builder(replace(plan, stages=stages)).begin()
    run.did("repoint-app", "azure-app-1", took_s=1.0)
    row = next(s for s in summarise(run.events).steps if s.id == "repoint-app").hosts[0]
    secret = next(v for v in row.command.variables if v.name == "app_password")
    assert (secret.text, secret.secret) == (None, "file:/etc/drctl/acme.password")


def test_a_run_without_events_is_refused() -> None:
    with pytest.raises(ValueError, match="without events"):
        summarise([])


def test_slower_than_the_worst_case() -> None:
    run = sample_steps.Builder(sample_plan.failover_plan()).begin()
    run.did("row-counts", "azure-db-1", took_s=61.0)
    kinds = [(d.kind, d.step) for d in summarise(run.events).deviations]
    assert kinds == [("slower_than_worst_case", "row-counts")]


def test_only_exercises_are_unprotected() -> None:
    assert not verdict.exercise(fold_all(samples.simulated()))
    assert summarise(samples.drill()).unprotected is None, "its data is destroyed at its end"
    assert summarise(samples.drill()).mode is Mode.DRILL
    assert isinstance(samples.drill()[0].body, ev.RunStarted)


def test_the_deadline_and_what_was_decided_at_it_stay_in_the_report() -> None:
    events = samples.at_the_deadline()
    found = summarise(events)
    assert found.deadline is not None
    assert (found.deadline.local, found.deadline.answer, found.deadline.text) == (
        "2026-11-23 05:12:00 SAST",
        "fallback",
        "",
    )
    said = (
        "Last moment to leave for restore: 2026-11-23 05:12:00 SAST; it takes 1h 50m (p90 of 6 runs), 10m 00s kept "
        "free; unattended: fallback; decided then: fallback"
    )
    assert said in words.deadline(found)
    assert said in " ".join(text.render(found, width=100).split())
    assert "Last moment to leave for restore" in markdown.render(found)
    going = summarise(events[:10])
    assert going.deadline is not None
    assert "you must switch" in going.deadline.text
    assert "  deadline    at 2026-11-23 05:12:00 SAST you must switch" in status_text([going])


def test_a_clock_that_went_back_in_mid_run_leaves_durations_right_and_is_said() -> None:
    """The run was resumed on a machine that was an hour behind."""
    run = sample_steps.Builder(sample_plan.failover_plan()).begin()
    sample_steps.fence(sample_steps.approve(sample_steps.preconditions(run)))
    resumed = ev.RunResumed(operator="sipho", controller="bastion-dbn", pid=99, interactive=True)
    run.add(resumed, after_s=-3600)
    found = summarise(sample_steps.protect(sample_steps.serve(sample_steps.promote(run))).end(Ended.DONE))
    straight = summarise(samples.succeeded())
    assert found.elapsed.run_s == pytest.approx(straight.elapsed.run_s, abs=0.5)
    assert found.elapsed.automation_s == pytest.approx(straight.elapsed.automation_s, abs=0.5)
    assert [h.duration_s for s in found.steps for h in s.hosts] == [
        h.duration_s for s in straight.steps for h in s.hosts
    ]
    said = [d.text for d in found.deviations if d.kind == "clock_jumped"]
    assert len(said) == 1
    assert "went back by 1h 00m" in said[0]
    assert found.rto.verdict == "not measured"
    assert "went back by 1h 00m" in found.rto.note
