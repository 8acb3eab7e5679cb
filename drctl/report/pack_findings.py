"""Whether the findings in a pack are those of the ledger's notes that lie beside them.

Findings are in no event, because people add them after the run. A note says what a person wrote, when and by which
name; its line is exactly what its sum in the ledger is over, and it holds the sum of the note before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from drctl.adapters.ledger import Note, note_of
from drctl.report.corrective import findings_of
from drctl.report.facts import Finding


def findings(text: bytes, told: Sequence[Finding], *, made_at: datetime, timezone: str) -> tuple[int, tuple[str, ...]]:
    """How many notes there are, and all that is wrong with them or with what the report ``told`` of them."""
    lines = text.split(b"\n")
    if lines.pop():
        return len(lines), ("the last note is torn: the file ends in the middle of it",)
    notes: list[Note] = []
    for number, line in enumerate(lines, start=1):
        try:
            notes.append(note_of(line))
        except (ValueError, RecursionError):
            return len(lines), (f"line {number} is no note of a ledger",)
    wrong = [*_out_of_place(notes)]
    try:
        made = findings_of(notes, now=made_at, timezone=timezone)
    except (KeyError, TypeError, ValueError):
        return len(lines), (*wrong, "a note is not what is written of a finding")
    kept = {finding.id: finding for finding in made}
    others = {finding.id for finding in told if kept.pop(finding.id, None) != finding} | set(kept)
    wrong += [f"the report says otherwise of {name}" for name in sorted(others)]
    return len(lines), tuple(wrong)


def _out_of_place(notes: Sequence[Note]) -> Iterator[str]:
    """Between two of them there may be notes of other matters, which are nobody's business here."""
    for before, after in pairwise(notes):
        follows = after.number == before.number + 1
        if after.number <= before.number or (follows and after.previous != before.sha256):
            yield f"note {after.number} is not in its place: one before it was changed, added or taken out"
