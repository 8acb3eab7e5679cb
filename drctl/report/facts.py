"""What a report knows of a run: the values that text, Markdown and JSON are written from.

The JSON report is these classes, field by field (``docs/reference/report.md``), so a field's name is a promise: add
new ones, rename none. Instants are UTC, durations seconds in fields that end in ``_s``. Text is as it was recorded;
each format makes it harmless in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self

from drctl.engine.objectives import Verdict
from drctl.errors import ExitCode
from drctl.model.circumstances import ClockReading, EarlierRun, Repository
from drctl.model.events import Act, Ended, Outcome, Question, Reason
from drctl.model.plan import Mode
from drctl.model.words import Mark, Section
from drctl.report.assured import Control, CopyTried, Coverage, DrillSafety, Reconstitution, ResidencyRow
from drctl.report.circumstances import ExerciseRow, Session
from drctl.report.timing import Elapsed, Stretch
from drctl.report.told import MessageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file that the plan was made from, by what it held."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A variable as it was given: its value, or for a secret the reference and never the value."""

    name: str
    text: str | None
    secret: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRow:
    """A point of the RTO clock, in UTC and as the plan's timezone writes it."""

    mark: Mark
    at: datetime
    local: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A promise, what became of it, what that was measured from, and what the reader must know besides."""

    target_s: float | None
    actual_s: float | None
    verdict: Verdict
    basis: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What was sent, as the plan holds it: ``kind`` is shell, http, tcp, approval or wait.

    ``script`` is the constant text for ``sh -s``, ``words`` its positional parameters, ``variables`` what went ahead
    of it; for a request ``script`` is the request in words. ``sha256`` is over ``script``.
    """

    kind: str
    local: bool
    become: str | None
    script: str
    words: tuple[str, ...]
    variables: tuple[Given, ...]
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRow:
    """An output: the sha256 and length of all that was kept, and its last lines unless they are ``withheld``."""

    sha256: str
    bytes: int
    tail: str
    withheld: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One attempt. ``duration_s`` is monotonic, and None when another process saw the start."""

    act: Act
    attempt: int
    started_at: datetime
    finished_at: datetime | None
    duration_s: float | None
    outcome: Outcome | None
    reason: Reason | None
    detail: str
    exit_code: int | None
    attached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRow:
    """A step on one host; ``host`` is empty on the operator's machine. ``outcome`` None: not over, or not begun."""

    host: str
    site: str
    country: str
    address: str
    outcome: Outcome | None
    reason: Reason | None
    detail: str
    started_at: datetime | None
    finished_at: datetime | None
    duration_s: float | None
    slower_than_expected: bool
    runs: int
    exit_code: int | None
    command: Command
    attempts: tuple[AttemptRow, ...]
    output: OutputRow | None
    errors: OutputRow | None
    captured: tuple[tuple[str, str], ...]
    who: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A step over all its hosts."""

    number: int
    id: str
    name: str
    where: str
    section: Section
    digest: str
    outcome: Outcome | None
    expected_s: float | None
    timeout_s: float
    read_only: bool
    idempotent: bool
    sensitive: bool
    hosts: tuple[HostRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person was asked and said. ``who`` is empty when nobody was there and ``answer`` is a default."""

    at: datetime
    question: Question
    step: str
    host: str
    prompt: str
    answer: str
    who: str
    why: str
    waited_s: float
    fact: str  # for an override: what was vouched for
    fingerprint: str = ""  # of the key that signed it
    signed_at: datetime | None = None  # as the signed statement says
    signed_plan: str = ""  # the plan's digest in the signed statement
    signature_verified: bool = False  # drctl verified it when it was given, and it counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A fact of the plan: the steps that proved it, or who vouched for it instead, and the steps that need it."""

    fact: str
    proved_by: tuple[str, ...]
    overridden_by: str
    overridden_why: str
    required_by: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return bool(self.proved_by or self.overridden_by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """Something that was not as planned. ``kind`` is one of a closed list (``docs/reference/report.md``)."""

    kind: str
    step: str
    host: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unprotected:
    """The time in which the service ran without a second copy that could take over. ``until`` None: still so."""

    since: datetime
    until: datetime | None
    duration_s: float


class Standing(StrEnum):
    """How a finding stands on a day."""

    OPEN = "open"
    OVERDUE = "overdue"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that must be better next time. ``due`` is the last day for ``action``; the empty ``run`` is none."""

    id: str
    service: str
    run: str
    text: str
    action: str
    owner: str
    due: str  # YYYY-MM-DD
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None = None
    closed_by: str = ""
    how: str = ""
    standing: Standing = Standing.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRow:
    """What was expected when the run began, and what that was known from. Without a fallback its fields are None."""

    restored_s: float
    restored_basis: str
    fallback_s: float | None
    fallback_basis: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineRow:
    """The last moment to leave for the fallback within the RTO, what to do then unattended, and what was decided."""

    at: datetime
    local: str
    fallback: str
    takes_s: float
    basis: str
    margin_s: float
    action: str
    answer: str  # empty: it did not come to that
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The journal's hash chain: how many events, and the sha256 of the last, which covers all before it."""

    events: int
    head: str
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """A run as a listing of runs tells it. ``made_at`` is the instant that "now" means in it."""

    made_at: datetime
    run_id: str
    mode: Mode
    headline: str
    waits_for: str  # whom it waits for, in words; empty when it waits for nobody
    ongoing: bool
    conducted: bool | None  # whether a process carries it on; None: not looked for, or it has ended
    ended: Ended | None
    exit_code: ExitCode
    runbook: str
    service: str
    service_title: str
    hints: tuple[str, ...]  # what the runbook says to do about the steps that failed
    next_commands: tuple[str, ...]
    rto: Objective
    rpo: Objective
    unprotected: Unprotected | None
    forecast: ForecastRow | None
    deadline: DeadlineRow | None
    clock: tuple[ClockRow, ...]
    elapsed: Elapsed
    inputs: tuple[Given, ...]
    chain: Chain

    @property
    def over(self) -> bool:
        """Whether nothing more will come of the run: what is told of it stays true."""
        return self.ended not in (None, Ended.PAUSED)

    def at(self, now: datetime) -> Self:
        """The same at another time: a service whose second copy is not there yet goes on without it."""
        bare = self.unprotected
        if bare is not None and bare.until is None:
            lasted = max(now, self.chain.last_at) - bare.since
            bare = replace(bare, duration_s=max(0.0, lasted.total_seconds()))
        return replace(self, made_at=now, unprotected=bare)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(Brief):
    """A run, for people and for auditors."""

    watermark: str
    ended_why: str
    exit_meaning: str
    title: str
    sla: bool
    reason: str
    way: str
    truths: tuple[str, ...]
    yearly_budget_used: float | None  # of the 8.76 h that 99.9 % leave a year; None outside the SLA or not measured
    timezone: str
    stretches: tuple[Stretch, ...]
    exercise: ExerciseRow | None
    trend: tuple[EarlierRun, ...]  # earlier exercises of this service by this runbook, and this run as the last
    sessions: tuple[Session, ...]
    repository: Repository | None
    host_clocks: tuple[ClockReading, ...]
    decisions: tuple[Decision, ...]
    proofs: tuple[Proof, ...]
    deviations: tuple[Deviation, ...]
    findings: tuple[Finding, ...]  # this run's own, and the service's earlier ones that were open when it began
    backups: tuple[CopyTried, ...]
    residency: ResidencyRow
    drill_safety: DrillSafety | None
    reconstitution: Reconstitution
    coverage: Coverage
    control_map: tuple[Control, ...]
    notifications: tuple[MessageRow, ...]
    limits: tuple[str, ...]
    steps: tuple[StepRow, ...]
    runbook_source: Document
    inventory_source: Document
    plan_digest: str
    drctl_version: str
