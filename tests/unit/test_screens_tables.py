"""Errors, the list of runs, and how services stand."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from drctl.errors import DrctlError, ExitCode, UsageError
from drctl.model.events import Ended
from drctl.model.exposure import exposure_line
from drctl.model.words import Mark
from drctl.report.facts import ClockRow, Given, Summary
from drctl.report.summary import summarise
from drctl.screens import problems
from drctl.screens.tables import runs_json, runs_text, status_json, status_text
from tests.support import sample_plan
from tests.support import sample_runs as samples

ERROR = DrctlError(
    "the promotion \x1b[31mfailed",
    where="runbooks/failover.yml:8:5",
    state="the old primary is fenced\nnothing takes writes",
    hint="drctl resume x",
)


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, environ: dict[str, str], **more: bool) -> str:
    problems.show(ERROR, stream, environ=environ, **more)
    return stream.getvalue()


def test_an_error_says_all_four_things() -> None:
    assert shown(io.StringIO(), {}).splitlines() == [
        "error: the promotion ␛[31mfailed",
        "  at runbooks/failover.yml:8:5",
        "  Now:  the old primary is fenced",
        "        nothing takes writes",
        "  Next: drctl resume x",
    ]


def test_an_error_is_red_on_a_terminal_only() -> None:
    assert shown(FakeTerminal(), {"TERM": "xterm"}).startswith("\x1b[1;31merror: ")
    assert "\x1b" not in shown(FakeTerminal(), {"TERM": "xterm", "NO_COLOR": "1"})
    assert "\x1b" not in shown(FakeTerminal(), {"TERM": "dumb"})


def test_an_error_without_more() -> None:
    assert problems.text(UsageError("what?")) == "error: what?\n"


def test_an_error_for_programs() -> None:
    found = json.loads(shown(io.StringIO(), {}, as_json_line=True))
    assert found["exit_code"] == ExitCode.STEP_FAILED
    assert (found["type"], found["hint"]) == ("error", "drctl resume x")


@pytest.fixture(scope="module")
def all_runs() -> list[Summary]:
    return [summarise(make()) for make in samples.SAMPLES.values()]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_runs_fit(all_runs: list[Summary], width: int) -> None:
    lines = runs_text(all_runs, width=width).splitlines()
    assert len(lines) == len(all_runs) + 1
    assert max(len(line) for line in lines) <= width
    assert "MISSED 26h 00m" in lines[2]


def test_runs_of_a_pipe_are_not_cut(all_runs: list[Summary]) -> None:
    assert "NO-GO: nothing was changed, standby-lag said no" in runs_text(all_runs)


def test_runs_json_has_the_keys_of_the_report(all_runs: list[Summary]) -> None:
    found = json.loads(runs_json(all_runs))
    assert found[0]["rto"]["verdict"] == "met"
    assert found[0]["exit_code"] == 0
    assert found[9]["exit_code"] is None


def test_no_runs_yet() -> None:
    assert runs_text([]) == status_text([]) == "no runs yet\n"
    assert json.loads(runs_json([])) == json.loads(status_json([])) == []


def test_status_puts_an_open_run_first(all_runs: list[Summary]) -> None:
    paused = next(s for s in all_runs if s.run_id.endswith("paused"))
    text = status_text([all_runs[0], paused], width=80)
    assert "not over    20261123-013104-acme-paused" in text
    assert "next        drctl resume 20261123-013104-acme-paused" in text


def test_status_says_since_when_a_service_is_unprotected() -> None:
    events = samples.hostile()
    later = summarise(events, now=events[-1].at + timedelta(hours=2))
    assert "UNPROTECTED since 2026-11-23 01:44:22Z, for 2h 00m" in status_text([later], width=80)
    assert json.loads(status_json([later]))[0]["unprotected_since"].startswith("2026-11-23T01:44:22")
    healed = summarise(samples.succeeded())
    assert "UNPROTECTED" not in status_text([healed, later])
    drilled = summarise(samples.drill())
    assert "UNPROTECTED" in status_text([drilled, later])  # a drill protects nothing real


def test_status_says_from_when_to_when_a_service_was_unprotected_over_several_runs() -> None:
    """The failover ended before it was protected; another run did that."""
    failover = summarise(samples.hostile())
    other = summarise(samples.succeeded())
    at = next(row.at for row in failover.clock if row.mark is Mark.SERVICE_RESTORED)
    mended = replace(
        other,
        runbook="rebuild-standby",
        run_id="20261123-050000-acme-mend",
        clock=(ClockRow(mark=Mark.PROTECTED, at=at + timedelta(hours=3), local="", source="streaming"),),
    )
    said = status_text([mended, failover])
    assert "protected   since 2026-11-23 04:44:22Z (20261123-050000-acme-mend)" in said
    assert "before that unprotected from 2026-11-23 01:44:22Z, for 3h 00m" in said
    assert "UNPROTECTED" not in said
    (row,) = json.loads(status_json([mended, failover]))
    assert row["unprotected_since"] is None
    (period,) = row["unprotected"]
    assert (period["duration_s"], period["protected_by"]) == (3 * 3600, mended.run_id)
    assert period["restored_by"] == failover.run_id


@pytest.mark.parametrize(
    ("runbook", "given", "command"),
    [
        ("failover", {}, "drctl failback acme"),
        ("switchover", {"from": "primary", "to": "standby"},
         "drctl run rebuild-standby acme --input source=standby --input target=primary"),
        ("restore", {"target": "primary", "other": "standby"},
         "drctl run rebuild-standby acme --input source=primary --input target=standby"),
        ("failover", {"from": "standby", "to": "primary"},
         "drctl run rebuild-standby acme --input source=primary --input target=standby"),
        ("release-wal", {"from": "standby", "to": "primary"},
         "drctl run rebuild-standby acme --input source=standby --input target=primary"),
        ("failback", {}, "drctl run rebuild-standby acme --input source=primary --input target=standby"),
    ],
)  # fmt: skip
def test_what_to_type_for_a_service_that_is_unprotected(runbook: str, given: dict[str, str], command: str) -> None:
    bare = replace(
        summarise(samples.hostile()),
        service="acme",
        runbook=runbook,
        ended=Ended.FAILED,
        ongoing=False,
        inputs=tuple(Given(name=name, text=text, secret=None) for name, text in given.items()),
    )
    assert f"next        {command}\n" in status_text([bare])


def test_status_of_each_service() -> None:
    one = summarise(samples.succeeded())
    other = replace(one, service="zulu", service_title="Zulu Freight")
    text = status_text([one, other], width=80)
    assert text.startswith("acme (Acme Mining (Pty) Ltd)\n")
    assert "\nzulu (Zulu Freight)\n" in text
    assert [row["service"] for row in json.loads(status_json([one, other]))] == ["acme", "zulu"]


def test_a_run_that_nobody_conducts_is_not_said_to_go_on() -> None:
    left = summarise(samples.still_going(), conducted=False)
    text = status_text([left], width=0)
    assert "last event  2026-11-23 01:32:44Z: NOBODY CONDUCTS IT since 2026-11-23 01:32:44Z: 6 of 13" in text
    assert f"next        drctl resume {left.run_id}" in text
    assert "ABANDONED" in runs_text([left], width=80)
    assert json.loads(runs_json([left]))[0]["conducted"] is False
    assert "GOES ON" in runs_text([summarise(samples.still_going(), conducted=True)], width=80)


@pytest.mark.parametrize("width", [60, 80])
def test_status_fits(all_runs: list[Summary], width: int) -> None:
    assert max(len(line) for line in status_text(all_runs, width=width).splitlines()) <= width


@pytest.mark.parametrize("width", range(60, 100))
def test_a_command_of_a_service_with_hyphens_is_not_broken_in_its_name(width: int) -> None:
    one = replace(summarise(samples.succeeded()), service="taskflow-demo")
    exposed = {"taskflow-demo": exposure_line(None, now=sample_plan.START, service="taskflow-demo")}
    assert re.search(r"drctl\s+backups\s+taskflow-demo$", status_text([one], width=width, exposures=exposed), re.M)
