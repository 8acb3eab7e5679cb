"""What is noted around a run: the commit, the clocks, who was there, the dates, and the exercises before it."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue

import pytest

from drctl import __version__
from drctl.adapters import clocks
from drctl.adapters.clocks import own_clock, read_aside, reading_of
from drctl.adapters.repository import repository_of
from drctl.cli.main import execute
from drctl.errors import ExitCode
from drctl.model.circumstances import ClockReading
from drctl.model.units import parse_instant
from drctl.report import html, markdown, text, trend
from drctl.report.summary import summarise
from tests.support import sample_plan
from tests.support import sample_runs as samples

INVENTORY = """\
inventory: office
residency: ZA
sites:
  here: {{provider: TaskFlow, country: ZA, kind: office}}
hosts:
  {controller}: {{site: here, address: 192.0.2.1, user: drctl}}
  scratch: {{site: here, address: 192.0.2.3, user: drctl}}
services:
  acacia:
    title: Acacia
    roles: {{primary: {controller}, drill: scratch}}
drills: {{every: 30d, runbooks: [exercise]}}
"""
RUNBOOK = """\
runbook: exercise
title: An exercise
objectives: {rto: 4h}
steps:
  - {id: up, local: "true", marks: service_restored}
"""


def git(place: Path, *words: str) -> str:
    known = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *known, *words], cwd=place, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "programme"
    (place / "runbooks").mkdir(parents=True)
    (place / "inventories").mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("DRCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("DRCTL_INVENTORY", raising=False)
    monkeypatch.setattr("drctl.cli.circumstances.controller", lambda: "desk")
    Path("runbooks/exercise.yml").write_text(RUNBOOK)
    Path("inventories/office.yml").write_text(INVENTORY.format(controller="desk"))
    return place


def report(capsys: pytest.CaptureFixture[str], run: str = "") -> dict[str, object]:
    capsys.readouterr()
    assert execute(["report", *([run] if run else []), "--format", "json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_the_commit_and_what_is_in_no_commit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runbook, inventory = folder / "runbooks" / "exercise.yml", folder / "inventories" / "office.yml"
    elsewhere = folder.parent / "other.yml"
    found = repository_of(runbook, [runbook, inventory])
    assert (found.commit, found.why) == ("", "the runbook is in no git repository")
    git(folder, "init", "-q")
    assert repository_of(runbook, [runbook]).commit == ""  # there is no commit yet
    git(folder, "add", "runbooks")
    git(folder, "commit", "-q", "-m", "first")
    commit = git(folder, "rev-parse", "HEAD")
    found = repository_of(runbook, [runbook, elsewhere])
    assert (found.commit, found.dirty, found.uncommitted, found.why) == (commit, False, (), "")
    found = repository_of(runbook, [runbook, inventory])  # which git has never seen
    assert (found.dirty, found.uncommitted) == (True, ("inventories/office.yml",))
    (folder / ".gitignore").write_text("inventories\n")
    assert repository_of(runbook, [inventory]).uncommitted == ("inventories/office.yml",)
    other = folder / "runbooks" / "Büro 2.yml"
    other.write_text("not ours yet")
    assert repository_of(runbook, [other, runbook]).uncommitted == ("runbooks/Büro 2.yml",)
    runbook.write_text(RUNBOOK + "# another\n")
    assert repository_of(runbook, [runbook]).uncommitted == ("runbooks/exercise.yml",)
    assert repository_of(runbook, []).dirty, "a change of a document that is no part of this plan"
    monkeypatch.setenv("PATH", "")
    assert repository_of(runbook, [runbook]).why == "there is no git on this machine"


def test_what_the_kernel_says_of_its_clock() -> None:
    assert reading_of(offset=1500, maximum_error_us=20_000, status=0) == ClockReading(
        host="", offset_s=-0.0015, within_s=0.02
    )
    assert reading_of(offset=1500, maximum_error_us=20_000, status=0x2000).offset_s == pytest.approx(-1.5e-6)
    unknown = reading_of(offset=0, maximum_error_us=16_000_000, status=0x40)
    assert unknown.offset_s is None
    assert "nothing keeps its clock synchronised" in unknown.why
    here = own_clock()
    assert (here.offset_s is None) == bool(here.why), "of this very machine, whichever it is"


def test_a_clock_that_cannot_be_read_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "LIMIT_S", 0.2)
    never: SimpleQueue[ClockReading] = SimpleQueue()
    told: SimpleQueue[tuple[ClockReading, ...]] = SimpleQueue()

    def read(endpoint: object) -> ClockReading:
        host = endpoint.host  # type: ignore[attr-defined]
        if host == sample_plan.APP.host:
            raise OSError("a bug")
        return never.get() if host == sample_plan.PRIMARY.host else ClockReading(host=host, offset_s=0.5)

    read_aside((sample_plan.PRIMARY, sample_plan.STANDBY, sample_plan.APP), read, told.put)
    silent, good, broken = told.get(timeout=60)
    assert silent.why == "no answer within 0 s"
    assert good.offset_s == 0.5
    assert broken.why == "OSError: a bug"


def test_a_drill_notes_who_was_there_where_from_and_when_the_next_is_due(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    words = ["drill", "exercise", "acacia", "--yes", "--no-input"]
    more = ["--observer", "N. Dlamini", "--observer", "a guest", "--absent", "the DBA", "--scenario", "no power"]
    assert execute([*words, *more, "--exclude", "the firewall"]) == ExitCode.DONE
    found = report(capsys)
    noted = found["exercise"]
    assert isinstance(noted, dict)
    assert noted["observers"] == ["N. Dlamini", "a guest"]
    assert (noted["absent"], noted["scenario"], noted["excluded"]) == (["the DBA"], "no power", ["the firewall"])
    assert noted["programme"] == "never exercised"
    began = parse_instant(found["chain"]["first_at"])  # type: ignore[index]
    assert abs(parse_instant(noted["planned_at"]) - began) < timedelta(minutes=5)
    assert abs(parse_instant(noted["next_due_at"]) - began - timedelta(days=30)) < timedelta(minutes=5)
    (session,) = found["sessions"]  # type: ignore[misc]
    assert (session["site"], session["country"], session["drctl_version"]) == ("here", "ZA", __version__)
    assert set(session["clock"]) == {"host", "offset_s", "within_s", "why"}
    assert found["repository"]["commit"] == git(folder, "rev-parse", "HEAD")  # type: ignore[index]
    assert found["repository"]["dirty"] is False  # type: ignore[index]
    assert [row["run_id"] for row in found["trend"]] == [found["run_id"]]  # type: ignore[attr-defined,union-attr]
    assert (noted["changed"], noted["never"]) == ([], ["up"])
    assert [(line["service"], line["last_at"], line["due"]) for line in noted["programmed"]] == [("acacia", None, True)]
    # The second one knows the first, by the head of its chain; and nothing that happens later changes what it says.
    assert execute(words) == ExitCode.DONE
    second = report(capsys)
    before, itself = second["trend"]  # type: ignore[misc]
    assert (before["run_id"], before["head"]) == (found["run_id"], found["chain"]["head"])  # type: ignore[index]
    assert before["to_restore_s"] == found["trend"][0]["to_restore_s"]  # type: ignore[index]
    assert itself["run_id"] == second["run_id"]
    assert second["exercise"]["programme"] == "the period since the last one is over"  # type: ignore[index]
    shutil.rmtree(folder / ".git")
    Path("runbooks/exercise.yml").write_text(RUNBOOK.replace('"true"', '"true;"'))
    assert execute(words) == ExitCode.DONE
    again = report(capsys, str(second["run_id"]))
    for key in ("exercise", "trend", "sessions", "repository"):
        assert again[key] == second[key]
    assert report(capsys)["exercise"]["changed"] == ["up"]  # type: ignore[index]
    assert "is in no git repository" in report(capsys)["repository"]["why"]  # type: ignore[index]


def test_a_check_is_no_exercise_and_a_runbook_outside_the_programme_has_no_date(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["check", "exercise", "acacia", "--no-input"]) == ExitCode.DONE
    found = report(capsys)
    assert (found["exercise"], found["trend"]) == (None, [])
    Path("inventories/office.yml").write_text(INVENTORY.format(controller="bastion").replace("[exercise]", "[other]"))
    Path("runbooks/other.yml").write_text(RUNBOOK.replace("runbook: exercise", "runbook: other"))
    assert execute(["drill", "exercise", "acacia", "--yes", "--no-input"]) == ExitCode.DONE
    found = report(capsys)
    noted = found["exercise"]
    assert isinstance(noted, dict)
    assert (noted["planned_at"], noted["next_due_at"]) == (None, None)
    assert noted["programme"] == "exercise of acacia is in no programme"
    assert found["sessions"][0]["site"] == ""  # type: ignore[index]


def test_every_format_says_it() -> None:
    found = summarise(samples.exercised())
    pages = [" ".join(page.split()) for page in (text.render(found), markdown.render(found), html.render(found))]
    for said in (
        "scenario: The Johannesburg data centre has no power",
        "excluded: the client",
        "next due, if this one counts: 2027-02-23 01:31:04Z (2027-02-23 03:31:04 SAST)",
        "changed since they were last exercised, before this run: promote",
        "never exercised before this run: row-counts",
        "before this run: failover of acme: last exercised 2026-08-03, DUE",
        "before this run: restore of acme: never exercised, DUE",
        "before this run: failover of zebra: last exercised 2026-11-23, next 2026-12-02",
        "observers: N. Dlamini, internal audit",
        "absent, as a part of the exercise: the DBA on call",
        "approvers: sipho",
        "declared by thandi",
        "site teraco-cpt, ZA; drctl 0.1.0",
        "-0.0004 s off true time, as its kernel knows it (to within 0.0120 s)",
        "+3.2500 s off the controller",
        "not measured: unreachable",
        "git commit 4be14be1",
        "with changes that are in no commit",
        "the last took 13m 45s, quicker than usual (median 21m 50s)",
        "signature verified when it was given",
        "SHA256:jRdC0ffee",
    ):
        for page in pages:
            plain = page.replace("\\", "").replace("&#39;", "'")
            assert said in plain, said
    assert found.decisions[0].signed_plan == found.plan_digest
    assert found.decisions[0].signed_at == datetime(2026, 11, 23, 1, 31, 5, tzinfo=UTC)
    assert "was measured once, at the start" in " ".join(found.limits)


def test_a_chart_needs_two_and_keeps_its_gaps() -> None:
    runs = summarise(samples.exercised()).trend
    took, rto, rpo = trend.charts(runs, rto_s=14_400.0, rpo_s=86_400.0)
    assert [len(chart.bars) for chart in (took, rto, rpo)] == [4, 3, 4]
    assert [bar.standing for bar in rto.bars] == ["bad", "good", "good"]
    assert rto.bars[0].left > 250, "the first drill's RTO was not measured: its place stays free"
    assert rto.line == pytest.approx(14_400 / 15_000 * 96, abs=0.1)
    assert rpo.line is None, "the promise is far above what was lost"
    assert max(bar.height for bar in took.bars) == 96
    assert trend.charts(runs[-1:], rto_s=14_400.0, rpo_s=None) == ()
