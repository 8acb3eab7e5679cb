"""The report as JUnit XML, for a dashboard of tests: each step on a host, and each objective, is a test case."""

from __future__ import annotations

import re

from junitparser import Attr, Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from drctl.engine.objectives import Verdict
from drctl.model.events import Outcome
from drctl.model.units import format_instant
from drctl.report import words
from drctl.report.facts import HostRow, Objective, StepRow, Summary
from drctl.report.harmless import visible

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Suite(TestSuite):
    timestamp = Attr("timestamp")


def render(summary: Summary) -> str:
    """One suite. Failed is a failure, in doubt an error; what was skipped, simulated or never begun is skipped."""
    suite = _Suite(_text(f"{summary.watermark}: {summary.runbook} of {summary.service}"))
    suite.timestamp = format_instant(summary.chain.first_at)
    for name, value in (
        ("run_id", summary.run_id),
        ("mode", summary.mode.value),
        ("headline", summary.headline),
        ("plan_digest", summary.plan_digest),
        ("head", summary.chain.head),
    ):
        suite.add_property(name, _text(value))
    cases = [_objective(name, found) for name, found in (("RTO", summary.rto), ("RPO", summary.rpo))]
    cases += [_step(step, host) for step in summary.steps for host in step.hosts]
    for case in cases:
        case.classname = _text(f"{summary.runbook}.{summary.service}")
    suite.add_testcases(cases)
    report = JUnitXml("drctl")
    report.add_testsuite(suite)
    written: bytes = report.tostring()  # type: ignore[no-untyped-call]
    return written.decode() + "\n"


def _text(text: str) -> str:
    """Text that XML can hold."""
    return _NO_XML.sub("\ufffd", visible(text))


def _objective(name: str, found: Objective) -> TestCase:
    case = TestCase(f"objective {name}", time=found.actual_s or 0.0)
    said = _text(f"{words.objective(name, found)}: {found.basis}")
    if found.verdict is Verdict.MISSED:
        case.result = [Failure(said, name)]
    elif found.verdict is not Verdict.MET:
        case.result = [Skipped(said)]
    return case


def _step(step: StepRow, host: HostRow) -> TestCase:
    where = f" @ {host.host}" if host.host else ""
    case = TestCase(_text(f"{step.number:03d} {step.id}{where}"), time=host.duration_s or 0.0)
    said = _text(host.detail or host.why or words.host_outcome(host))
    match host.outcome:
        case Outcome.SUCCEEDED:
            pass
        case Outcome.FAILED:
            case.result = [Failure(said, _text(str(host.reason or "failed")))]
        case Outcome.IN_DOUBT:
            case.result = [Error(said, "in doubt")]
        case _:
            case.result = [Skipped(said)]
    if host.output is not None and not host.output.withheld:
        case.system_out = _text(host.output.tail)
    if host.errors is not None and not host.errors.withheld:
        case.system_err = _text(host.errors.tail)
    return case
