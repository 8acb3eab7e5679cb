"""The verdict on a copy, the choice between copies, and the promises, from real answers of pgBackRest."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drctl.backups.choose import Choice, Wish, choose
from drctl.backups.copies import Copy, Location, Restored, Seen, Trust, Verified, judge, outcomes
from drctl.backups.exposed import Archiver, exposure
from drctl.backups.info import Stanza, parse_info
from drctl.backups.schedule import Promises, findings, nights
from drctl.backups.verify import parse_verify
from drctl.backups.wal import parse_listing
from drctl.model.exposure import exposure_line
from drctl.model.inventory import BackupSchedule
from drctl.screens.copies import Listing, choice_lines, copy_json

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


# The promises

SCHEDULE = BackupSchedule(at="02:00", regions=2, physical=True)
PROMISED = Promises(
    schedule=SCHEDULE, rpo_s=86_400.0, residency="ZA", primary_sites=frozenset({"xneelo-jnb"}),
    timezone="Africa/Johannesburg",
)  # fmt: skip


def week(location: Location, *, last: datetime, count: int = 7) -> Seen:
    """Nightly backups with the newest at ``last``; each is a real one, at another time."""
    stanza = seen().stanza
    assert stanza
    backups = tuple(
        replace(
            stanza.backups[-1],
            label=f"{last - timedelta(days=number):%Y%m%d-%H%M%S}F",
            started_at=last - timedelta(days=number),
            consistent_at=last - timedelta(days=number) + timedelta(minutes=6),
        )
        for number in reversed(range(count))
    )
    return replace(
        seen(location=location),
        stanza=Stanza(backups=backups, problem="", backup_running=False),
        listings={b.label: "sum" for b in backups},
        replicated_at=backups[-1].consistent_at + timedelta(minutes=12) if location.replica_of else None,
    )


TWO_AT_NIGHT = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)  # 02:00 in Johannesburg


def all_places(**changes: Seen) -> list[Seen]:
    usual = {one.name.replace("-", "_"): week(one, last=TWO_AT_NIGHT) for one in (CLOUDPROX, DURBAN, VAULT)}
    return list({**usual, **changes}.values())


def kinds(places: list[Seen], promised: Promises = PROMISED, now: datetime = NOW) -> list[str]:
    sound = parse_verify((CASES / "clean.verify.txt").read_text())
    copies: list[Copy] = []
    for where in places:
        said = {}
        for backup in where.stanza.backups if where.stanza else ():
            checked = replace(sound, backups=(replace(sound.backups[0], name=backup.label),))
            said |= {o.label: o for o in outcomes(where, checked, at=now, how="verify") if o.label == backup.label}
        copies += judge(replace(where, at=now), said, {})
    return [f"{f.kind} {f.location}".strip() for f in findings(places, copies, promised, now)]


def test_a_week_at_three_places_keeps_every_promise() -> None:
    assert kinds(all_places()) == []


def test_a_night_that_did_not_happen_and_nights_that_are_not_kept() -> None:
    late = week(CLOUDPROX, last=TWO_AT_NIGHT - timedelta(days=1))
    assert kinds(all_places(cloudprox=late)) == ["missed cloudprox", "few-nights cloudprox"]
    few = week(CLOUDPROX, last=TWO_AT_NIGHT, count=3)
    assert kinds(all_places(cloudprox=few)) == ["few-nights cloudprox"]


def test_a_backup_is_not_missed_before_it_must_have_ended() -> None:
    eleven_hours = TWO_AT_NIGHT + timedelta(days=1, hours=1, minutes=59)
    assert not [k for k in kinds(all_places(), now=eleven_hours) if "missed" in k]
    assert "missed cloudprox" in kinds(all_places(), now=eleven_hours + timedelta(minutes=2))


def test_a_backup_at_noon_is_not_the_one_of_two_at_night() -> None:
    noon = week(CLOUDPROX, last=TWO_AT_NIGHT + timedelta(hours=8, minutes=-30))
    assert "missed cloudprox" in kinds(all_places(cloudprox=noon))


def test_a_replica_that_is_behind_is_said() -> None:
    stale = week(DURBAN, last=TWO_AT_NIGHT - timedelta(days=2))
    assert "behind teraco-dbn" in kinds(all_places(teraco_dbn=stale))


def test_regions_and_the_physical_copy() -> None:
    gone = Seen(location=DURBAN, at=NOW, silent="unreachable: no answer")
    assert kinds(all_places(teraco_dbn=gone)) == ["not-asked teraco-dbn", "regions"]
    gone = Seen(location=VAULT, at=NOW, silent="unreachable: no answer")
    assert kinds(all_places(vault=gone)) == ["not-asked vault", "physical"]


def test_a_lost_site_a_copy_abroad_and_copies_at_the_primarys_site_only() -> None:
    lost = Seen(location=replace(DURBAN, lost=True), at=NOW, silent="it stands at the lost site")
    assert "lost teraco-dbn" in kinds(all_places(teraco_dbn=lost))
    abroad = week(replace(DURBAN, country="DE"), last=TWO_AT_NIGHT)
    assert kinds(all_places(teraco_dbn=abroad)) == ["abroad teraco-dbn"]
    own = replace(PROMISED, schedule=None, primary_sites=frozenset({"cloudprox"}))
    assert kinds([week(CLOUDPROX, last=TWO_AT_NIGHT)], own) == ["one-site cloudprox"]


def test_an_rpo_that_a_restore_could_not_keep_and_no_copy_at_all() -> None:
    assert "rpo" in kinds(all_places(), replace(PROMISED, schedule=None), now=NOW + timedelta(days=1))
    assert kinds([Seen(location=CLOUDPROX, at=NOW, silent="off")]) == [
        "none",
        "not-asked cloudprox",
        "regions",
        "physical",
    ]


def test_the_nights_that_count() -> None:
    found = nights(SCHEDULE, "Africa/Johannesburg", NOW, after_s=SCHEDULE.within)
    assert [f"{night:%d %H:%M %z}" for night in found][:2] == ["24 02:00 +0200", "23 02:00 +0200"]
    assert len(found) == 7


@pytest.mark.parametrize("width", [0, 80, 200])
def test_the_listing_says_of_each_copy_all_that_decides_whether_it_can_be_restored_tonight(width: int) -> None:
    commit = {"000000010000000000000016": datetime(2026, 11, 24, 8, 59, 30, tzinfo=UTC)}
    here = replace(seen(), last_commits=commit)
    gap, gone = seen("walgap", location=DURBAN), seen(location=VAULT, gone=(NEWEST,))
    tested = {
        NEWEST: Restored(location="cloudprox", label=NEWEST, at=NOW - timedelta(days=2), run_id="4f2a", mode="drill")
    }
    copies = [*judge(here, verified("clean", here, NOW), tested), *judge(gap, {}, {}), *judge(gone, {}, {})]
    places = [here, gap, gone]
    exposed = exposure(places, copies, None, primary_sites=frozenset(), now=NOW)
    listing = Listing(service="acacia", now=NOW, timezone="Africa/Johannesburg", rpo_s=86_400.0)
    text = listing.text(places, copies, findings(places, copies, PROMISED, NOW), exposed, width=width)
    longest = max(len(line) for line in text.splitlines())
    assert longest <= width or not width
    whole = " ".join(text.split())
    for said in (
        "cloudprox (Johannesburg, ZA)", "teraco-dbn (Durban, ZA), a copy of cloudprox",
        f"{NEWEST} proven consistent at 2026-11-24 10:56 SAST (3m 01s ago), 26.9 MB; "
        "WAL unbroken to 000000010000000000000016 "
        "restored now it would lose 30s (last commit in its WAL: 2026-11-24 10:59 SAST) "
        "verified 0.0s ago by verify; restored 2d 00h ago (drill, run 4f2a)",
        f"{NEWEST} BAD (WAL 000000010000000000000014 is missing: recovery would end before it; never verified)",
        "WAL breaks off before 000000010000000000000014",
        f"{NEWEST} BAD (its directory or its manifest is gone, though the repository lists it; never verified)",
        "it cannot be restored never verified; never restored by drctl",
        f"now 30s, from cloudprox/{NEWEST} (proven)",
        "missed cloudprox: the backup of 2026-11-24 02:00 did not happen",
        "few-nights teraco-dbn: 0 of the last 7 nights are here",
    ):  # fmt: skip
        assert said in whole, said
    rpos = {(c.location.name, c.backup.label): copy_json(c, now=NOW)["rpo_s"] for c in copies}
    assert rpos["vault", NEWEST] is None
    assert rpos["cloudprox", NEWEST] == 30.0


# The exposure


def test_the_exposure_now_and_at_the_worst_moment_of_the_day() -> None:
    commit = NOW - timedelta(seconds=40)
    places = all_places(cloudprox=replace(week(CLOUDPROX, last=TWO_AT_NIGHT), last_commits={"0" * 24: commit}))
    end = "000000010000000000000016"
    places[0] = replace(places[0], last_commits={end: commit})
    copies = [copy for where in places for copy in judge(where, {}, {})]
    archiver = Archiver(archive_timeout_s=60.0, archived=end, archived_at=commit + timedelta(seconds=3))
    found = exposure(places, copies, archiver, primary_sites={"xneelo-jnb"}, now=NOW)
    assert found.exposed_s(NOW) == 40.0
    assert found.nightly_s(NOW) == (NOW - TWO_AT_NIGHT).total_seconds() - 360
    assert (found.backup_s, found.replication_s) == (360.0, 720.0)
    assert (found.nightly_worst_s, found.wal_worst_s) == (86_400.0 + 360 + 720, 63.0)
    assert exposure_line(found, now=NOW, service="acacia") == (
        "exposure by a restore: at most 40s (cloudprox/20261124-000000F, consistent 2026-11-24 00:06:00Z, "
        "and WAL after it); worst of the day 24h 18m by nightly backups alone, 1m 03s with archived WAL"
    )


def test_an_archiver_that_fails_promises_nothing_and_nothing_measured_says_what_to_type() -> None:
    places = all_places()
    copies = [copy for where in places for copy in judge(where, {}, {})]
    archiver = Archiver(archive_timeout_s=60.0, failing=True)
    assert exposure(places, copies, archiver, primary_sites=set(), now=NOW).wal_worst_s is None
    assert "archiving" in [f.kind for f in findings(places, copies, PROMISED, NOW, archiver)]
    assert exposure_line(None, now=NOW, service="acacia").endswith("not measured: type drctl backups acacia")


def test_copies_at_the_primarys_own_site_do_not_count() -> None:
    found = exposure([seen()], judge(seen(), {}, {}), None, primary_sites={"cloudprox"}, now=NOW)
    assert found.exposed_s(NOW) is None
    assert "NO usable copy" in exposure_line(found, now=NOW, service="acacia")


def test_the_reference_page_knows_every_member_and_every_finding() -> None:
    from drctl.screens.copies import choice_json, listing_json

    page = (Path(__file__).parents[2] / "docs" / "reference" / "backups.md").read_text()
    where = replace(seen(), at=NOW)
    copies = judge(where, verified("clean", where), {})
    found = exposure([where], copies, None, primary_sites=set(), now=NOW)
    told = listing_json([where], copies, findings([where], copies, PROMISED, NOW), found, service="acacia", now=NOW)
    chosen = choice_json(choose([where], copies, Wish()), service="acacia", now=NOW)
    names = {*told, *chosen, *told["exposure"], *told["locations"][0], *told["copies"][0], *told["findings"][0]}  # type: ignore[call-overload,index]
    assert sorted(name for name in names if f"`{name}`" not in page) == []
    source = (Path(__file__).parents[2] / "drctl" / "backups" / "schedule.py").read_text()
    kinds_in_code = set(re.findall(r'"([a-z-]+)"', " ".join(re.findall(r"kind=.*", source))))
    assert len(kinds_in_code) == 14
    assert sorted(kind for kind in kinds_in_code if f"`{kind}`" not in page) == []
