"""Runs of a failover as lists of events, made with a fake clock and without an engine.

Each is what the journal of such a run would hold, so that screens and reports can be looked at and tested alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from drctl.engine.approvals import render, statement_of
from drctl.engine.fold import fold_all
from drctl.model import events as ev
from drctl.model.circumstances import ClockReading, EarlierRun, Programmed, Repository
from drctl.model.events import Act, Body, Ended, Event, Outcome, Question, Reason
from drctl.model.plan import (
    Approval,
    Capture,
    CaptureType,
    Endpoint,
    Http,
    Mark,
    Mode,
    Objectives,
    OnUnreachable,
    Plan,
    Retry,
    Section,
    Shell,
    Source,
    Stage,
    Step,
    Variable,
    Verify,
)
from drctl.model.promises import DeadlineAction, DeadlineRule
from drctl.plan.codec import canonical_json

START = datetime(2026, 11, 23, 1, 31, 4, tzinfo=UTC)
OUTAGE = datetime(2026, 11, 23, 1, 12, 0, tzinfo=UTC)
HOSTILE = (
    "[/etc/passwd] [bold red]not markup[/bold red] [link=http://evil]x[/link]\n"
    "\x1b[2J\x1b]0;owned\x07\x1b[31mred\x1b[0m \x9b31m c1\n"
    "<script>alert(1)</script> | a | table | cell |\n"
    "```\n# not a heading\n````\n`````\n"
    "right-to-left \u202eevil\u202c zero\u200bwidth\r\noverwritten\rby carriage return\x00\x08\n"
    + "a line of three hundred characters "
    * 9
)
HINT = "The standby says nothing of its place. To restore a backup: drctl run restore acme"

PRIMARY = Endpoint(
    host="jnb-db-1", site="xneelo-jnb", country="ZA", address="10.1.0.11", port=22, user="drctl",
    variables=(Variable(name="pgdata", text="/var/lib/postgresql/16/main"),),
)  # fmt: skip
STANDBY = replace(PRIMARY, host="azure-db-1", site="azure-za-north", address="10.2.0.11")
APP = replace(PRIMARY, host="azure-app-1", site="azure-za-north", address="10.2.0.21", variables=())
WITNESSES = tuple(
    replace(APP, host=f"{city}-witness-1", site=f"teraco-{city}", address=f"10.{n}.0.5")
    for n, city in ((3, "cpt"), (4, "dbn"))
)
SERVICE_VARIABLES = (
    Variable(name="service", text="acme"),
    Variable(name="database", text="taskflow_acme"),
    Variable(name="app_password", secret="file:/etc/drctl/acme.password"),
)


def _shell(script: str) -> Shell:
    return Shell(script=script)


def _step(step_id: str, name: str, action: object, **kind: object) -> Step:
    values: dict[str, object] = {"variables": SERVICE_VARIABLES, "digest": hashlib.sha256(step_id.encode()).hexdigest()}
    return Step(id=step_id, name=name, where="runbooks/failover.yml:10:5", action=action, **(values | kind))  # type: ignore[arg-type]


def failover_plan(*, mode: Mode = Mode.REAL, sla: bool = True, rpo_s: float | None = 86_400.0) -> Plan:
    """A failover of thirteen steps: an ordinary one, with an approval, two ways to fence, and a slow resize."""
    one = Section.PRECONDITIONS
    two = Section.STEPS
    stages = (
        Stage(section=one, steps=(
            _step("standby-is-a-standby", "The standby is a standby", _shell("psql -Atc 'select pg_is_in_recovery()'"),
                  endpoints=(STANDBY,), become="postgres", expect="t", read_only=True, expected_s=1.0),
            _step("standby-lag", "How far the standby has come", _shell("psql -AtF'\n' -f lag.sql"),
                  endpoints=(STANDBY,), become="postgres", read_only=True, expected_s=1.0, recovery_point="replayed_to",
                  last_write="last_write", failure_hint=HINT,
                  captures=(Capture(name="replayed_to", type=CaptureType.TIME),
                            Capture(name="last_write", type=CaptureType.TIME),
                            Capture(name="lag", type=CaptureType.DURATION))),
        )),
        Stage(section=two, steps=(_step("declare", "Say that this is a disaster",
              Approval(prompt="The standby is ${lag} s behind. Fail over acme to azure-db-1?")),)),
        Stage(section=two, steps=(_step("fence-primary", "Make sure that the old primary can take no more writes",
              _shell("pg_ctl -D \"$pgdata\" stop -m immediate"), endpoints=(PRIMARY,), become="postgres",
              expected_s=5.0, timeout_s=30.0, on_unreachable=OnUnreachable.CONTINUE, proves="primary_fenced"),)),
        Stage(section=two, steps=(_step("fence-by-witnesses", "Two witnesses in other cities agree that it is gone",
              _shell("! nc -z -w 3 \"$primary_address\" 5432"), endpoints=WITNESSES, read_only=True, expected_s=4.0,
              retry=Retry(attempts=3), unless_proved="primary_fenced", proves="primary_fenced"),)),
        Stage(section=two, steps=(_step("promote", "Promote the standby",
              _shell("# ends when it takes writes\npg_ctl -D \"$pgdata\" promote -w -t 60"), endpoints=(STANDBY,),
              become="postgres", expected_s=10.0, timeout_s=90.0, requires="primary_fenced",
              verify=Verify(action=_shell("psql -Atc 'select pg_is_in_recovery()'"), expect="f", within_s=60.0)),)),
        Stage(section=two, steps=(_step("resize-standby", "Make the micro instance big enough to serve",
              Shell(script="exec \"$@\"", local=True, words=("az", "vm", "resize", "--size", "Standard_D8s_v5"),
                    command="resize"), expected_s=600.0, timeout_s=1800.0, idempotent=True),)),
        Stage(section=two, steps=(
            _step("set-app-password", "Set the application's password", _shell("psql -f set-password.sql"),
                  endpoints=(STANDBY,), become="postgres", sensitive=True, expected_s=2.0, idempotent=True),
            _step("repoint-app", "Point the application at the new primary", _shell("repoint \"$database\""),
                  endpoints=(APP,), expected_s=8.0, idempotent=True, retry=Retry(attempts=3, delay_s=2.0)),
        )),
        Stage(section=two, steps=(_step("row-counts", "The biggest tables still have their rows",
              _shell("psql -Atf counts.sql"), endpoints=(STANDBY,), read_only=True, expected_s=20.0),)),
        Stage(section=two, steps=(_step("service-answers", "The service answers as its clients see it",
              Http(url="https://acme.taskflow.example/health"), read_only=True, expected_s=3.0,
              mark=Mark.SERVICE_RESTORED),)),
        Stage(section=two, steps=(_step("new-standby", "Make a new standby of it, in Cape Town",
              _shell("pg_basebackup -h \"$primary_address\" -D \"$pgdata\" -R"), endpoints=(WITNESSES[0],),
              expected_s=900.0, timeout_s=7200.0, mark=Mark.PROTECTED),)),
        Stage(section=Section.ALWAYS, steps=(
            _step("thaw-deploys", "Let deployments go on", _shell("rm -f /run/deploy.frozen"), endpoints=(APP,),
                  expected_s=1.0, idempotent=True),)),
    )  # fmt: skip
    return Plan(
        runbook="failover",
        title="Fail over a TaskFlow service to its HA standby",
        service="acme",
        service_title="Acme Mining (Pty) Ltd",
        sla=sla,
        mode=mode,
        objectives=Objectives(rto_s=14_400.0, rpo_s=rpo_s),
        timezone="Africa/Johannesburg",
        stages=stages,
        inputs=(Variable(name="service", text="acme"),),
        runbook_source=Source(path="runbooks/failover.yml", sha256="1f" * 32, text="runbook: failover\n"),
        inventory_source=Source(path="inventories/taskflow.yml", sha256="2e" * 32, text="sites: []\n"),
        drctl_version="0.1.0",
    )


def output_of(text: str) -> ev.Output:
    """An output as the recorder would describe it."""
    data = text.encode("utf-8", "replace")
    return ev.Output(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), tail=text[-2000:])


@dataclass
class Builder:
    """Appends events to a run, moving a fake clock on."""

    plan: Plan
    run_id: str = "20261123-013104-acme-failover"
    now: datetime = START
    events: list[Event] = field(default_factory=list)

    def add(self, body: Body, *, after_s: float = 0.0) -> Builder:
        """The next event, ``after_s`` seconds after the one before."""
        self.now += timedelta(seconds=after_s)
        previous = self.events[-1].sha256 if self.events else "0" * 64
        event = Event(
            run_id=self.run_id, sequence=len(self.events) + 1, at=self.now, body=body, previous=previous, sha256=""
        )
        digest = hashlib.sha256(canonical_json(event)).hexdigest()
        self.events.append(replace(event, sha256=digest))
        return self

    def begin(self, *, outage: bool = True, interactive: bool = True) -> Builder:
        self.add(
            ev.RunStarted(
                plan=self.plan,
                plan_digest="c0ffee" + "3d" * 29,
                operator="thandi",
                controller="bastion-cpt",
                pid=4711,
                interactive=interactive,
                reason="INC-2041: Johannesburg is dark",
            )
        )
        if outage:
            given = "given with --outage-started"
            self.add(ev.ClockMarked(mark=Mark.OUTAGE_STARTED, at=OUTAGE, source=given))
            detected = OUTAGE + timedelta(minutes=4)
            self.add(ev.ClockMarked(mark=Mark.DETECTED, at=detected, source="given with --detected"))
        return self

    def start(self, step: str, host: str = "", *, attempt: int = 1, act: Act = Act.RUN, gap_s: float = 0.1) -> Builder:
        job = f"{self.run_id}.{step}.{attempt}" if act is Act.RUN else ""
        return self.add(ev.AttemptStarted(step=step, host=host, attempt=attempt, act=act, job=job), after_s=gap_s)

    def finish(
        self,
        step: str,
        host: str = "",
        *,
        took_s: float,
        outcome: Outcome = Outcome.SUCCEEDED,
        attempt: int = 1,
        act: Act = Act.RUN,
        out: str = "",
        err: str = "",
        **more: object,
    ) -> Builder:
        code = {Outcome.SUCCEEDED: 0}.get(outcome)
        values = {"exit_code": code, "duration_s": took_s} | more
        body = ev.AttemptFinished(
            step=step, host=host, attempt=attempt, act=act, outcome=outcome,
            output=output_of(out) if out else None, errors=output_of(err) if err else None,
            **values,  # type: ignore[arg-type]
        )  # fmt: skip
        return self.add(body, after_s=took_s)

    def did(self, step: str, host: str = "", *, took_s: float, out: str = "", **more: object) -> Builder:
        """One attempt that succeeded."""
        return self.start(step, host).finish(step, host, took_s=took_s, out=out, **more)  # type: ignore[arg-type]

    def asked(
        self,
        question: Question,
        step: str,
        *,
        prompt: str,
        answers: Sequence[str],
        host: str = "",
        facts: Sequence[str] = (),
    ) -> Builder:
        return self.add(
            ev.PersonAsked(
                question=question, step=step, host=host, prompt=prompt, facts=tuple(facts), answers=tuple(answers),
                unattended="pause",
            )
        )  # fmt: skip

    def answered(
        self, question: Question, step: str, answer: str, *, after_s: float, host: str = "", why: str = ""
    ) -> Builder:
        return self.add(
            ev.PersonAnswered(
                question=question, step=step, host=host, answer=answer, who="thandi@bastion-cpt", why=why
            ),
            after_s=after_s,
        )

    def end(self, ended: Ended, why: str = "") -> list[Event]:
        self.add(ev.RunEnded(ended=ended, why=why), after_s=0.2)
        fold_all(self.events)  # a sample that does not fold is no sample
        return self.events


def _preconditions(run: Builder, *, lag_s: float = 2.4) -> Builder:
    last = OUTAGE - timedelta(seconds=0.8)
    replayed = last - timedelta(seconds=lag_s)
    run.did("standby-is-a-standby", "azure-db-1", took_s=0.6, out="t\n")
    captured = {"replayed_to": replayed.isoformat(), "last_write": last.isoformat(), "lag": str(lag_s)}
    text = "\n".join(captured.values())
    return run.did("standby-lag", "azure-db-1", took_s=0.7, out=text, captured=captured)


def _approve(run: Builder) -> Builder:
    prompt = "The standby is 2.4 s behind. Fail over acme to azure-db-1?"
    run.asked(Question.APPROVAL, "declare", prompt=prompt, answers=("yes", "no", "pause"))
    return run.answered(Question.APPROVAL, "declare", "yes", after_s=74, why="the CIO was called")


def _fence(run: Builder) -> Builder:
    run.start("fence-primary", "jnb-db-1").finish(
        "fence-primary", "jnb-db-1", took_s=10.0, outcome=Outcome.FAILED, reason=Reason.UNREACHABLE,
        detail="no connection to 10.1.0.11:22 within 10 s",
    )  # fmt: skip
    cpt, dbn = (w.host for w in WITNESSES)
    run.start("fence-by-witnesses", cpt).start("fence-by-witnesses", dbn, gap_s=0.0)
    run.finish("fence-by-witnesses", cpt, took_s=3.1, out="closed\n")
    run.finish(
        "fence-by-witnesses", dbn, took_s=0.4, outcome=Outcome.FAILED, reason=Reason.EXIT_CODE, exit_code=1,
        err="nc: timed out while talking to the resolver\n",
    )  # fmt: skip
    run.start("fence-by-witnesses", dbn, attempt=2, gap_s=1.0)
    return run.finish("fence-by-witnesses", dbn, took_s=3.2, attempt=2, out="closed\n")


def _promote(run: Builder, out: str = "waiting for server to promote.... done\nserver promoted\n") -> Builder:
    run.start("promote", "azure-db-1").finish("promote", "azure-db-1", took_s=6.2, out=out)
    run.start("promote", "azure-db-1", act=Act.VERIFY)
    return run.finish("promote", "azure-db-1", took_s=0.4, act=Act.VERIFY, out="f\n")


def _serve(run: Builder, out: str = '{\n  "provisioningState": "Succeeded"\n}\n') -> Builder:
    run.did("resize-standby", took_s=742.0, out=out)
    run.start("set-app-password", "azure-db-1").start("repoint-app", "azure-app-1", gap_s=0.0)
    run.finish("set-app-password", "azure-db-1", took_s=1.1, out="ALTER ROLE\nhunter2\n")
    run.finish("repoint-app", "azure-app-1", took_s=5.0, out="repointed\n")
    run.did("row-counts", "azure-db-1", took_s=18.0, out="task|1204417\nproject|9120\n")
    return run.did("service-answers", took_s=1.2, out='{"status": "ok"}')


def _protect(run: Builder) -> Builder:
    run.did("new-standby", "cpt-witness-1", took_s=1104.0, out="24117/24117 kB (100%), 1/1 tablespace\n")
    return run.did("thaw-deploys", "azure-app-1", took_s=0.3)


def succeeded(*, mode: Mode = Mode.REAL, outage: bool = True, interactive: bool = True) -> list[Event]:
    """Everything went well: 4 h and 24 h were kept, and a messenger failed on the way."""
    run = Builder(failover_plan(mode=mode)).begin(outage=outage, interactive=interactive)
    _fence(_approve(_preconditions(run)))
    run.add(ev.MessengerFailed(messenger="mail", detail="mail.example:25 refused the connection"))
    return _protect(_serve(_promote(run))).end(Ended.DONE)


def rpo_missed() -> list[Event]:
    """The service is back, but the standby was more than a day behind."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-lost-data").begin()
    _fence(_approve(_preconditions(run, lag_s=93_600.0)))
    return _protect(_serve(_promote(run))).end(Ended.DONE)


def paused_after_failure() -> list[Event]:
    """The promotion failed, the person decided later."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-paused").begin()
    _fence(_approve(_preconditions(run)))
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
    _fence(_approve(_preconditions(run)))
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
    _fence(_approve(_preconditions(run)))
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
    _approve(_preconditions(run))
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
    return _protect(_serve(_promote(run))).end(Ended.DONE)


def broken_glass() -> list[Event]:
    """Nobody could be asked for an approval, and the person went on alone."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-glass").begin()
    prompt = "The standby is 2.4 s behind. Fail over acme to azure-db-1?"
    _preconditions(run).asked(Question.APPROVAL, "declare", prompt=prompt, answers=("no", "pause", "break_glass"))
    run.answered(Question.APPROVAL, "declare", "break_glass", after_s=74, why="nobody answers the telephone")
    return _protect(_serve(_promote(_fence(run)))).end(Ended.DONE)


def aborted() -> list[Event]:
    """The approval was declined."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-aborted").begin()
    _preconditions(run)
    run.asked(Question.APPROVAL, "declare", prompt="Fail over?", answers=("yes", "no", "pause"))
    run.answered(Question.APPROVAL, "declare", "no", after_s=12, why="Johannesburg is back")
    run.did("thaw-deploys", "azure-app-1", took_s=0.3)
    return run.end(Ended.ABORTED, "thandi declined declare: Johannesburg is back")


def hostile() -> list[Event]:
    """Remote output, a prompt and a reason that try everything."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-hostile").begin()
    _preconditions(run)
    run.asked(Question.APPROVAL, "declare", prompt=HOSTILE, answers=("yes", "no", "pause"), facts=(HOSTILE,))
    run.answered(Question.APPROVAL, "declare", "yes", after_s=5, why=HOSTILE)
    _fence(run)
    _promote(run, out=HOSTILE)
    _serve(run, out=HOSTILE)
    run.start("new-standby", "cpt-witness-1").finish(
        "new-standby", "cpt-witness-1", took_s=3.0, outcome=Outcome.FAILED, reason=Reason.EXIT_CODE, exit_code=2,
        detail=HOSTILE, out=HOSTILE, err=HOSTILE,
    )  # fmt: skip
    return run.end(Ended.FAILED, "new-standby")


def still_going() -> list[Event]:
    """In the middle of the resize."""
    run = Builder(failover_plan(), run_id="20261123-013104-acme-going").begin()
    _promote(_fence(_approve(_preconditions(run))))
    run.start("resize-standby")
    return run.events


def drill() -> list[Event]:
    """An exercise whose outage has no start."""
    return succeeded(mode=Mode.DRILL, outage=False)


def simulated() -> list[Event]:
    """A check: the read-only steps ran, the others were only thought through."""
    run = Builder(failover_plan(mode=Mode.CHECK), run_id="20261123-013104-acme-check").begin(outage=False)
    _preconditions(run)
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
        _step("restore/copy", "Copy the backup", _shell("restore-it"), endpoints=(STANDBY,), expected_s=3600.0),
        _step("restore/up", "The service answers", Http(url="https://acme.taskflow.example/health"), read_only=True,
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
    _promote(_fence(_approve(_preconditions(run))))
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
    _preconditions(run)
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
    return _protect(_serve(_promote(_fence(run)))).end(Ended.DONE)


SAMPLES: dict[str, Callable[[], list[Event]]] = {
    f.__name__: f
    for f in (
        succeeded, rpo_missed, paused_after_failure, failed, in_doubt, no_go, overridden, aborted, hostile, still_going,
        drill, simulated, at_the_deadline, exercised, broken_glass,
    )
}  # fmt: skip
