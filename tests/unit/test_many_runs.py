"""Readings of many runs: cards and their cache, the ledger of notes, service levels, and the history of exercises."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drctl.adapters.journal import JournalFile
from drctl.adapters.ledger import Ledger
from drctl.cli.main import execute
from drctl.cli.many import briefs, cards
from drctl.cli.settings import Settings
from drctl.engine.objectives import Verdict
from drctl.errors import ExitCode, JournalError
from drctl.model.events import Event
from drctl.model.plan import Mode
from drctl.plan.codec import from_json, to_json
from drctl.report.card import card_of
from drctl.report.facts import Brief
from drctl.report.service_level import Outage, Services, of_runs, standings, union
from drctl.report.summary import in_brief, summarise
from drctl.screens.history import bar
from drctl.screens.history import text as history_text
from tests.support import sample_runs
from tests.support.journals import write_run

NOW = datetime(2026, 11, 24, tzinfo=UTC)
WORLD = """inventory: here
residency: ZA
timezone: Africa/Johannesburg
sites: {jnb: {provider: X, country: ZA, kind: datacentre}}
hosts: {db: {site: jnb, address: 192.0.2.1}}
services: {acacia: {title: Acacia, sla: false, roles: {primary: db}}}
"""


def hour(of_day: float) -> datetime:
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=of_day)


def outage(since: float, until: float | None, service: str = "acacia") -> Outage:
    return Outage(service=service, since=hour(since), until=None if until is None else hour(until), source="run")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("DRCTL_INVENTORY", raising=False)
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def numbered(events: list[Event], number: int) -> list[Event]:
    """The same run under another id, as many days later as its number."""
    later = timedelta(days=number)
    run_id = f"{events[0].at + later:%Y%m%d-%H%M%S}-acme-{number:04x}"
    return [replace(event, run_id=run_id, at=event.at + later) for event in events]


def test_what_overlaps_counts_once() -> None:
    spans = [(hour(1), hour(3)), (hour(2), hour(4)), (hour(2), hour(2.5)), (hour(6), hour(7))]
    assert union(spans) == timedelta(hours=4)
    assert union([]) == timedelta()


def test_a_year_of_a_service() -> None:
    services = Services(titles={"acacia": "Acacia", "baobab": "Baobab", "dombeya": "D"}, covered={"dombeya": False})
    found = {
        s.service: s
        for s in standings([outage(0, 4), outage(3, 5), outage(0, 100, "dombeya")], services, year=2026, now=NOW)
    }
    acacia = found["acacia"]
    assert acacia.down_s == 5 * 3600
    assert acacia.allowed_s == pytest.approx(8.76 * 3600)
    assert acacia.left_s == pytest.approx(3.76 * 3600)
    assert acacia.used_after_another == pytest.approx(9 / 8.76)
    assert acacia.kept
    assert found["baobab"].down_s == 0
    assert found["baobab"].availability == 100
    assert found["dombeya"].kept, "outside the SLA nothing is broken"
    one = standings([outage(0, 9)], services, year=2026, now=NOW)[0]
    assert not one.kept


def test_an_outage_over_new_year_counts_in_both_years() -> None:
    over = Outage(
        service="acacia", since=datetime(2025, 12, 31, 22, tzinfo=UTC), until=datetime(2026, 1, 1, 1, tzinfo=UTC),
        source="note 1",
    )  # fmt: skip
    assert standings([over], Services(), year=2025, now=NOW)[0].down_s == 2 * 3600
    assert standings([over], Services(), year=2026, now=NOW)[0].down_s == 3600
    going_on = replace(over, since=NOW - timedelta(hours=2), until=None)
    assert standings([going_on], Services(), year=2026, now=NOW)[0].down_s == 2 * 3600


def test_only_real_runs_are_outages_and_the_one_that_restored_ends_them() -> None:
    done, drill = card_of(sample_runs.succeeded()), card_of(sample_runs.drill())
    assert done.outage_started is not None
    assert done.exercise
    assert drill.exercise
    assert not card_of(sample_runs.simulated()).exercise
    assert [o.source for o in of_runs([done, drill])] == [done.run_id]
    assert done.service_restored is not None
    gave_up = replace(done, run_id="earlier", service_restored=None)
    assert {o.until for o in of_runs([done, gave_up])} == {done.service_restored}
    assert of_runs([gave_up])[0].until is None


def test_the_ledger_is_a_chain(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    ledger = Ledger(path)
    first = ledger.append(kind="a", who="x", body={"n": 1}, at=NOW)
    second = Ledger(path).append(kind="b", who="y", body={"n": "ü"}, at=NOW)
    assert (second.number, second.previous) == (2, first.sha256)
    assert [note.body for note in ledger.notes("b")] == [{"n": "ü"}]
    with closing(sqlite3.connect(path)) as db:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute("UPDATE notes SET who='z'")
        db.execute("DROP TRIGGER notes_are_facts")
        db.execute("DROP TRIGGER notes_stay")
        db.execute("UPDATE notes SET who='z' WHERE number=1")
        db.commit()
    with pytest.raises(JournalError, match="note 1 of the ledger is not as it was written"):
        list(ledger.notes())
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE notes SET who='x' WHERE number=1")
        db.execute("DELETE FROM notes WHERE number=1")
        db.commit()
    with pytest.raises(JournalError, match="note 1 of the ledger"):
        list(ledger.notes())


def test_a_year_as_it_is_typed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = sample_runs.succeeded()
    service = card_of(events).service
    write_run(state, events)
    down_s = card_of(events).rto_actual_s
    assert down_s is not None
    assert execute(["sla", "--json", "--year", "2026"]) == ExitCode.DONE
    said = json.loads(capsys.readouterr().out)
    assert [(s["service"], s["down_s"]) for s in said["services"]] == [(service, pytest.approx(down_s))]
    assert [round(level["allowed_s"]) for level in said["levels"]] == [315360, 31536, 3154, 315, 32]
    times = ["--from", "2026-10-01T00:00Z", "--to", "2026-10-01T09:00Z"]
    assert execute(["sla", "declare", service, *times]) == ExitCode.USAGE
    assert execute(["sla", "declare", service, *times, "--reason", "a full disk"]) == ExitCode.DONE
    assert execute(["sla", service, "--year", "2026"]) == ExitCode.OBJECTIVE_MISSED
    out = capsys.readouterr().out
    assert "BROKEN by" in out
    assert "note 1  a full disk" in out
    taskflow_s_table = (
        "99 % 3.65 days, 99.9 % 8.76 hours, 99.99 % 52.56 minutes, 99.999 % 5.26 minutes, 99.9999 % 31.5 seconds."
    )
    assert "One recovery of 4 h uses 46% of a year's 99.9 %, 5.5 months' share of it." in out
    assert taskflow_s_table in out
    assert execute(["sla", "withdraw", "1", "--reason", "not ours"]) == ExitCode.DONE
    assert execute(["sla", "withdraw", "1", "--reason", "again"]) == ExitCode.USAGE
    assert execute(["sla", service, "--year", "2026"]) == ExitCode.DONE
    assert execute(["sla", "nobody"]) == ExitCode.USAGE
    later = ["--from", "2026-10-01T00:00Z", "--to", "2126-10-01T09:00Z", "--reason", "x"]
    assert execute(["sla", "declare", service, *later]) == ExitCode.USAGE
    assert "in the future" in capsys.readouterr().err


def test_services_of_the_inventory_are_there_without_any_run(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = Path(__file__).parents[2] / "inventories" / "taskflow.example.yml"
    assert execute(["sla", "-i", str(example), "--json"]) == ExitCode.DONE
    said = {s["service"]: s for s in json.loads(capsys.readouterr().out)["services"]}
    assert set(said) == {"acacia", "baobab", "cycad", "dombeya"}
    assert not said["dombeya"]["covered"]
    assert "allowed_s" not in said["dombeya"]


def test_the_history_of_exercises(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["history"]) == ExitCode.DONE
    assert "no exercise yet" in capsys.readouterr().out
    for number in range(3):
        write_run(state, numbered(sample_runs.drill(), number))
    write_run(state, numbered(sample_runs.no_go(), 5))
    assert execute(["history", "--json"]) == ExitCode.DONE
    rows = json.loads(capsys.readouterr().out)
    assert [row["mode"] for row in rows] == [Mode.DRILL] * 3
    assert [row["started_at"] for row in rows] == sorted(row["started_at"] for row in rows)
    assert execute(["history", "--last", "2"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "2 exercises" in out
    assert "as usual" in out
    assert execute(["history", "nobody"]) == ExitCode.DONE


@pytest.mark.parametrize("width", [80, 200, 0])
def test_the_trend_of_each_objective_is_drawn_and_no_verdict_is_cut_off(width: int) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    drill, missed = card_of(sample_runs.drill()), card_of(sample_runs.rpo_missed())
    found = [
        replace(
            card, run_id=f"20260{month}01-070000-acme-{month}f2a", started_at=began + timedelta(days=30 * month),
            rto_actual_s=rto_s, rto_verdict=Verdict.MISSED if rto_s and rto_s > 14_400 else card.rto_verdict,
        )
        for month, card, rto_s in ((1, drill, None), (2, missed, 16_000.0), (3, drill, 2_000.0))
    ]  # fmt: skip
    out = history_text(found, width=width)
    lines = out.splitlines()
    assert not width or max(map(len, lines)) <= width
    assert "4h 27m MISSED" in out
    assert "26h 00m MISSED" in out
    assert all(any(line.endswith(f"{month}f2a") for line in lines) for month in (1, 2, 3)), "each run can be asked for"
    assert "RTO    ·█▂  last 33m 20s of 4h 00m, median 2h 30m, worst 4h 27m" in lines
    assert "RPO    ▁█▁  last 2.4s of 24h 00m, median 2.4s, worst 26h 00m" in lines
    assert "\x1b" not in out


def test_a_bar_has_its_length() -> None:
    assert bar(10, 10, 20) == "█" * 20
    assert bar(5, 10, 20) == "█" * 10
    assert bar(0.01, 10, 20) == "▏"
    assert bar(None, 10, 20) == ""


def test_kept_cards_follow_the_journal(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = numbered(sample_runs.drill(), 1)
    write_run(state, events)
    assert execute(["history", "--json"]) == ExitCode.DONE
    once = capsys.readouterr().out
    with closing(sqlite3.connect(state / "cards.db")) as db:
        kept = db.execute("SELECT run_id, head FROM cards").fetchall()
        assert [row[0] for row in kept] == [events[0].run_id]
        # What is kept is really read: a card that is another one is what is shown.
        db.execute("UPDATE cards SET card = replace(card, '\"drill\"', '\"real\"')")
        db.commit()
    assert execute(["history", "--json"]) == ExitCode.DONE
    assert capsys.readouterr().out == once.replace('"drill"', '"real"')
    with closing(sqlite3.connect(state / "cards.db")) as db:
        db.execute("UPDATE cards SET head = 'old'")
        db.commit()
    assert execute(["history", "--json"]) == ExitCode.DONE
    assert capsys.readouterr().out == once
    (state / "cards.db").write_bytes(b"no database at all, but long enough to be looked at as if it were one" * 20)
    assert execute(["history", "--json"]) == ExitCode.DONE
    assert capsys.readouterr().out == once


def test_what_runs_have_in_common_is_kept_once_and_comes_back(state: Path) -> None:
    for number in range(3):
        write_run(state, numbered(sample_runs.drill(), number))
    write_run(state, numbered(sample_runs.no_go(), 5))
    settings = Settings(given=str(state))
    made = cards(settings)
    with closing(JournalFile(state / "journal.db")) as journal:
        assert made == [card_of(tuple(journal.events(run_id))) for run_id in journal.started()]
    assert all(card.steps for card in made)
    assert cards(settings) == made
    with closing(sqlite3.connect(state / "cards.db")) as db, db:
        assert db.execute("SELECT count(*) FROM shared").fetchone()[0] == len({card.steps for card in made}) == 2
        # What is kept is really read, and what cannot be read is made again.
        db.execute("UPDATE shared SET text = replace(text, '\"succeeded\"', '\"failed\"')")
    other = cards(settings)
    assert other != made
    assert [replace(card, steps=()) for card in other] == [replace(card, steps=()) for card in made]
    with closing(sqlite3.connect(state / "cards.db")) as db, db:
        db.execute("UPDATE shared SET text = 'nothing'")
        db.execute("UPDATE cards SET head = 'old' WHERE run_id = ?", (made[0].run_id,))
    assert cards(settings) == made


def test_a_run_leaves_its_cards_when_it_ends(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("inventory.yml").write_text(WORLD)
    Path("short.yml").write_text('runbook: short\ntitle: Short\nsteps: [{id: one, local: "true", read_only: true}]\n')
    assert execute(["run", "short.yml", "acacia", "-i", "inventory.yml", "--yes", "--no-input"]) == ExitCode.DONE
    settings = Settings(given=str(state))
    with closing(settings.journal()) as journal, closing(sqlite3.connect(settings.cards_path)) as db:
        (last,) = journal.last_sums()
        kept = db.execute("SELECT kind, run_id, head FROM cards ORDER BY kind").fetchall()
    assert kept == [("Brief", *last), ("RunCard", *last)]
    # From now on no event has to be read for a listing.
    monkeypatch.setattr(JournalFile, "events", None)
    assert [brief.headline for brief in briefs(settings, 20)] == ["DONE: no objective was missed"]
    assert [card.headline for card in cards(settings)] == ["DONE: no objective was missed"]


def test_what_is_told_of_a_run_that_is_over_is_kept_and_of_an_open_one_is_not(state: Path) -> None:
    over, going = sample_runs.succeeded(), sample_runs.still_going()
    going = [replace(event, run_id="20990101-000000-acme-0001") for event in going]
    write_run(state, over)
    write_run(state, going)
    settings = Settings(given=str(state))
    first, second = briefs(settings, 20)
    assert (first.run_id, first.conducted, first.over) == (going[0].run_id, False, False)
    with closing(sqlite3.connect(settings.cards_path)) as db, db:
        assert db.execute("SELECT run_id FROM cards").fetchall() == [(over[0].run_id,)]
        db.execute("UPDATE cards SET card = replace(card, 'DONE', 'WON')")
    assert briefs(settings, 2)[1].headline == second.headline.replace("DONE", "WON")
    assert [brief.run_id for brief in briefs(settings, 1)] == [going[0].run_id]


@pytest.mark.parametrize("sample", ["hostile", "succeeded", "aborted"])
def test_a_brief_that_is_kept_tells_of_now_and_in_the_words_of_the_report(sample: str) -> None:
    events = sample_runs.SAMPLES[sample]()
    brief = in_brief(events)
    assert brief.over
    kept = from_json(Brief, json.loads(json.dumps(to_json(brief))))
    for now in (events[-1].at + timedelta(hours=2), events[0].at):
        told = summarise(events, now=now)
        assert kept.at(now) == in_brief(events, now=now)
        assert all(getattr(told, field.name) == getattr(kept.at(now), field.name) for field in fields(Brief))


def test_a_file_of_cards_of_another_format_is_emptied(state: Path) -> None:
    write_run(state, sample_runs.drill())
    with closing(sqlite3.connect(state / "cards.db")) as db, db:
        db.execute("CREATE TABLE cards (run_id TEXT PRIMARY KEY, made_by TEXT, head TEXT, card TEXT)")
        db.execute("INSERT INTO cards VALUES ('x', 'x', 'x', 'x')")
    made = cards(Settings(given=str(state)))
    with closing(sqlite3.connect(state / "cards.db")) as db, db:
        assert db.execute("SELECT run_id FROM cards").fetchall() == [(card.run_id,) for card in made]
