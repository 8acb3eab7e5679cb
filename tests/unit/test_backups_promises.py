"""What was promised of backups and what is kept of it; the listing, and the exposure by a restore."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drctl.backups.choose import Wish, choose
from drctl.backups.copies import Copy, Location, Restored, Seen, judge, outcomes
from drctl.backups.exposed import Archiver, exposure
from drctl.backups.info import Stanza
from drctl.backups.schedule import Promises, findings, nights
from drctl.backups.verify import parse_verify
from drctl.model.exposure import exposure_line
from drctl.model.inventory import BackupSchedule
from drctl.screens.copies import Listing, copy_json
from tests.support.copies import CASES, CLOUDPROX, DURBAN, NEWEST, NOW, VAULT, seen, verified

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
