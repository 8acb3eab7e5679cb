"""The verdict on a copy and the choice between copies, from real answers of pgBackRest."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drctl.backups.choose import Choice, Wish, choose
from drctl.backups.copies import Copy, Restored, Seen, Trust, Verified, judge, outcomes
from drctl.backups.info import Stanza
from drctl.backups.verify import parse_verify
from drctl.backups.wal import parse_listing
from drctl.screens.copies import choice_lines
from tests.support.copies import CASES, DURBAN, MIDDLE, NEWEST, NOW, OLDEST, VAULT, seen, verified


def judged(fault: str = "clean", where: Seen | None = None) -> dict[str, Copy]:
    where = where or seen(fault)
    return {c.backup.label: c for c in judge(where, verified(fault, where), {})}


def trusts(copies: dict[str, Copy]) -> list[str]:
    return [copies[label].trust.value for label in (OLDEST, MIDDLE, NEWEST)]


def test_what_was_verified_and_has_its_wal_is_proven() -> None:
    assert trusts(judged()) == ["proven"] * 3
    assert judged()[NEWEST].why == ()


def test_never_verified_is_unproven_and_not_bad() -> None:
    copies = judge(seen(), {}, {})
    assert {(c.trust, c.why) for c in copies} == {(Trust.UNPROVEN, ("never verified",))}


@pytest.mark.parametrize(
    ("fault", "trust", "why"),
    [
        ("flip", ["proven", "proven", "bad"], "verify: 1 with a wrong checksum"),
        ("truncate", ["proven", "proven", "bad"], "verify: 1 with a wrong checksum"),
        ("missing", ["proven", "proven", "bad"], "verify: 1 missing"),
        ("manifests", ["proven", "proven", "bad"], "verify: manifest missing"),
        ("walfirst", ["bad", "bad", "bad"], "WAL 000000010000000000000012 is missing, the first that it needs"),
        ("walgap", ["bad", "bad", "bad"], "WAL 000000010000000000000014 is missing: recovery would end before it"),
        ("walflip", ["bad", "bad", "bad"], "WAL 000000010000000000000014 is damaged: recovery would end before it"),
    ],
)
def test_each_fault_has_its_verdict(fault: str, trust: list[str], why: str) -> None:
    copies = judged(fault)
    assert trusts(copies) == trust
    assert copies[NEWEST].why[0] == why


def test_a_directory_that_is_gone_is_bad_although_pgbackrest_says_ok() -> None:
    copies = judged("directory", seen(gone=(NEWEST,)))
    assert trusts(copies) == ["proven", "proven", "bad"]
    assert "though the repository lists it" in copies[NEWEST].why[0]


def test_a_file_that_changed_since_is_not_verified_any_more() -> None:
    said = verified("clean", seen())
    later = replace(seen(), listings={**seen().listings, NEWEST: "another sum"})
    copies = {c.backup.label: c for c in judge(later, said, {})}
    assert trusts(copies) == ["proven", "proven", "unproven"]
    assert copies[NEWEST].why == ("its files or its WAL have changed since it was verified",)


def test_wal_that_changed_since_is_not_verified_any_more_and_new_wal_does_no_harm() -> None:
    whole = json.loads((CASES / "clean.archive.json").read_text())
    last = next(path for path in whole if "00000016-" in path)
    early = {path: entry for path, entry in whole.items() if path != last}
    then = replace(seen(), archives=parse_listing(json.dumps(early), segment_mb=1))
    said = verified("clean", then)
    assert {c.trust for c in judge(seen(), said, {})} == {Trust.PROVEN}
    touched = {p: {**e, "time": 1} if "00000014-" in p else e for p, e in whole.items()}
    now = replace(seen(), archives=parse_listing(json.dumps(touched), segment_mb=1))
    assert {c.trust for c in judge(now, said, {})} == {Trust.UNPROVEN}


def test_a_verify_does_not_hold_for_ever() -> None:
    where = seen()
    copies = judge(where, verified("clean", where, at=NOW - timedelta(days=3)), {})
    assert {c.why for c in copies} == {("last verified 3d 00h ago",)}


def test_a_verify_that_broke_off_neither_proves_nor_condemns() -> None:
    text = (CASES / "clean.verify.txt").read_text()
    said = outcomes(seen(), parse_verify(text[: len(text) // 2]), at=NOW, how="verify")
    copies = judge(seen(), {one.label: one for one in said}, {})
    assert {c.trust for c in copies} == {Trust.UNPROVEN}


def test_damaged_pages_and_a_bad_base_condemn() -> None:
    stanza = seen().stanza
    assert stanza
    changed = [replace(b, references=(OLDEST,)) if b.label == NEWEST else b for b in stanza.backups]
    changed[0] = replace(changed[0], damaged=True)
    where = replace(seen(), stanza=Stanza(backups=tuple(changed), problem="", backup_running=False))
    copies = {c.backup.label: c for c in judge(where, verified("clean", where), {})}
    assert trusts(copies) == ["bad", "proven", "bad"]
    assert copies[NEWEST].why == (f"it builds on {OLDEST}, which is bad",)


def test_a_restore_that_succeeded_is_said() -> None:
    tested = Restored(location="cloudprox", label=NEWEST, at=NOW, run_id="r", mode="drill")
    assert [c.tested for c in judge(seen(), {}, {NEWEST: tested})] == [tested, None, None]


def test_the_recovery_point_is_the_last_commit_that_was_read_out_of_the_wal() -> None:
    commit = datetime(2026, 11, 24, 8, 59, 30, tzinfo=UTC)
    copies = judge(replace(seen(), last_commits={"000000010000000000000016": commit}), {}, {})
    assert {c.rpo_s(NOW) for c in copies} == {30.0}
    newest = judge(seen(), {}, {})[0]
    assert (newest.point, newest.rpo_s(NOW)) == (newest.backup.consistent_at, 181.0)


# The choice


def picked(*places: tuple[Seen, dict[str, Verified]], **wish: object) -> Choice:
    copies = [copy for where, said in places for copy in judge(where, said, {})]
    return choose([where for where, _ in places], copies, Wish(**wish))  # type: ignore[arg-type]


def names(choice: Choice) -> list[str]:
    return [copy.name for copy in choice.order]


def test_the_copy_that_loses_least_comes_first_and_of_those_that_lose_the_same_the_proven_ones() -> None:
    here, there = seen(), seen(location=DURBAN)
    choice = picked((here, {}), (there, verified("flip", there)))
    assert names(choice) == [
        f"cloudprox/{NEWEST}", f"teraco-dbn/{MIDDLE}", f"cloudprox/{MIDDLE}", f"teraco-dbn/{OLDEST}",
        f"cloudprox/{OLDEST}",
    ]  # fmt: skip
    # With WAL that was archived after it an older copy loses no more than a newer one, and proof decides.
    commit = {"000000010000000000000016": datetime(2026, 11, 24, 8, 59, 30, tzinfo=UTC)}
    here, there = replace(here, last_commits=commit), replace(there, last_commits=commit)
    whole = [f"{place}/{label}" for label in (NEWEST, MIDDLE, OLDEST) for place in ("cloudprox", "teraco-dbn")]
    assert names(picked((here, {}), (there, {}))) == whole
    proven = [f"teraco-dbn/{MIDDLE}", f"teraco-dbn/{OLDEST}"]
    choice = picked((here, {}), (there, verified("flip", there)))
    assert names(choice) == [*proven, f"cloudprox/{NEWEST}", f"cloudprox/{MIDDLE}", f"cloudprox/{OLDEST}"]
    # A replica that was brought up to date before the last commits loses more, proven or not.
    there = replace(there, last_commits={})
    assert names(picked((here, {}), (there, verified("clean", there))))[:3] == [w for w in whole if "cloudprox" in w]
    assert [(r.name, r.why) for r in choice.rejected] == [
        (f"teraco-dbn/{NEWEST}", "bad: verify: 1 with a wrong checksum")
    ]


def test_of_two_alike_the_location_that_is_named_first_wins() -> None:
    here, there = seen(), seen(location=DURBAN)
    assert names(picked((there, {}), (here, {})))[:2] == [f"teraco-dbn/{NEWEST}", f"cloudprox/{NEWEST}"]


def test_what_did_not_answer_is_rejected_by_name() -> None:
    silent = Seen(location=DURBAN, at=NOW, silent="unreachable: no route to host")
    choice = picked((seen(), {}), (silent, {}))
    assert [(r.name, r.why) for r in choice.rejected] == [("teraco-dbn", "unreachable: no route to host")]


def test_a_gap_is_taken_only_when_the_loss_is_accepted_and_last() -> None:
    gap, whole = seen("walgap"), seen(location=VAULT)
    assert names(picked((gap, verified("walgap", gap)))) == []
    choice = picked((gap, verified("walgap", gap)), (whole, {}), accept_gap=True)
    assert [copy.location.name for copy in choice.order] == ["vault"] * 3 + ["cloudprox"] * 3
    first = seen("walfirst")
    taken = picked((first, verified("walfirst", first)), accept_gap=True)
    assert f"cloudprox/{NEWEST}" not in names(taken)  # it cannot become consistent at all


@pytest.mark.parametrize(
    ("wish", "left"),
    [
        ({"excepted": frozenset({f"cloudprox/{NEWEST}"})}, [MIDDLE, OLDEST]),
        ({"label": MIDDLE}, [MIDDLE]),
        ({"location": "elsewhere"}, []),
        ({"to": datetime(2026, 11, 24, 8, 56, 57, tzinfo=UTC)}, [MIDDLE, OLDEST]),
    ],
)
def test_wishes_leave_copies_out_and_say_why(wish: dict[str, object], left: list[str]) -> None:
    choice = picked((seen(), {}), **wish)
    assert [copy.backup.label for copy in choice.order] == left
    assert len(choice.rejected) == 3 - len(left)


def test_a_moment_that_the_wal_does_not_reach_is_refused() -> None:
    commit = datetime(2026, 11, 24, 8, 59, 30, tzinfo=UTC)
    where = replace(seen(), last_commits={"000000010000000000000016": commit})
    assert not picked((where, {}), to=commit + timedelta(seconds=1)).order
    assert len(picked((where, {}), to=commit - timedelta(seconds=1)).order) == 3


def test_the_lines_of_a_capture_never_change_their_order() -> None:
    there = replace(seen(), replicated_at=datetime(2026, 11, 24, 8, 58, tzinfo=UTC))
    assert choice_lines(judge(there, {}, {})[0], now=NOW).splitlines() == [
        "cloudprox", "cloudprox", NEWEST, "2026-11-24T08:56:59Z", "000000010000000000000016", "181", "26883779",
        "unproven", "main", str(5 * 1024 * 1024), "2026-11-24T08:56:59Z",
        "2026-11-24T08:58:00Z",
    ]  # fmt: skip
    assert choice_lines(judge(seen(), {}, {})[0], now=NOW).endswith("Z\n-\n"), "what is not known keeps its place"
