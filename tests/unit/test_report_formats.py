"""The report as text, Markdown and JSON: it fits, it is harmless, and its keys stay."""

from __future__ import annotations

import json as stdlib_json
import re
import sys
import xml.etree.ElementTree as xml
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from drctl.cli.main import execute
from drctl.errors import UsageError
from drctl.model.events import RunStarted
from drctl.report import assurance_words, html, json, junit, markdown, pdf, text
from drctl.report.facts import Summary
from drctl.report.summary import summarise
from tests.support import sample_runs as samples
from tests.support.journals import write_run

TOP_KEYS = (
    "format made_at run_id mode headline waits_for ongoing conducted ended exit_code runbook service service_title "
    "hints next_commands rto rpo unprotected forecast deadline clock elapsed inputs chain "
    "watermark ended_why exit_meaning title sla reason way truths yearly_budget_used timezone stretches "
    "exercise trend sessions repository host_clocks decisions proofs deviations findings backups residency "
    "drill_safety reconstitution coverage control_map notifications limits steps runbook_source inventory_source "
    "plan_digest drctl_version"
)


@pytest.fixture(params=sorted(samples.SAMPLES))
def summary(request: pytest.FixtureRequest) -> Summary:
    return summarise(samples.SAMPLES[request.param]())


@pytest.mark.parametrize("details", [False, True])
@pytest.mark.parametrize("width", [80, 120])
def test_text_fits(summary: Summary, width: int, details: bool) -> None:
    written = text.render(summary, width=width, details=details)
    assert [line for line in written.splitlines() if len(line) > width] == []
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b]", written)


def test_text_says_the_verdict_first(summary: Summary) -> None:
    lines = text.render(summary).splitlines()
    assert lines[1].startswith(f" {summary.watermark}: failover of acme")
    assert lines[5].startswith(summary.headline[:40])
    assert any(line.strip().startswith("RTO ") for line in lines[6:14])


def test_text_shows_what_failed() -> None:
    written = text.render(summarise(samples.paused_after_failure()))
    assert "> pg_ctl: server did not promote in time" in written
    assert "RPO OPEN 2.4s of 24h 00m" in written
    assert "02:00 until its copy" in " ".join(written.split())


def test_the_budget_of_the_year() -> None:
    used = "This outage used 6.4 % of the yearly 99.9 % budget (8.76 h)\n"
    assert used in text.render(summarise(samples.succeeded()))
    assert "so far; it is not known to be over" in text.render(summarise(samples.failed()), width=120)
    assert "budget" not in text.render(summarise(samples.drill()))
    assert "budget" not in text.render(summarise(samples.exercised())), "its outage was supposed"


def test_text_withholds(summary: Summary) -> None:
    assert "hunter2" not in text.render(summary, details=True)
    assert "hunter2" not in markdown.render(summary)
    assert "hunter2" not in json.render(summary)


def test_text_of_a_run_that_goes_on_says_so() -> None:
    found = summarise(samples.still_going())
    for render in (text.render, markdown.render):
        assert "This run goes on, or drctl died" in render(found)
        assert "This run goes on: its last event" in " ".join(render(replace(found, conducted=True)).split())
        assert "No drctl carries this run on" in render(replace(found, conducted=False))
    assert stdlib_json.loads(json.render(found))["exit_code"] is None


def test_markdown_is_only_our_markup(summary: Summary) -> None:
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown.render(summary))
    found = set(re.findall(r"<(\w+)", rendered))
    ours = {"h1", "h2", "h3", "p", "ul", "li", "strong", "code", "pre", "blockquote"}
    assert found <= ours | {"table", "thead", "tbody", "tr", "th", "td"}
    assert rendered.count("<h1>") == 1
    assert rendered.count("<h2>") == 12 + bool(summary.trend) + len(assurance_words.sections(summary))
    begun = sum(1 for s in summary.steps for h in s.hosts if h.started_at)
    assert rendered.count("<h3>") == begun + 1


def test_the_direction_that_was_found_is_in_each() -> None:
    first, *rest = samples.succeeded()
    assert isinstance(first.body, RunStarted)
    way = "acme goes from azure-db-1 to db-1: run <x> promoted azure-db-1"
    found = summarise((replace(first, body=replace(first.body, way=way)), *rest))
    assert f"direction: {way}" in " ".join(text.render(found).split())
    assert "direction: acme goes from" in markdown.render(found)
    assert "run &lt;x&gt; promoted" in html.render(found)
    assert found.way == way


def test_markdown_has_the_evidence() -> None:
    written = markdown.render(summarise(samples.succeeded()))
    for wanted in ("pg_ctl -D", "Africa/Johannesburg", "03:12:00 SAST", "1f" * 32, "withheld", "the CIO was called"):
        assert wanted in written
    assert samples.succeeded()[-1].sha256 in written


def test_json_keys_stay(summary: Summary) -> None:
    found = stdlib_json.loads(json.render(summary))
    assert list(found) == TOP_KEYS.split()
    assert found["format"] == 1
    assert json.render(summary).isascii()


def test_json_keys_of_a_step() -> None:
    found = stdlib_json.loads(json.render(summarise(samples.succeeded())))
    promote = next(s for s in found["steps"] if s["id"] == "promote")
    assert " ".join(promote["hosts"][0]) == (
        "host site country address outcome reason detail started_at finished_at duration_s slower_than_expected runs "
        "exit_code command attempts output errors captured who why"
    )
    assert promote["hosts"][0]["command"]["variables"][0] == {"name": "service", "text": "acme", "secret": None}
    assert found["rto"]["verdict"] == "met"
    assert found["proofs"][0]["holds"] is True
    assert found["clock"][0]["at"] == "2026-11-23T01:12:00Z"


def test_json_names_are_in_the_reference() -> None:
    """The reference page lists every key of the report."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "report.md").read_text()
    assert [key for key in TOP_KEYS.split() if f"`{key}`" not in page] == []


def test_junit_counts_what_happened(summary: Summary) -> None:
    suite = xml.fromstring(junit.render(summary).encode()).find("testsuite")  # noqa: S314 # our own
    assert suite is not None
    hosts = [host for step in summary.steps for host in step.hosts]
    by_outcome = {o: sum(1 for h in hosts if h.outcome == o) for o in ("failed", "in_doubt", "succeeded")}
    missed = [o.verdict for o in (summary.rto, summary.rpo)].count("missed")
    assert suite.get("tests") == str(len(hosts) + 2)
    assert suite.get("failures") == str(by_outcome["failed"] + missed)
    assert suite.get("errors") == str(by_outcome["in_doubt"])
    met = [o.verdict for o in (summary.rto, summary.rpo)].count("met")
    assert suite.get("skipped") == str(
        len(hosts) + 2 - by_outcome["succeeded"] - met - by_outcome["failed"] - missed - by_outcome["in_doubt"]
    )
    assert "hunter2" not in junit.render(summary)


def test_pdf_is_one_and_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = summarise(samples.hostile())
    assert pdf.render(found).startswith(b"%PDF-")
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(UsageError, match="a PDF needs WeasyPrint"):
        pdf.render(found)


@pytest.mark.parametrize(
    ("form", "begins"),
    [("text", "====="), ("html", "<!doctype html>"), ("md", "# REAL"), ("markdown", "# REAL"), ("json", "{"),
     ("junit", "<testsuites"), ("pdf", "%PDF-"), ("svg", "<svg")],
)  # fmt: skip
def test_each_format_goes_into_a_file(
    form: str, begins: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "state", samples.succeeded())
    target = tmp_path / "report"
    words = ["--state-dir", str(tmp_path / "state"), "report", "--format", form]
    assert execute([*words, "-o", str(target)]) == 0
    assert capsys.readouterr().out == ""
    assert begins.encode() in target.read_bytes()[:80]
    if form not in ("pdf", "json", "html", "md", "markdown", "text"):  # those say when they were made
        assert execute(words) == 0
        assert capsys.readouterr().out == target.read_text()
    assert execute([*words, "-o", str(tmp_path / "no" / "such")]) == 1
    assert "the report cannot be written: No such file" in capsys.readouterr().err
