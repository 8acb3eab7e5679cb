"""Findings: opened with an owner and a due date, closed with a reason, kept as evidence, seen in the next report."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drctl.adapters.ledger import Ledger
from drctl.cli.main import execute
from drctl.report import corrective, html, markdown, text
from drctl.report.facts import Standing
from drctl.report.summary import summarise
from tests.support import sample_runs as samples
from tests.support.journals import write_run

HOSTILE = "<script>alert(1)</script> | \x1b[2J\u202e"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "state"
    monkeypatch.setenv("DRCTL_STATE_DIR", str(place))
    write_run(place, samples.succeeded())
    return place


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = execute(list(words))
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


def test_a_finding_lives_from_its_run_to_its_closure(capsys: pytest.CaptureFixture[str], state: Path) -> None:
    assert typed(capsys, "findings") == (0, "no findings are open\n", "")
    words = ["findings", "add", "the resize took 12 minutes", "--action", "keep it warm", "--owner", "thandi"]
    assert typed(capsys, *words, "--due", "2026-12-15")[:2] == (0, "acme-1\n")
    assert (
        typed(capsys, *words[:2], HOSTILE, "--owner", "sipho", "--due", "2026-11-01", "--run", "failover")[1]
        == "acme-2\n"
    )
    code, out, _ = typed(capsys, "findings", "acme")
    assert code == 0
    # The earliest due first.
    assert re.search(r"acme-2  OVERDUE since 2026-11-01  sipho\n.*\nacme-1  due 2026-12-15  thandi", out)
    assert "\x1b" not in out
    assert typed(capsys, "findings", "another-service")[1] == "no findings are open\n"

    assert typed(capsys, "findings", "close", "acme-1", "--how", "it is kept big, change 4711")[0] == 0
    assert "acme-1" not in typed(capsys, "findings")[1]
    rows = json.loads(typed(capsys, "findings", "--all", "--json")[1])
    closed = next(row for row in rows if row["id"] == "acme-1")
    assert (closed["standing"], closed["how"]) == ("closed", "it is kept big, change 4711")
    assert closed["run"] == samples.succeeded()[0].run_id
    assert "@" in closed["opened_by"]
    assert "@" in closed["closed_by"]

    for form in ("text", "md", "html", "json"):
        out = typed(capsys, "report", "--format", form)[1]
        assert "the resize took 12 minutes" in out
        assert "it is kept big, change 4711" in out
        assert "\x1b" not in out
    assert "<script" not in typed(capsys, "report", "--format", "html")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("close", "acme-9", "--how", "x"), "there is no finding 'acme-9'"),
        (("close", "acme-1", "--how", " "), "say what was done"),
        (("add", " ", "--owner", "x", "--due", "2026-12-01"), "needs a text and an owner"),
        (("add", "x", "--owner", "x", "--due", "tomorrow"), "does not match the format"),
        (("add", "x", "--owner", "x", "--due", "2026-12-01", "--run", "nothing"), "there is no run"),
        (("add", "x", "--due", "2026-12-01"), "--owner"),
    ],
)
def test_what_is_wrong_is_said(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = typed(capsys, "findings", *words)
    assert code in (1, 2)
    assert said in re.sub(r"[\s│]+", " ", err)
    assert out == ""


def test_it_is_closed_once(capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "findings", "add", "x", "--owner", "x", "--due", "2026-12-01")
    assert typed(capsys, "findings", "close", "acme-1", "--how", "done")[0] == 0
    code, _, err = typed(capsys, "findings", "close", "acme-1", "--how", "again")
    assert (code, "acme-1 was closed by" in err) == (2, True)


def test_the_next_report_shows_what_became_of_earlier_ones(state: Path) -> None:
    """Those that were open when the run began; one that was closed before is history."""
    events = samples.succeeded()
    began = events[0].at
    ledger = Ledger(state / "journal.db")
    opened = corrective.Opened(
        service="acme", run="an-earlier-run", text="t", action="", owner="o", due=began.date(), who="w"
    )
    for days in (9, 8, 7):
        corrective.open_finding(ledger, opened, now=began - timedelta(days=days))
    corrective.close_finding(ledger, "acme-1", how="h", who="w", now=began - timedelta(days=1))
    corrective.close_finding(ledger, "acme-2", how="h", who="w", now=began + timedelta(days=1))
    corrective.open_finding(ledger, opened, now=began + timedelta(days=2))  # of another run, after this one
    found = corrective.with_findings(summarise(events, now=began + timedelta(days=3)), ledger)
    assert [(f.id, f.standing) for f in found.findings] == [("acme-2", Standing.CLOSED), ("acme-3", Standing.OVERDUE)]
    assert "OVERDUE since 2026-11-23" in text.render(found)
    assert "acme-3" in markdown.render(found)
    assert "from an earlier run" in html.render(found)


def test_it_is_overdue_on_the_day_after_in_the_zone_of_the_service(state: Path) -> None:
    ledger = Ledger(state / "journal.db")
    due = datetime(2026, 12, 1, tzinfo=UTC)
    opened = corrective.Opened(service="acme", run="r", text="t", action="", owner="o", due=due.date(), who="w")
    corrective.open_finding(ledger, opened, now=due)
    late = datetime(2026, 12, 1, 22, 30, tzinfo=UTC)  # half past midnight in Johannesburg
    for zone, standing in (
        ("UTC", Standing.OPEN),
        ("Africa/Johannesburg", Standing.OVERDUE),
        ("No/Where", Standing.OPEN),
    ):
        assert [f.standing for f in corrective.all_findings(ledger, now=late, timezone=zone)] == [standing]


def test_the_ledger_is_append_only_and_a_change_is_found_out(capsys: pytest.CaptureFixture[str], state: Path) -> None:
    typed(capsys, "findings", "add", "x", "--owner", "x", "--due", "2026-12-01")
    with sqlite3.connect(state / "journal.db") as db:
        for verb in ("UPDATE notes SET at=at", "DELETE FROM notes"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(verb)
        db.execute("DROP TRIGGER notes_are_facts")
        db.execute("UPDATE notes SET body=replace(body, '2026-12-01', '2027-12-01')")
    db.close()
    code, _, err = typed(capsys, "findings")
    assert (code, "note 1 of the ledger is not as it was written" in err) == (1, True)
