"""What pgBackRest 2.45 says, read: real output over a repository that was damaged on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from drctl.backups.info import UnreadableInfo, parse_info
from drctl.backups.verify import Verification, parse_verify

CASES = Path(__file__).parents[1] / "cases" / "backups"
OLDEST, MIDDLE, NEWEST = "20261124-085651F", "20261124-085654F", "20261124-085657F"


def case(name: str) -> str:
    return (CASES / name).read_text()


def verified(fault: str) -> Verification:
    return parse_verify(case(f"{fault}.verify.txt"))


def test_info_gives_backups_with_their_consistency_points() -> None:
    stanza = parse_info(case("info.json"), "main")
    assert [b.label for b in stanza.backups] == [OLDEST, MIDDLE, NEWEST]
    newest = stanza.backups[-1]
    assert newest.consistent_at.isoformat() == "2026-11-24T08:56:59+00:00"
    assert (newest.duration_s, newest.wal_start, newest.wal_stop) == (
        2.0,
        "0" * 7 + "1" + "0" * 14 + "12",
        newest.wal_stop,
    )
    assert (newest.size, newest.archive_id, newest.lsn_stop) == (26883779, "15-1", 0x1300050)
    assert stanza.problem == ""


def test_a_stanza_that_is_gone_is_no_empty_list_of_backups() -> None:
    assert parse_info(case("empty.info.json"), "main").problem == "missing stanza path"
    with pytest.raises(UnreadableInfo, match="no stanza 'other'"):
        parse_info(case("info.json"), "other")


@pytest.mark.parametrize("text", ["", "[]x", "{}", "[1]", '[{"name": "main"}]', "null", '[{"name":"main","status":3}]'])
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(UnreadableInfo):
        parse_info(text, "main")


def test_a_sound_repository_has_no_problems() -> None:
    found = verified("clean")
    assert (found.status, found.problem, found.files) == ("ok", "", ())
    assert [(b.name, b.problem) for b in found.backups] == [(OLDEST, ""), (MIDDLE, ""), (NEWEST, "")]
    assert [(a.name, a.files, a.problem) for a in found.archives] == [("15-1", 15, "")]


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("flip", "1 with a wrong checksum"),
        ("truncate", "1 with a wrong checksum"),
        ("missing", "1 missing"),
        ("manifests", "manifest missing"),
    ],
)
def test_a_damaged_backup_is_named_and_the_others_are_not(fault: str, problem: str) -> None:
    found = verified(fault)
    assert [(b.name, b.problem) for b in found.backups] == [(OLDEST, ""), (MIDDLE, ""), (NEWEST, problem)]
    assert found.problem == ""


def test_a_backup_whose_directory_is_gone_is_not_spoken_of() -> None:
    assert verified("directory").backup(NEWEST) is None
    assert verified("directory").status == "ok"  # pgBackRest's own word


def test_a_damaged_wal_file_is_named() -> None:
    assert verified("walflip").corrupt_wal == {"000000010000000000000014"}
    assert verified("walflip").archives[0].problem == "1 with a wrong checksum"


@pytest.mark.parametrize("fault", ["archiveinfos", "backupinfos", "empty"])
def test_a_repository_that_cannot_be_verified_has_a_problem(fault: str) -> None:
    assert "No usable" in verified(fault).problem


def test_one_manifest_of_two_is_enough() -> None:
    assert [b.problem for b in verified("manifest").backups] == ["", "", ""]


@pytest.mark.parametrize("lines", range(13))
def test_an_output_that_breaks_off_proves_nothing(lines: int) -> None:
    """Whatever was cut off, nothing is taken for verified."""
    whole = case("clean.verify.txt").splitlines(keepends=True)
    assert parse_verify("".join(whole)).problem == ""
    assert parse_verify("".join(whole[:lines])).problem
