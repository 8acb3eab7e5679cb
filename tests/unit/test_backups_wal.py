"""WAL followed from a backup to the end of the archive, in real listings and in changed ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from drctl.backups.info import Backup, parse_info
from drctl.backups.wal import Archive, Continuity, Segment, UnreadableArchive, continuity, parse_history, parse_listing

CASES = Path(__file__).parents[1] / "cases" / "backups"
HISTORY = {2: (CASES / "00000002.history").read_text()}
ONE, TWO = "0000000100000000000000", "0000000200000000000000"


def backup(label: str, info: str = "info.json") -> Backup:
    return next(b for b in parse_info((CASES / info).read_text(), "main").backups if b.label == label)


def archive(name: str, change: Callable[[dict], None] = lambda listed: None) -> Archive:
    listed = json.loads((CASES / f"{name}.archive.json").read_text())
    change(listed)
    return parse_listing(json.dumps(listed), segment_mb=1)["15-1"]


def row(
    where: Archive, of: Backup, histories: dict[int, str] | None = None, corrupt: set[str] | None = None
) -> Continuity:
    return continuity(
        where,
        HISTORY if histories is None else histories,
        start=of.wal_start,
        stop=of.wal_stop,
        stop_lsn=of.lsn_stop,
        corrupt=corrupt or set(),
    )


NEWEST = backup("20261124-085657F")
OLDEST = backup("20261124-085651F")
ON_TWO = backup("20261124-092528F", "tl2.info.json")


def without(*names: str) -> Callable[[dict], None]:
    def change(listed: dict) -> None:
        gone = [path for path in listed if any(name in path for name in names)]
        assert gone
        for path in gone:
            del listed[path]

    return change


def test_an_unbroken_row_reaches_the_archives_end() -> None:
    found = row(archive("clean"), OLDEST)
    assert (found.whole, found.end, len(found.row)) == (True, f"{ONE}16", 14)


def test_the_first_file_is_missing() -> None:
    found = row(archive("walfirst"), NEWEST)
    assert (found.whole, found.consistent, found.end, found.missing) == (False, False, None, f"{ONE}12")
    assert "the first that it needs" in found.why


def test_a_middle_file_is_missing_although_pgbackrest_says_ok() -> None:
    found = row(archive("walgap"), NEWEST)
    assert (found.whole, found.consistent, found.end, found.missing) == (False, True, f"{ONE}13", f"{ONE}14")


def test_a_damaged_file_is_as_good_as_missing_the_last_one_too() -> None:
    assert row(archive("clean"), NEWEST, corrupt={f"{ONE}14"}).missing == f"{ONE}14"
    found = row(archive("clean"), NEWEST, corrupt={f"{ONE}16"})
    assert (found.whole, found.end, found.missing) == (False, f"{ONE}15", f"{ONE}16")


def test_an_archive_that_ends_before_the_backup_does() -> None:
    found = row(archive("clean", without("0013-", "0014-", "0015-", "0016-")), NEWEST)
    assert (found.consistent, found.end) == (False, f"{ONE}12")
    assert f"{ONE}13, which makes it consistent, is missing" in found.why


def test_recovery_goes_on_along_the_next_timeline() -> None:
    found = row(archive("tl2"), NEWEST)
    assert (found.whole, found.end) == (True, f"{TWO}22")
    names = [segment.name(1) for segment in found.row]
    assert (names[0], f"{ONE}1B" in names, f"{ONE}1C" in names, f"{TWO}1C" in names) == (f"{ONE}12", True, False, True)
    assert row(archive("tl2"), ON_TWO).end == f"{TWO}22"


def test_a_gap_on_either_side_of_the_switch_is_found() -> None:
    assert row(archive("tl2", without("0000001B-")), NEWEST).missing == f"{ONE}1B"
    assert row(archive("tl2", without("0000001C-")), NEWEST).missing == f"{TWO}1C"
    assert row(archive("tl2", without("0000001B-")), ON_TWO).whole


def test_wal_of_a_timeline_without_its_history_would_not_be_found() -> None:
    found = row(archive("tl2", without("00000002.history")), NEWEST)
    assert (found.whole, found.end) == (False, f"{ONE}1B")
    assert "timeline 2 is there without its history file" in found.why


def test_a_timeline_of_which_nothing_was_archived_yet() -> None:
    found = row(archive("tl2", without("15-1/0000000200000000/")), NEWEST)
    assert (found.whole, found.end) == (True, f"{ONE}1B")


def test_a_newest_timeline_that_is_no_descendant_is_refused_as_postgresql_would() -> None:
    def branched(listed: dict) -> None:
        listed["15-1/00000003.history"] = {"type": "file", "size": 40, "time": 1}

    found = row(archive("tl2", branched), ON_TWO, {**HISTORY, 3: "1\t0/1200000\tbefore 2026-11-24\n"})
    assert "timeline 3 does not descend from its timeline 2" in found.why
    found = row(archive("tl2", branched), NEWEST, {**HISTORY, 3: "1\t0/1200000\tbefore 2026-11-24\n"})
    assert "timeline 3 left its timeline 1 before the backup's end" in found.why


def test_a_history_that_could_not_be_read_is_no_proof() -> None:
    assert "could not be read" in row(archive("tl2"), NEWEST, {}).why


def test_names_roll_over_after_the_last_file_of_a_log() -> None:
    last, first = Segment.of("0000000100000000000000FF", 16), Segment.of("000000010000000100000000", 16)
    assert first.number == last.number + 1
    assert last.name(16) == "0000000100000000000000FF"
    assert Segment.of("000000010000000000000FFF", 1).number + 1 == Segment.of("000000010000000100000000", 1).number
    assert Segment.of("00000001000000000000003F", 64).number + 1 == Segment.of("000000010000000100000000", 64).number


@pytest.mark.parametrize("text", ["", "[]", "null", '{"a": 1}', "not json"])
def test_what_is_no_listing_is_refused(text: str) -> None:
    with pytest.raises(UnreadableArchive):
        parse_listing(text)


def test_a_name_that_cannot_be_of_that_size_is_refused_and_says_what_to_do() -> None:
    listed = {"15-1/0000000100000000/000000010000000000000100-" + "0" * 40: {"type": "file"}}
    with pytest.raises(UnreadableArchive, match="say wal_segment_mb"):
        parse_listing(json.dumps(listed))
    assert parse_listing(json.dumps(listed), segment_mb=1)


def test_histories_are_read_as_postgresql_writes_them() -> None:
    assert parse_history(HISTORY[2]) == ((1, 0x1C00000),)
    assert parse_history("1\t0/3000000\tno recovery target specified\n\n2\tA/40\tx\n") == (
        (1, 0x3000000),
        (2, 0xA00000040),
    )
