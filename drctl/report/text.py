"""The report for the terminal: plain text in 80 columns, the verdict first."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from drctl.model.events import Outcome
from drctl.model.units import format_instant
from drctl.report import assurance_words, circumstances_words, words
from drctl.report.facts import HostRow, OutputRow, StepRow, Summary
from drctl.report.harmless import one_line, tail_lines

TAIL_LINES = 8
_LOUD = (Outcome.FAILED, Outcome.IN_DOUBT)


def render(summary: Summary, *, width: int = 80, details: bool = False) -> str:
    """The report as text. ``details`` adds each command as it was sent, each attempt, and all outputs' tails."""
    return "\n".join(line.rstrip() for line in _Writer(summary, max(40, width), details).lines()) + "\n"


def shorten(text: str, width: int) -> str:
    """Text of at most ``width`` characters, an ellipsis in place of what is left out."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


class _Writer:
    """Writes one summary, line by line."""

    def __init__(self, summary: Summary, width: int, details: bool) -> None:
        self.summary = summary
        self.width = width
        self.details = details

    def lines(self) -> Iterator[str]:
        yield from self._head()
        yield from self._objectives()
        yield from self._section("True of the systems now" if self._open else "True of the systems at the end")
        for truth in self.summary.truths:
            yield from self._item(truth)
        yield from self._section("Next")
        for hint in self.summary.hints:
            yield from self._item(hint)
        yield from (f"  {one_line(command)}" for command in self.summary.next_commands)
        yield from self._told("Exercise", circumstances_words.exercise(self.summary))
        yield from self._told("Trend", self._trend())
        yield from self._clock()
        yield from self._elapsed()
        yield from self._steps()
        yield from self._lists()
        yield from self._origin()

    @property
    def _open(self) -> bool:
        return self.summary.ongoing or bool(self.summary.ended and self.summary.ended.value == "paused")

    def _wrapped(self, text: str, *, indent: str = "  ", hang: str | None = None) -> Iterator[str]:
        later = indent if hang is None else hang
        yield from textwrap.wrap(
            one_line(text), self.width, initial_indent=indent, subsequent_indent=later, break_on_hyphens=False
        ) or [indent]

    def _item(self, text: str) -> Iterator[str]:
        return self._wrapped(text, indent="  - ", hang="    ")

    def _section(self, title: str) -> Iterator[str]:
        yield ""
        yield f"{title}"

    def _head(self) -> Iterator[str]:
        found = self.summary
        rule = "=" * self.width
        yield rule
        title = f" ({found.service_title})" if found.service_title else ""
        yield from self._wrapped(f"{found.watermark}: {found.runbook} of {found.service}{title}", indent=" ")
        yield from self._wrapped(f"run {found.run_id}", indent=" ")
        yield rule
        yield ""
        code = "" if found.ongoing else f" (exit code {int(found.exit_code)})"
        yield from self._wrapped(found.headline + code, indent="")
        if found.ongoing:
            last = format_instant(found.chain.last_at)
            text = f"{words.going_on(found.conducted)}: its last event is of {last}. What follows may still change."
            yield from self._wrapped(text, indent="")
        yield ""

    def _objectives(self) -> Iterator[str]:
        found = self.summary
        for name, reading in (("RTO", found.rto), ("RPO", found.rpo)):
            yield f"  {words.objective(name, reading)}"
            for text in (reading.basis, reading.note):
                if text:
                    yield from self._wrapped(text, indent="      ")
        for said in words.deadline(found):
            yield from self._wrapped(said)
        if used := words.budget(found):
            yield from self._wrapped(used)
        if found.unprotected is not None:
            until = found.unprotected.until
            text = words.unprotected(
                found.unprotected,
                since=format_instant(found.unprotected.since),
                until=format_instant(until) if until else "",
            )
            yield from self._wrapped(text)

    def _told(self, title: str, said: Iterable[str]) -> Iterator[str]:
        """A section of sentences; nothing at all when there are none."""
        lines = [line for one in said for line in self._item(one)]
        if lines:
            yield from self._section(title)
            yield from lines

    def _trend(self) -> Iterator[str]:
        if not self.summary.trend:
            return
        for row in self.summary.trend:
            when, mode, took, rto, rpo, run, head = circumstances_words.trend_row(row)
            yield f"{when} {mode}: restored in {took}, RTO {rto}, RPO {rpo}; run {run}, head {head}"
        yield circumstances_words.trend_said(self.summary)

    def _clock(self) -> Iterator[str]:
        yield from self._section("Clock")
        for row in self.summary.clock:
            yield f"  {words.MARKS[row.mark]:<17} {format_instant(row.at)}   {row.local}"
            yield from self._wrapped(row.source, indent=" " * 20)

    def _elapsed(self) -> Iterator[str]:
        yield from self._section(f"Elapsed: the run took {words.amount(self.summary.elapsed.run_s)}")
        for name, seconds in words.elapsed(self.summary.elapsed):
            yield f"  {name:<38} {words.amount(seconds):>9}"

    def _steps(self) -> Iterator[str]:
        yield from self._section("Steps")
        room = max(12, self.width - 50)
        yield f"  {'#':>3} {'step':<{room}} {'outcome':<10} {'took':>9} {'expected':>9} {'runs':>4}"
        for step in self.summary.steps:
            yield from self._step(step, room)

    def _step(self, step: StepRow, room: int) -> Iterator[str]:
        took = [h.duration_s for h in step.hosts if h.duration_s is not None]
        runs = max((h.runs for h in step.hosts), default=0)
        yield (
            f"  {step.number:>3} {shorten(step.id, room):<{room}} {words.step_outcome(step):<10} "
            f"{words.amount(max(took, default=None)):>9} {words.amount(step.expected_s):>9} {runs or '-':>4}"
        )
        for host in step.hosts:
            if self.details or host.outcome in (*_LOUD, Outcome.SKIPPED) or len(step.hosts) > 1:
                yield from self._host(step, host, several=len(step.hosts) > 1)

    def _host(self, step: StepRow, host: HostRow, *, several: bool) -> Iterator[str]:
        place = host.host or "operator's machine"
        state = words.host_outcome(host) if several else ""
        said = [p for p in (state, host.detail if self.details else shorten(one_line(host.detail), 240)) if p]
        if host.exit_code not in (None, 0) and "exit code" not in host.detail:
            said.append(f"exit code {host.exit_code}")
        if host.why:
            said.append(f"{host.who or 'nobody'}: {host.why}")
        if several or said or self.details:
            yield from self._wrapped(f"{place}: {', '.join(said)}" if said else place, indent=" " * 6, hang=" " * 8)
        if self.details:
            yield from self._command(step, host)
        if self.details or host.outcome in _LOUD:
            yield from self._output("stdout", host.output)
            yield from self._output("stderr", host.errors)

    def _command(self, step: StepRow, host: HostRow) -> Iterator[str]:
        deep = " " * 8
        sent = host.command
        yield from self._wrapped(f"{step.name}; {step.where}; {words.where(sent, host.host)}", indent=deep)
        for found in sent.variables:
            yield from self._wrapped(words.variable(found), indent=deep)
        yield from (f"{deep}| {shorten(line, self.width - 10)}" for line in tail_lines(sent.script, 200))
        if sent.words:
            yield from self._wrapped(f"words: {' '.join(sent.words)}", indent=deep)
        for row in host.attempts:
            ended = words.outcome(row.outcome, begun=True)
            took = words.amount(row.duration_s)
            yield f"{deep}{format_instant(row.started_at)} {words.act(row.act)} {row.attempt}: {ended}, {took}"
        for name, value in host.captured:
            yield from self._wrapped(f"captured {name} = {value}", indent=deep)

    def _output(self, name: str, output: OutputRow | None) -> Iterator[str]:
        if output is None:
            return
        deep = " " * 8
        if output.withheld:
            yield f"{deep}{name}: withheld, the step is sensitive ({output.bytes} bytes)"
            return
        for line in tail_lines(output.tail, TAIL_LINES):
            yield f"{deep}> {shorten(line, self.width - 10)}"
        if self.details:
            yield f"{deep}{name}: {output.bytes} bytes, sha256 {output.sha256[:16]}…"

    def _lists(self) -> Iterator[str]:
        found = self.summary
        yield from self._told("People", circumstances_words.people(found))
        yield from self._section("People's decisions")
        for taken in found.decisions:
            waited = f" (waited {words.amount(taken.waited_s)})"
            signed = f"; {words.signature(taken)}" if words.signature(taken) else ""
            yield from self._item(f"{format_instant(taken.at)} {words.decision(taken)}{waited}{signed}")
        if not found.decisions:
            yield "  none"
        if found.proofs:
            yield from self._section("Proofs")
        for proof in found.proofs:
            how = ", ".join(proof.proved_by) or (
                f"NOT PROVED: {proof.overridden_by} vouched for it: {proof.overridden_why}"
                if proof.overridden_by
                else "NOT PROVED"
            )
            yield from self._item(f"{proof.fact}: {how}")
        yield from self._section("Not as planned")
        for deviation in found.deviations:
            about = "@".join(p for p in (deviation.step, deviation.host) if p)
            kind = deviation.kind.replace("_", " ")
            yield from self._item(f"{kind}{': ' + about if about else ''}: {deviation.text}")
        if not found.deviations:
            yield "  nothing"
        yield from self._section("Findings and corrective actions")
        for finding in found.findings:
            said = f"{finding.id} ({words.finding_state(finding)}, {finding.owner}): {finding.text}"
            yield from self._item("; ".join(part for part in (said, finding.action, finding.how) if part))
        if not found.findings:
            yield "  none"
        for title, told in assurance_words.sections(found):
            yield from self._told(title, told)
        yield from self._section("Limits of this evidence")
        for limit in found.limits:
            yield from self._item(limit)

    def _origin(self) -> Iterator[str]:
        found = self.summary
        yield from self._told("Controller and clocks", circumstances_words.controllers(found))
        yield from self._section("Where this comes from")
        if found.reason:
            yield from self._wrapped(f"reason: {found.reason}")
        if found.way:
            yield from self._wrapped(f"direction: {found.way}")
        for name, document in (("runbook", found.runbook_source), ("inventory", found.inventory_source)):
            yield from self._wrapped(f"{name} {document.path}")
            yield f"    sha256 {document.sha256}"
        yield "  plan"
        yield f"    sha256 {found.plan_digest}"
        yield f"  journal: {found.chain.events} events, head of the hash chain"
        yield f"    sha256 {found.chain.head}"
        yield f"  drctl {one_line(found.drctl_version)}"
