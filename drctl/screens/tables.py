"""``drctl runs`` and ``drctl status``: many runs at a glance, in plain text that fits the terminal."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from drctl.engine.objectives import Verdict
from drctl.model.events import Ended, JsonObject
from drctl.model.units import format_duration, format_instant
from drctl.plan.codec import to_json
from drctl.report.facts import Brief, Objective
from drctl.report.harmless import one_line
from drctl.report.protection import cure, periods

WIDE = 120
LABEL = 14  # columns of a label in the status
_SHRINKS = ("verdict", "run")  # the columns that give way when a terminal is narrow


def runs_text(summaries: Sequence[Brief], *, width: int = 0) -> str:
    """A line a run, in the order given. ``width`` 0 cuts nothing."""
    if not summaries:
        return "no runs yet\n"
    if width and width < WIDE:
        names: tuple[str, ...] = ("run", "mode", "came to", "RTO", "RPO")
        return table(names, [_narrow(s) for s in summaries], width=width)
    names = ("run", "mode", "service", "took", "RTO", "RPO", "verdict")
    rows = [
        (
            s.run_id,
            s.mode.value.upper(),
            s.service,
            format_duration(s.elapsed.run_s),
            _short(s.rto),
            _short(s.rpo),
            s.headline,
        )
        for s in summaries
    ]
    return table(names, rows, width=width)


def _narrow(found: Brief) -> tuple[str, ...]:
    """What 80 columns hold; the run's id says the service and when it began."""
    return (found.run_id, found.mode.value.upper(), came_to(found), _short(found.rto), _short(found.rpo))


def came_to(found: Brief) -> str:
    """A run's end in a word, in capitals where a person has to look."""
    match found.ended:
        case None:
            return "ABANDONED" if found.conducted is False else "GOES ON"
        case Ended.DONE:
            return "done"
        case ended:
            return ended.value.upper().replace("_", "-")


def runs_json(summaries: Sequence[Brief]) -> str:
    """The same for programs: a list, its keys those of the report."""
    return json.dumps([_brief(s) for s in summaries], indent=2) + "\n"


def status_text(summaries: Sequence[Brief], *, width: int = 0, exposures: Mapping[str, str] | None = None) -> str:
    """How each service stands by its newest runs. ``summaries`` come newest first.

    ``exposures`` has for each service the line about what a restore would lose.
    """
    if not summaries:
        return "no runs yet\n"
    known = exposures or {}
    return "\n".join(_service_text(found, width, known.get(found[0].service, "")) for found in _by_service(summaries))


def status_json(summaries: Sequence[Brief], *, exposures: Mapping[str, str] | None = None) -> str:
    """The same for programs: a list with one member a service."""
    rows = []
    for found in _by_service(summaries):
        bare = periods(found)
        rows.append(
            {
                "service": found[0].service,
                "service_title": found[0].service_title,
                "last_run": _brief(found[0]),
                "open_runs": [s.run_id for s in found if _open(s)],
                "unprotected_since": to_json(bare[-1].since) if bare and bare[-1].until is None else None,
                "unprotected": [
                    {
                        "since": to_json(period.since),
                        "until": to_json(period.until),
                        "duration_s": period.lasts_s(found[0].made_at),
                        "restored_by": period.restored_by.run_id,
                        "protected_by": period.protected_by.run_id if period.protected_by else None,
                    }
                    for period in bare
                ],
                "exposure": (exposures or {}).get(found[0].service),
                "next_commands": list(_next(found)),
            }
        )
    return json.dumps(rows, indent=2) + "\n"


def table(names: Sequence[str], rows: Iterable[Sequence[str]], *, width: int) -> str:
    """Columns as wide as they must be; those that may shrink are cut with an ellipsis to fit ``width``."""
    cells = [[one_line(c) for c in row] for row in rows]
    widths = [max(len(n), *(len(row[i]) for row in cells)) for i, n in enumerate(names)]
    over = sum(widths) + 2 * (len(names) - 1) - width if width else 0
    for name in _SHRINKS:
        if name in names and over > 0:
            column = names.index(name)
            given = min(over, widths[column] - 8)
            widths[column] -= given
            over -= given
    lines = ["  ".join(_cell(c, w) for c, w in zip(row, widths, strict=True)) for row in (list(names), *cells)]
    return "".join((line.rstrip() if not width else line.rstrip()[:width]) + "\n" for line in lines)


def _cell(text: str, width: int) -> str:
    return (text if len(text) <= width else text[: width - 1] + "…").ljust(width)


def _short(objective: Objective) -> str:
    if objective.verdict is Verdict.NOT_MEASURED or objective.actual_s is None:
        return "-"
    word = {Verdict.MET: "met", Verdict.MISSED: "MISSED"}.get(objective.verdict, "")
    return f"{word} {format_duration(objective.actual_s)}".strip()


def _brief(found: Brief) -> JsonObject:
    keys = (
        "run_id", "mode", "service", "runbook", "headline", "waits_for", "ongoing", "conducted", "ended", "rto", "rpo",
        "unprotected", "forecast", "deadline", "next_commands",
    )  # fmt: skip
    started: JsonObject = {key: to_json(getattr(found, key)) for key in keys}
    code = None if found.ongoing else int(found.exit_code)
    times = {"started_at": to_json(found.chain.first_at), "last_at": to_json(found.chain.last_at)}
    return started | times | {"exit_code": code}


def _by_service(summaries: Sequence[Brief]) -> list[list[Brief]]:
    groups: dict[str, list[Brief]] = {}
    for found in summaries:
        groups.setdefault(found.service, []).append(found)
    return list(groups.values())


def _open(found: Brief) -> bool:
    return found.ended in (None, Ended.PAUSED)


def _next(found: Sequence[Brief]) -> tuple[str, ...]:
    """An open run first: nothing else of that service can begin beside it. Then what protects the service again."""
    waiting = next((s for s in found if _open(s)), None)
    if waiting is not None:
        return waiting.next_commands
    bare = periods(found)
    protect = cure(bare[-1]) if bare else ""
    return tuple(dict.fromkeys(command for command in (protect, *found[0].next_commands) if command))


def _protection(found: Sequence[Brief]) -> list[str]:
    """Since when the service has no second copy; or from when to when it last had none, and who ended that."""
    bare = periods(found)
    if not bare:
        return []
    last = bare[-1]
    since, lasted = format_instant(last.since), format_duration(last.lasts_s(found[0].made_at))
    if last.until is None or last.protected_by is None:
        return [f"  UNPROTECTED since {since}, for {lasted} ({last.restored_by.run_id})"]
    until, by = format_instant(last.until), last.protected_by.run_id
    return [f"  protected   since {until} ({by}); before that unprotected from {since}, for {lasted}"]


def _service_text(found: Sequence[Brief], width: int, exposure: str) -> str:
    last = found[0]
    title = f" ({last.service_title})" if last.service_title else ""
    state = "paused" if _open(last) else "ended"
    if last.ongoing:
        state = "last event" if last.conducted is False else "goes on"
    lines = [
        f"{last.service}{title}",
        f"  last run    {last.run_id} ({last.mode.value.upper()} {last.runbook})",
        f"  {state:<11} {format_instant(last.chain.last_at)}: {last.headline}",
    ]
    if last.waits_for:
        lines.append(f"  waits for   {last.waits_for}")
    if last.deadline is not None and last.deadline.text:
        lines.append(f"  deadline    {last.deadline.text}")
    lines += [f"  not over    {s.run_id}: {s.headline}" for s in found[1:] if _open(s)]
    lines += _protection(found)
    if exposure:
        lines.append(f"  RPO         {exposure}")
    lines += [f"  do          {hint}" for hint in last.hints]
    lines += [f"  {'next' if n == 0 else '':<11} {command}" for n, command in enumerate(_next(found))]
    return "".join(_fit(line, width) + "\n" for line in lines)


def _fit(line: str, width: int) -> str:
    """A label and what is said of it, wrapped under itself; ``width`` 0 wraps nothing."""
    label, said = (line[:LABEL], line[LABEL:]) if line.startswith("  ") else ("", line)
    clean = one_line(said)
    if not width:
        return label + clean
    room = max(LABEL + 16, width)
    hang = " " * len(label)
    # A service's name has hyphens, and stands in commands that are to be typed.
    wrapped = textwrap.wrap(clean, room, initial_indent=label, subsequent_indent=hang, break_on_hyphens=False)
    return "\n".join(wrapped) or label
