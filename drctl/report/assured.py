"""What a report says for auditors beyond the run's own course: copies, countries, drill safety, clean-up, coverage.

As in ``facts.py``, a field's name is a promise, instants are UTC, and durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from drctl.model.events import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTried:
    """A copy of a backup that a step picked, as its captured values say it; None and empty is "not known".

    ``replicated_at`` is when the last replication to its location was over before it was picked; ``manifest_sha256`` is
    over the backup's manifest, which holds the checksum of each of its files.
    ``outcome`` and ``failed_step`` are of the attempt that the step belongs to. ``age_s`` counts from the consistency
    point to the start of the run; ``attempt`` is None outside of attempts.
    """

    step: str
    attempt: int | None
    location: str
    country: str
    label: str
    trust: str
    consistent_at: datetime | None
    age_s: float | None
    reaches: datetime | None
    loss_s: float | None
    bytes: int | None
    replicated_at: datetime | None
    manifest_sha256: str
    outcome: Outcome | None
    failed_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchedHost:
    """A host on which a step was begun, and whether one of them may change something."""

    host: str
    site: str
    country: str
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidencyRow:
    """Where the run's hosts are. ``country`` is where data must stay: empty when no step of the plan carries data.

    ``outside`` are hosts that are elsewhere, ``carried_by`` the steps that carried data and were begun.
    """

    country: str
    hosts: tuple[TouchedHost, ...]
    outside: tuple[str, ...]
    carried_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A step as a proof: how it ended over its hosts. ``outcome`` None: not over, or not begun."""

    step: str
    name: str
    hosts: tuple[str, ...]
    outcome: Outcome | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillSafety:
    """How production fared in a drill. ``production`` are the hosts that the drill's own checks look at.

    ``production_changed`` are those of them on which a step was begun that may change something.
    """

    lag_before_s: float | None
    lag_during_s: float | None
    lag_after_s: float | None
    production: tuple[str, ...]
    production_changed: tuple[str, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstitution:
    """The way back: protected again, cleaned up, and a drill's restored data destroyed and looked for."""

    protected_at: datetime | None
    clean_up: tuple[Check, ...]
    destruction: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What became of the plan's steps; each is in one of these. ``only_answered``: in plan and check mode.

    ``exercised`` succeeded in a drill or a real run; ``left_out`` also holds what was found done already; ``not_over``
    was not begun, goes on, or is in doubt.
    """

    exercised: tuple[str, ...]
    only_answered: tuple[str, ...]
    failed: tuple[str, ...]
    simulated: tuple[str, ...]
    left_out: tuple[str, ...]
    not_over: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A clause, and the sections of this report that supply evidence for it. Evidence is not compliance."""

    standard: str
    clause: str
    sections: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assurance:
    """All of it; the parts are keys of the JSON report of their own."""

    backups: tuple[CopyTried, ...]
    residency: ResidencyRow
    drill_safety: DrillSafety | None
    reconstitution: Reconstitution
    coverage: Coverage
