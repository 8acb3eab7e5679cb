"""The table of the last whole sweep, as ``docs/reliability.md`` has it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tests.crash.kills import Row

BEGIN, END = "<!-- sweep -->", "<!-- /sweep -->"


def write_table(page: Path, rows: list[Row], *, began: datetime) -> None:
    """Put the rows between the page's two marks; everything around them is people's."""
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{table(rows, began)}{END}{after}")


def table(rows: list[Row], began: datetime) -> str:
    """Markdown; the kills in their order, the run that was not killed last."""
    killed = [row for row in rows if row.after]
    whole = next((row for row in rows if not row.after), None)
    good = sum(1 for row in killed if not row.problems)
    resumes = sum(row.resumes for row in killed)
    columns = list(whole.counts) if whole else []
    lines = [
        f"{began:%Y-%m-%d}: {len(killed)} failovers killed, {resumes} resumes, {good} recovered as they must, "
        f"{len(killed) - good} not.",
        "",
        "| killed after event | which was | " + " | ".join(columns) + " | found |",
        "|---|---|" + "---|" * len(columns) + "---|",
    ]
    for row in sorted(killed, key=lambda r: (r.kill == "every", r.after, r.kill)) + ([whole] if whole else []):
        found = [str(row.counts.get(c, "–")) for c in columns]
        lines.append(f"| {row.kill} | {row.at} | {' | '.join(found)} | {'; '.join(row.problems) or 'recovered'} |")
    return "\n".join(lines) + "\n"
