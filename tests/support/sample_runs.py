"""Runs of a failover as lists of events, made with a fake clock and without an engine.

Each is what the journal of such a run would hold, so that screens and reports can be looked at and tested alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from drctl.engine.approvals import render, statement_of
from drctl.engine.fold import fold_all
from drctl.model import events as ev
from drctl.model.circumstances import ClockReading, EarlierRun, Programmed, Repository
from drctl.model.events import Act, Ended, Event, Outcome, Question, Reason
from drctl.model.plan import (
    Http,
    Mark,
    Mode,
    Plan,
    Section,
    Stage,
)
from drctl.model.promises import DeadlineAction, DeadlineRule
from tests.support.sample_plan import (
    HOSTILE,
    OUTAGE,
    STANDBY,
    START,
    a_shell,
    a_step,
    failover_plan,
)
from tests.support.sample_steps import Builder, approve, fence, preconditions, promote, protect, serve


def succeeded(*, mode: Mode = Mode.REAL, outage: bool = True, interactive: bool = True) -> list[Event]:
    """Everything went well: 4 h and 24 h were kept, and a messenger failed on the way."""
    run = Builder(failover_plan(mode=mode)).begin(outage=outage, interactive=interactive)
    fence(approve(preconditions(run)))
    run.add(ev.MessengerFailed(messenger="mail", detail="mail.example:25 refused the connection"))
    return protect(serve(promote(run))).end(Ended.DONE)


def rpo_missed() -> list[Event]:
    """The service is back, but the standby was more than a day behind."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-lost-data").begin()
    fence(approve(preconditions(run, lag_s=93_600.0)))
    return protect(serve(promote(run))).end(Ended.DONE)


def paused_after_failure() -> list[Event]:
    """The promotion failed, the person decided later."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-paused").begin()
    fence(approve(preconditions(run)))
    why = "pg_ctl: server did not promote in time\n"
    run.start("promote", "azure-db-1").finish(
        "promote", "azure-db-1", took_s=60.3, outcome=Outcome.FAILED, reason=Reason.EXIT_CODE, exit_code=1,
        detail="exit code 1", out="waiting for server to promote.......", err=why,
    )  # fmt: skip
    run.asked(
        Question.FAILED, "promote", host="azure-db-1", prompt="Promote the standby: failed on azure-db-1",
        facts=("exit code 1", why), answers=("retry", "skip", "pause", "abort"),
    )  # fmt: skip
    run.answered(Question.FAILED, "promote", "pause", host="azure-db-1", after_s=41, why="asking the DBA")
    return run.end(Ended.PAUSED, "a person decides later")


def failed() -> list[Event]:
    """Nobody was there; the promotion failed, and the run with it. What must always run did."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-failed").begin(interactive=False)
    fence(approve(preconditions(run)))
    run.start("promote", "azure-db-1").finish(
        "promote", "azure-db-1", took_s=90.0, outcome=Outcome.FAILED, reason=Reason.TIMED_OUT,
        detail="it ran longer than 1m 30s and was killed",
    )  # fmt: skip
    answers = ("retry", "skip", "pause", "abort")
    run.asked(Question.FAILED, "promote", host="azure-db-1", prompt="failed", answers=answers)
    run.add(ev.PersonAnswered(question=Question.FAILED, step="promote", host="azure-db-1", answer="abort", who=""))
    run.did("thaw-deploys", "azure-app-1", took_s=0.3)
    return run.end(Ended.FAILED, "promote")


def in_doubt() -> list[Event]:
    """drctl was killed in the middle of the promotion; the resumed run asks, and is stopped with Ctrl-C."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-in-doubt").begin()
    fence(approve(preconditions(run)))
    run.start("promote", "azure-db-1")
    run.add(ev.RunResumed(operator="sipho", controller="bastion-dbn", pid=99, interactive=True), after_s=312)
    run.start("promote", "azure-db-1", act=Act.SETTLE).finish(
        "promote", "azure-db-1", act=Act.SETTLE, took_s=10.0, outcome=Outcome.IN_DOUBT, reason=Reason.LOST,
        detail="the connection was lost while we waited for the job",
    )  # fmt: skip
    run.start("promote", "azure-db-1", act=Act.VERIFY).finish(
        "promote", "azure-db-1", act=Act.VERIFY, took_s=60.0, outcome=Outcome.FAILED, reason=Reason.UNREACHABLE,
        detail="no connection to 10.2.0.11:22",
    )  # fmt: skip
    prompt = "Promote the standby: it was sent on azure-db-1, and nobody knows whether it was done"
    answers = ("succeeded", "run_again", "pause", "abort")
    run.asked(Question.IN_DOUBT, "promote", host="azure-db-1", prompt=prompt, answers=answers)
    run.add(ev.StopRequested(by="sipho", how="SIGINT"), after_s=20)
    doubt = Question.IN_DOUBT
    run.add(ev.PersonAnswered(question=doubt, step="promote", host="azure-db-1", answer="pause", who="sipho"))
    return run.end(Ended.PAUSED, "stopped by SIGINT")


def no_go() -> list[Event]:
    """The standby is no standby: nothing was changed."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-no-go").begin()
    run.did("standby-is-a-standby", "azure-db-1", took_s=0.6, out="t\n")
    run.start("standby-lag", "azure-db-1").finish(
        "standby-lag", "azure-db-1", took_s=0.5, outcome=Outcome.FAILED, reason=Reason.EXIT_CODE, exit_code=1,
        detail="exit code 1", err="it has replayed nothing\n",
    )  # fmt: skip
    return run.end(Ended.NO_GO, "standby-lag")


def overridden() -> list[Event]:
    """Nothing proved the fence; a person vouched for it, skipped a broken check, and the run went on."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-overridden").begin()
    approve(preconditions(run))
    for step, host in (("fence-primary", "jnb-db-1"), ("fence-by-witnesses", "cpt-witness-1")):
        run.start(step, host).finish(
            step, host, took_s=3.0, outcome=Outcome.FAILED, reason=Reason.UNREACHABLE, detail="no connection"
        )
    run.did("fence-by-witnesses", "dbn-witness-1", took_s=2.0)
    run.asked(Question.FAILED, "fence-by-witnesses", host="cpt-witness-1", prompt="failed", answers=("retry", "skip"))
    run.answered(
        Question.FAILED, "fence-by-witnesses", "skip", host="cpt-witness-1", after_s=30, why="Cape Town is cut off too"
    )
    run.asked(Question.OVERRIDE, "promote", prompt="no proof of primary_fenced", answers=("override", "pause", "abort"))
    why = "Xneelo's NOC cut the rack's power, call 88213"
    run.answered(Question.OVERRIDE, "promote", "override", after_s=95, why=why)
    return protect(serve(promote(run))).end(Ended.DONE)


def broken_glass() -> list[Event]:
    """Nobody could be asked for an approval, and the person went on alone."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-glass").begin()
    prompt = "The standby is 2.4 s behind. Fail over acme to azure-db-1?"
    preconditions(run).asked(Question.APPROVAL, "declare", prompt=prompt, answers=("no", "pause", "break_glass"))
    run.answered(Question.APPROVAL, "declare", "break_glass", after_s=74, why="nobody answers the telephone")
    return protect(serve(promote(fence(run)))).end(Ended.DONE)


def aborted() -> list[Event]:
    """The approval was declined."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-aborted").begin()
    preconditions(run)
    run.asked(Question.APPROVAL, "declare", prompt="Fail over?", answers=("yes", "no", "pause"))
    run.answered(Question.APPROVAL, "declare", "no", after_s=12, why="Johannesburg is back")
    run.did("thaw-deploys", "azure-app-1", took_s=0.3)
    return run.end(Ended.ABORTED, "thandi declined declare: Johannesburg is back")


def hostile() -> list[Event]:
    """Remote output, a prompt and a reason that try everything."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-hostile").begin()
    preconditions(run)
    run.asked(Question.APPROVAL, "declare", prompt=HOSTILE, answers=("yes", "no", "pause"), facts=(HOSTILE,))
    run.answered(Question.APPROVAL, "declare", "yes", after_s=5, why=HOSTILE)
    fence(run)
    promote(run, out=HOSTILE)
    serve(run, out=HOSTILE)
    run.start("new-standby", "cpt-witness-1").finish(
        "new-standby", "cpt-witness-1", took_s=3.0, outcome=Outcome.FAILED, reason=Reason.EXIT_CODE, exit_code=2,
        detail=HOSTILE, out=HOSTILE, err=HOSTILE,
    )  # fmt: skip
    return run.end(Ended.FAILED, "new-standby")


def still_going() -> list[Event]:
    """In the middle of the resize."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-going").begin()
    promote(fence(approve(preconditions(run))))
    run.start("resize-standby")
    return run.events


def drill() -> list[Event]:
    """An exercise whose outage has no start."""
    return succeeded(mode=Mode.DRILL, outage=False)


def simulated() -> list[Event]:
    """A check: the read-only steps ran, the others were only thought through."""
    run = Builder(failover_plan(mode=Mode.CHECK), run_id="20261123-013104-acme-check").begin(outage=False)
    preconditions(run)
    run.add(ev.StepSkipped(step="declare", host="", who="drctl", why="nobody is asked in check mode"))
    for step in run.plan.steps()[3:]:
        for host in [e.host for e in step.endpoints] or [""]:
            run.start(step.id, host, gap_s=0.0)
            outcome = Outcome.SUCCEEDED if step.read_only else Outcome.SIMULATED
            run.finish(step.id, host, took_s=0.2 if step.read_only else 0.0, outcome=outcome)
    return run.end(Ended.DONE)


def with_a_fallback() -> Plan:
    """The failover, and a restore of two steps that it falls back on."""
    made = failover_plan()
    back = (
        a_step("restore/copy", "Copy the backup", a_shell("restore-it"), endpoints=(STANDBY,), expected_s=3600.0),
        a_step("restore/up", "The service answers", Http(url="https://acme.taskflow.example/health"), read_only=True,
              mark=Mark.SERVICE_RESTORED),
    )  # fmt: skip
    stages = [Stage(section=Section.FALLBACK, steps=(step,)) for step in back]
    rule = DeadlineRule(action=DeadlineAction.FALLBACK, margin_s=600.0)
    return replace(made, stages=(*made.stages[:-1], *stages, made.stages[-1]), deadline=rule)


def forecast_of(run: Builder) -> Builder:
    """The restore takes 1 h 50, as six drills have shown."""
    takes = ev.Estimate(usual_s=5400.0, careful_s=6600.0, runs=6, basis="p90 of 6 runs")
    here = ev.Estimate(usual_s=1654.0, careful_s=1654.0, basis="from the runbook")
    return run.add(ev.ForecastMade(steps=(), restored=here, fallback=takes))


def at_the_deadline() -> list[Event]:
    """The resize hangs, and the person leaves for the restore, which fails as well."""
    run = forecast_of(Builder(with_a_fallback(), run_id="20261123-013104-acme-deadline").begin())
    promote(fence(approve(preconditions(run))))
    run.start("resize-standby")
    prompt = "2026-11-23 05:12:00 SAST was the last moment to leave for restore and keep the RTO"
    run.now = datetime(2026, 11, 23, 3, 12, 0, tzinfo=UTC)
    answers = ("fallback", "continue", "pause", "abort")
    run.asked(Question.DEADLINE, "", prompt=prompt, answers=answers, facts=("under way: resize-standby",))
    run.answered(Question.DEADLINE, "", "fallback", after_s=40, why="Azure does not answer")
    run.finish(
        "resize-standby", took_s=2.0, outcome=Outcome.FAILED, reason=Reason.EXIT_CODE, exit_code=137, detail="ended"
    )
    run.did("restore/copy", "azure-db-1", took_s=900.0)
    run.start("restore/up").finish("restore/up", took_s=30.0, outcome=Outcome.FAILED, reason=Reason.EXPECTATION)
    run.did("thaw-deploys", "azure-app-1", took_s=0.3)
    return run.end(Ended.FAILED, "restore/up")


EARLIER = tuple(
    EarlierRun(
        run_id=f"20260{month}03-070000-acme-{month}a2b", mode=mode, started_at=datetime(2026, month, 3, 7, tzinfo=UTC),
        to_restore_s=took_s, rto_actual_s=rto_s, rto_verdict="not measured" if rto_s is None else verdict,
        rpo_actual_s=rpo_s, rpo_verdict="met", head=f"{month}e" * 32,
    )
    for month, mode, took_s, rto_s, verdict, rpo_s in (
        (3, "drill", 1310.0, None, "", 4.1),
        (5, "real", 9900.0, 15_000.0, "missed", 61.0),
        (8, "drill", 1004.0, 1104.0, "met", 1.9),
    )
)  # fmt: skip


def exercised(said: str = "The Johannesburg data centre has no power") -> list[Event]:
    """A drill with all that is noted around one: observers, an absence, earlier runs, clocks, a signed approval."""
    run = Builder(failover_plan(mode=Mode.DRILL), run_id="20261123-013104-acme-exercised").begin()
    first, *given = run.events
    run.events, run.now = [first], first.at
    repository = Repository(commit="4be1" * 10, dirty=True, uncommitted=("runbooks/failover.yml",))
    own = ClockReading(host="", offset_s=-0.0004, within_s=0.012)
    run.add(
        ev.ControllerNoted(site="teraco-cpt", country="ZA", drctl_version="0.1.0", clock=own, repository=repository)
    )
    for event in given:
        run.add(event.body)
    run.add(
        ev.ExerciseNoted(
            scenario=said, excluded=("the client's own firewall",), observers=("N. Dlamini, internal audit", said),
            absent=("the DBA on call",), planned_at=START - timedelta(days=3), next_due_at=START + timedelta(days=92),
            programme="the period since the last one is over", changed=("promote",), never=("row-counts",),
            programmed=(
                Programmed(service="acme", runbook="failover", last_at=EARLIER[-1].started_at, next_at=START, due=True),
                Programmed(service="acme", runbook="restore", last_at=None, next_at=START, due=True),
                Programmed(service="zebra", runbook="failover", last_at=OUTAGE, next_at=START + timedelta(days=9),
                           due=False),
            ),
            earlier=EARLIER,
        )
    )  # fmt: skip
    preconditions(run)
    readings = (
        ClockReading(host="jnb-db-1", why="unreachable: no connection to 10.1.0.11:22"),
        ClockReading(host="azure-db-1", offset_s=3.25, within_s=0.004),
    )
    run.add(ev.ClocksRead(readings=readings))
    prompt = "The standby is 2.4 s behind. Fail over acme to azure-db-1?"
    run.asked(Question.APPROVAL, "declare", prompt=prompt, answers=("approve", "refused", "pause"))
    question, state = run.events[-1].body, fold_all(run.events)
    assert isinstance(question, ev.PersonAsked)
    statement = render(statement_of(state, question, issued=run.now, reason="I watched it"))
    run.add(
        ev.PersonAnswered(
            question=Question.APPROVAL, step="declare", answer="approve", who="sipho@taskflow", why="I watched it",
            statement=statement, signature="a signature", fingerprint="SHA256:jRdC0ffee",
        ),
        after_s=31,
    )  # fmt: skip
    return protect(serve(promote(fence(run)))).end(Ended.DONE)


SAMPLES: dict[str, Callable[[], list[Event]]] = {
    f.__name__: f
    for f in (
        succeeded, rpo_missed, paused_after_failure, failed, in_doubt, no_go, overridden, aborted, hostile, still_going,
        drill, simulated, at_the_deadline, exercised, broken_glass,
    )
}  # fmt: skip
