"""A run that is made event by event with a fake clock, and the stretches that the sample runs are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from drctl.engine.fold import fold_all
from drctl.model import events as ev
from drctl.model.events import Act, Body, Ended, Event, Outcome, Question, Reason
from drctl.model.plan import (
    Mark,
    Plan,
)
from drctl.plan.codec import canonical_json
from tests.support.sample_plan import (
    OUTAGE,
    START,
    WITNESSES,
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


def preconditions(run: Builder, *, lag_s: float = 2.4) -> Builder:
    last = OUTAGE - timedelta(seconds=0.8)
    replayed = last - timedelta(seconds=lag_s)
    run.did("standby-is-a-standby", "azure-db-1", took_s=0.6, out="t\n")
    captured = {"replayed_to": replayed.isoformat(), "last_write": last.isoformat(), "lag": str(lag_s)}
    text = "\n".join(captured.values())
    return run.did("standby-lag", "azure-db-1", took_s=0.7, out=text, captured=captured)


def approve(run: Builder) -> Builder:
    prompt = "The standby is 2.4 s behind. Fail over acme to azure-db-1?"
    run.asked(Question.APPROVAL, "declare", prompt=prompt, answers=("yes", "no", "pause"))
    return run.answered(Question.APPROVAL, "declare", "yes", after_s=74, why="the CIO was called")


def fence(run: Builder) -> Builder:
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


def promote(run: Builder, out: str = "waiting for server to promote.... done\nserver promoted\n") -> Builder:
    run.start("promote", "azure-db-1").finish("promote", "azure-db-1", took_s=6.2, out=out)
    run.start("promote", "azure-db-1", act=Act.VERIFY)
    return run.finish("promote", "azure-db-1", took_s=0.4, act=Act.VERIFY, out="f\n")


def serve(run: Builder, out: str = '{\n  "provisioningState": "Succeeded"\n}\n') -> Builder:
    run.did("resize-standby", took_s=742.0, out=out)
    run.start("set-app-password", "azure-db-1").start("repoint-app", "azure-app-1", gap_s=0.0)
    run.finish("set-app-password", "azure-db-1", took_s=1.1, out="ALTER ROLE\nhunter2\n")
    run.finish("repoint-app", "azure-app-1", took_s=5.0, out="repointed\n")
    run.did("row-counts", "azure-db-1", took_s=18.0, out="task|1204417\nproject|9120\n")
    return run.did("service-answers", took_s=1.2, out='{"status": "ok"}')


def protect(run: Builder) -> Builder:
    run.did("new-standby", "cpt-witness-1", took_s=1104.0, out="24117/24117 kB (100%), 1/1 tablespace\n")
    return run.did("thaw-deploys", "azure-app-1", took_s=0.3)
