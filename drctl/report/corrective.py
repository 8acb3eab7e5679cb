"""Findings and what is done about them, across runs: opened with an owner and a due date, and closed with a reason.

They are notes of the ledger (``adapters/ledger.py``), and what is shown is folded from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from drctl.adapters.ledger import Ledger, Note
from drctl.errors import UsageError
from drctl.read.suggest import did_you_mean
from drctl.report.facts import Finding, Standing, Summary

_OPENED, _CLOSED = "finding_opened", "finding_closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a person says when they open a finding."""

    service: str
    run: str
    text: str
    action: str
    owner: str
    due: date
    who: str


def open_finding(ledger: Ledger, wanted: Opened, *, now: datetime) -> str:
    """Write a finding down; its id.

    Raises:
        JournalError: when it cannot be written.
    """
    count = sum(1 for note in ledger.notes(_OPENED) if note.body["service"] == wanted.service)
    name = f"{wanted.service}-{count + 1}"
    body = {
        "finding": name,
        "service": wanted.service,
        "run": wanted.run,
        "text": wanted.text,
        "action": wanted.action,
        "owner": wanted.owner,
        "due": wanted.due.isoformat(),
    }
    ledger.append(kind=_OPENED, who=wanted.who, body=body, at=now)
    return name


def close_finding(ledger: Ledger, name: str, *, how: str, who: str, now: datetime) -> Finding:
    """Write down that a finding was dealt with, and how.

    Raises:
        UsageError: when there is no such finding, or it is closed.
        JournalError: when it cannot be written.
    """
    known = {finding.id: finding for finding in all_findings(ledger, now=now)}
    found = known.get(name)
    if found is None:
        raise UsageError(f"there is no finding {name!r}{did_you_mean(name, known)}", hint="drctl findings")
    if found.closed_at is not None:
        raise UsageError(f"{name} was closed by {found.closed_by}: {found.how}", hint="drctl findings --all")
    ledger.append(kind=_CLOSED, who=who, body={"finding": name, "how": how}, at=now)
    return found


def all_findings(ledger: Ledger, *, now: datetime, timezone: str = "UTC") -> tuple[Finding, ...]:
    """Those of all services as they stand now, the earliest due first.

    Raises:
        JournalError: when the ledger cannot be read, or its chain is broken.
    """
    return findings_of(ledger.notes(), now=now, timezone=timezone)


def findings_of(notes: Iterable[Note], *, now: datetime, timezone: str) -> tuple[Finding, ...]:
    """What these notes say of findings, the earliest due first.

    Raises:
        KeyError, TypeError, ValueError: when one is not what drctl writes.
    """
    today = _day(now, timezone)
    return tuple(sorted(_folded(notes, today), key=lambda finding: (finding.due, finding.id)))


def notes_of(findings: Iterable[Finding], ledger: Ledger) -> tuple[Note, ...]:
    """The ledger's notes that these findings were made of, in their order.

    Raises:
        JournalError: when the ledger cannot be read, or its chain is broken.
    """
    names = {finding.id for finding in findings}
    kinds = (_OPENED, _CLOSED)
    return tuple(note for note in ledger.notes() if note.kind in kinds and note.body["finding"] in names)


def with_findings(summary: Summary, ledger: Ledger) -> Summary:
    """The summary with its run's own findings, and the service's earlier ones that were open when the run began."""
    found = all_findings(ledger, now=summary.made_at, timezone=summary.timezone)
    began = summary.chain.first_at
    shown = [
        f for f in found
        if f.service == summary.service
        and (f.run == summary.run_id or (f.opened_at <= began and (f.closed_at is None or f.closed_at >= began)))
    ]  # fmt: skip
    return replace(summary, findings=tuple(shown))


def _folded(notes: Iterable[Note], today: date) -> Iterator[Finding]:
    found: dict[str, Finding] = {}
    for note in notes:
        body = note.body
        if note.kind == _OPENED:
            found[body["finding"]] = Finding(
                id=body["finding"],
                service=body["service"],
                run=body["run"],
                text=body["text"],
                action=body["action"],
                owner=body["owner"],
                due=body["due"],
                opened_at=note.at,
                opened_by=note.who,
            )
        elif note.kind == _CLOSED:
            before = found[body["finding"]]
            found[before.id] = replace(before, closed_at=note.at, closed_by=note.who, how=body["how"])
    for finding in found.values():
        late = Standing.OVERDUE if date.fromisoformat(finding.due) < today else Standing.OPEN
        yield replace(finding, standing=late if finding.closed_at is None else Standing.CLOSED)


def _day(now: datetime, timezone: str) -> date:
    try:
        return now.astimezone(ZoneInfo(timezone)).date()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return now.astimezone(UTC).date()
