"""Copies of backups as pgBackRest really described them, sound ones and faulty ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from drctl.backups.copies import Location, Seen, Verified, outcomes
from drctl.backups.info import parse_info
from drctl.backups.verify import parse_verify
from drctl.backups.wal import parse_listing

CASES = Path(__file__).parents[1] / "cases" / "backups"
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
OLDEST, MIDDLE, NEWEST = "20261124-085651F", "20261124-085654F", "20261124-085657F"
CLOUDPROX = Location(
    name="cloudprox", site_kind="backup", country="ZA", region="Johannesburg", kind="pgbackrest", host="cloudprox",
    stanza="main", segment_mb=1, offline=False,
)  # fmt: skip
DURBAN = replace(CLOUDPROX, name="teraco-dbn", region="Durban", host="teraco-dbn", replica_of="cloudprox")
VAULT = replace(CLOUDPROX, name="vault", site_kind="physical", host="vault", replica_of="cloudprox")


def seen(fault: str = "clean", location: Location = CLOUDPROX, *, gone: tuple[str, ...] = ()) -> Seen:
    """A location with that fault in its WAL, or without the directories of ``gone``."""
    listing = CASES / f"{fault}.archive.json"
    text = (listing if listing.exists() else CASES / "clean.archive.json").read_text()
    stanza = parse_info((CASES / "info.json").read_text(), "main")
    return Seen(
        location=location,
        at=NOW,
        stanza=stanza,
        archives=parse_listing(text, segment_mb=1),
        listings={b.label: f"sum of {b.label}" for b in stanza.backups if b.label not in gone},
    )


def verified(fault: str, where: Seen, at: datetime = NOW) -> dict[str, Verified]:
    said = parse_verify((CASES / f"{fault}.verify.txt").read_text())
    return {one.label: one for one in outcomes(where, said, at=at, how="verify")}
