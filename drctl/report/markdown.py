"""The report as Markdown, for a ticket, a wiki or a printer. What hosts and people wrote cannot become markup.

Text in a sentence or a table is escaped; scripts and outputs stand in code blocks whose fence is longer than any run
of backticks in them. Nothing in it is loaded from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from drctl.model.events import Outcome
from drctl.model.units import format_instant
from drctl.report import assurance_words, circumstances_words, words
from drctl.report.facts import HostRow, OutputRow, StepRow, Summary
from drctl.report.harmless import code, fenced, markdown, visible

LONGEST_CELL = 240


def render(summary: Summary) -> str:
    """The report: the verdict, the clocks, every step and its commands, and where it all comes from."""
    return "\n".join(_lines(summary)).rstrip() + "\n"


def _lines(summary: Summary) -> Iterator[str]:
    yield from _head(summary)
    yield from _objectives(summary)
    yield from _told("Exercise", circumstances_words.exercise(summary))
    yield from _trend(summary)
    yield from _times(summary)
    yield from _steps(summary)
    yield from _people(summary)
    yield from _findings(summary)
    yield from _commands(summary)
    yield from _origin(summary)


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table of cells that are Markdown already."""
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _cell(text: str) -> str:
    """Text of any kind as a cell; what is too long for one is in its code block, whole."""
    return markdown(text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + "…")


def _head(found: Summary) -> Iterator[str]:
    yield f"# {markdown(found.watermark)}: {markdown(found.runbook)} of {markdown(found.service)}"
    yield ""
    exit_code = "" if found.ongoing else f" (exit code {int(found.exit_code)}: {markdown(found.exit_meaning)})"
    yield f"**{markdown(found.headline)}**{exit_code}"
    yield ""
    if found.ongoing:
        last = format_instant(found.chain.last_at)
        yield f"> {words.going_on(found.conducted)}: its last event is of {last}. What follows may still change."
        yield ""
    title = f", {markdown(found.service_title)}" if found.service_title else ""
    yield f"- {markdown(found.title)}{title}"
    yield f"- run {code(found.run_id)}, mode **{found.mode.value.upper()}**"
    if found.reason:
        yield f"- reason: {markdown(found.reason)}"
    if found.way:
        yield f"- direction: {markdown(found.way)}"
    yield ""


def _objectives(found: Summary) -> Iterator[str]:
    yield "## Objectives"
    yield ""
    yield from _table(
        ("objective", "verdict", "actual", "target", "measured from"),
        (
            (name, f"**{reading.verdict}**", words.amount(reading.actual_s), words.amount(reading.target_s),
             markdown(reading.basis))
            for name, reading in (("RTO", found.rto), ("RPO", found.rpo))
        ),
    )  # fmt: skip
    if found.rpo.note:
        yield f"- {markdown(found.rpo.note)}"
    yield from (f"- {markdown(said)}" for said in words.deadline(found))
    if used := words.budget(found):
        yield f"- {markdown(used)}"
    if found.unprotected is not None:
        until = found.unprotected.until
        since = format_instant(found.unprotected.since)
        text = words.unprotected(found.unprotected, since=since, until=format_instant(until) if until else "")
        yield f"- {markdown(text)}"
    yield ""
    yield f"### True of the systems {'now' if found.ongoing else 'at the end'}"
    yield ""
    yield from (f"- {markdown(truth)}" for truth in found.truths)
    yield ""
    yield "Next:"
    yield ""
    yield from (f"- {markdown(hint)}" for hint in found.hints)
    if found.hints:
        yield ""
    yield fenced("\n".join(found.next_commands), "sh")
    yield ""


def _told(title: str, said: Iterable[str]) -> Iterator[str]:
    """A section of sentences."""
    yield from (f"## {title}", "", *(f"- {markdown(one)}" for one in said), "")


def _trend(found: Summary) -> Iterator[str]:
    if not found.trend:
        return
    yield from ("## Trend", "")
    names = ("start (UTC)", "mode", "restored in", "RTO", "RPO", "run", "head of its chain")
    yield from _table(names, ([markdown(c) for c in circumstances_words.trend_row(row)] for row in found.trend))
    yield from (f"Trend: {markdown(circumstances_words.trend_said(found))}.", "")


def _times(found: Summary) -> Iterator[str]:
    yield "## Clock"
    yield ""
    yield from _table(
        ("point", "UTC", markdown(found.timezone), "known from"),
        ((words.MARKS[c.mark], format_instant(c.at), markdown(c.local), markdown(c.source)) for c in found.clock),
    )
    yield f"The run took {words.amount(found.elapsed.run_s)}:"
    yield ""
    yield from _table(
        ("elapsed", "time"), ((name, words.amount(seconds)) for name, seconds in words.elapsed(found.elapsed))
    )


def _steps(found: Summary) -> Iterator[str]:
    yield "## Steps"
    yield ""
    names = ("#", "step", "host", "outcome", "start (UTC)", "end (UTC)", "took", "expected", "runs", "exit", "remark")
    yield from _table(names, (_step_row(step, host) for step in found.steps for host in step.hosts))


def _step_row(step: StepRow, host: HostRow) -> tuple[str, ...]:
    said = words.host_outcome(host)
    took = words.amount(host.duration_s)
    remark = host.detail if host.outcome in (Outcome.FAILED, Outcome.IN_DOUBT) else ""
    if host.why:
        remark = f"{host.who or 'nobody'}: {host.why}"
    return (
        str(step.number),
        f"{markdown(step.id)}: {markdown(step.name)}",
        markdown(f"{host.host} ({host.site}, {host.country})" if host.host else "operator's machine"),
        f"**{said}**" if said.isupper() else said,
        format_instant(host.started_at) if host.started_at else "-",
        format_instant(host.finished_at) if host.finished_at else "-",
        f"**{took}**" if host.slower_than_expected else took,
        words.amount(step.expected_s),
        str(host.runs or "-"),
        "-" if host.exit_code is None else str(host.exit_code),
        _cell(remark),
    )


def _people(found: Summary) -> Iterator[str]:
    yield from _told("People", circumstances_words.people(found))
    if not found.decisions:
        yield "No decision was asked for."
        yield ""
        return
    yield from _table(
        ("when (UTC)", "question", "about", "answer", "who", "why", "waited"),
        (
            (format_instant(d.at), str(d.question), markdown("@".join(p for p in (d.step, d.host) if p) +
             (f" ({d.fact})" if d.fact else "")), f"**{markdown(d.answer)}**", markdown(d.who or "nobody was there"),
             markdown("; ".join(said for said in (d.why, words.signature(d)) if said)), words.amount(d.waited_s))
            for d in found.decisions
        ),
    )  # fmt: skip


def _findings(found: Summary) -> Iterator[str]:
    yield "## Proofs"
    yield ""
    for proof in found.proofs:
        how = f"proved by {', '.join(proof.proved_by)}" if proof.proved_by else "**not proved**"
        if proof.overridden_by and not proof.proved_by:
            how += f"; {markdown(proof.overridden_by)} vouched for it: {markdown(proof.overridden_why)}"
        yield f"- {markdown(proof.fact)}: {how if how.startswith('**') else markdown(how)}"
    if not found.proofs:
        yield "The runbook asks for none."
    yield ""
    yield "## Not as planned"
    yield ""
    for deviation in found.deviations:
        about = "@".join(p for p in (deviation.step, deviation.host) if p)
        kind = deviation.kind.replace("_", " ")
        yield f"- **{kind}**{': ' + markdown(about) if about else ''}: {markdown(deviation.text)}"
    if not found.deviations:
        yield "Nothing."
    yield ""
    yield "## Findings and corrective actions"
    yield ""
    if found.findings:
        names = ("finding", "what", "to do", "owner", "state", "how it was closed")
        yield from _table(
            names,
            (
                (
                    markdown(f.id),
                    _cell(f.text),
                    _cell(f.action),
                    markdown(f.owner),
                    words.finding_state(f),
                    _cell(f.how),
                )
                for f in found.findings
            ),
        )  # fmt: skip
    else:
        yield from ("None is written down for this run, and none was open before it.", "")
    for title, told in assurance_words.sections(found):
        yield from _told(title, told)
    yield "## Limits of this evidence"
    yield ""
    yield from (f"- {markdown(limit)}" for limit in found.limits)
    yield ""


def _commands(found: Summary) -> Iterator[str]:
    yield "## Commands and outputs"
    yield ""
    for step in found.steps:
        for host in step.hosts:
            if host.started_at is not None:
                yield from _command(step, host)


def _command(step: StepRow, host: HostRow) -> Iterator[str]:
    sent = host.command
    yield f"### {step.number}. {markdown(step.id)} {markdown(words.where(sent, host.host))}"
    yield ""
    yield f"{markdown(step.name)} ({markdown(step.where)}), sha256 of the command {code(sent.sha256)}"
    yield ""
    head = [words.variable(v) for v in sent.variables]
    words_of = [f"positional parameters: {' '.join(sent.words)}"] if sent.words else []
    if head or words_of:
        yield fenced("\n".join((*head, *words_of)))
        yield ""
    yield fenced(sent.script, "sh" if sent.kind == "shell" else "text")
    yield ""
    if host.attempts:
        yield from _table(
            ("attempt", "start (UTC)", "took", "outcome", "exit", "detail"),
            (
                (f"{words.act(a.act)} {a.attempt}", format_instant(a.started_at), words.amount(a.duration_s),
                 words.outcome(a.outcome, begun=True), "-" if a.exit_code is None else str(a.exit_code),
                 _cell(a.detail))
                for a in host.attempts
            ),
        )  # fmt: skip
    yield from (f"{fenced(a.detail)}\n" for a in host.attempts if len(a.detail) > LONGEST_CELL)
    for name, value in host.captured:
        yield f"- captured {markdown(name)} = {_cell(value)}"
    if host.captured:
        yield ""
    yield from _output("standard output", host.output)
    yield from _output("standard error", host.errors)


def _output(name: str, output: OutputRow | None) -> Iterator[str]:
    if output is None:
        return
    withheld = ", withheld: the step is sensitive" if output.withheld else ""
    yield f"{name}: {output.bytes} bytes, sha256 {code(output.sha256)}{withheld}"
    yield ""
    if not output.withheld:
        yield fenced(visible(output.tail))
        yield ""


def _origin(found: Summary) -> Iterator[str]:
    yield from _told("Controller and clocks", circumstances_words.controllers(found))
    yield "## Where this comes from"
    yield ""
    rows = [
        ("runbook", markdown(found.runbook_source.path), code(found.runbook_source.sha256)),
        ("inventory", markdown(found.inventory_source.path), code(found.inventory_source.sha256)),
        ("plan", "", code(found.plan_digest)),
        ("journal", f"{found.chain.events} events, head of the hash chain", code(found.chain.head)),
    ]
    yield from _table(("what", "where", "sha256"), rows)
    if found.inputs:
        yield fenced("\n".join(words.variable(v) for v in found.inputs))
        yield ""
    made = format_instant(found.made_at)
    yield f"{markdown(found.watermark)}. Written by drctl {markdown(found.drctl_version)}'s plan; as of {made}."
