"""``make crash``: kill drctl after every single event of the real failover, resume each time, and write the table.

    python -m tests.crash [--labs 2] [--table docs/reliability.md]

Needs root. Besides a kill after each event there is one in the middle of every step that changes something, and one
run in which every process is killed as soon as one thing has come to its end in it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.crash.kills import ROOT, Kill, Row, crash_lab
from tests.crash.table import write_table


def kills_of(whole: list[dict], changing: set[str]) -> list[Kill]:
    """After every event, and half-way through each run of a step that changes something."""
    found = [Kill(after=e["sequence"]) for e in whole]
    begun: dict[str, dict] = {}
    for event in whole:
        body = event["body"]
        if body.get("act") != "run" or body["step"] not in changing:
            continue
        if body["type"] == "attempt_started":
            begun[body["step"]] = event
        elif body["type"] == "attempt_finished":
            found.append(Kill(after=begun[body["step"]]["sequence"], delay_s=round(body["duration_s"] / 2, 2)))
    return found


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.crash")
    options.add_argument("--labs", type=int, choices=(1, 2), default=1, help="how many labs at once")
    options.add_argument("--table", type=Path, default=ROOT / "docs" / "reliability.md")
    options.add_argument("--part", default="0/1", help="only this part of the kills, as 0/2")
    options.add_argument("--rows", type=Path, help="put the rows into this file, and write no table")
    asked = options.parse_args()
    began = datetime.now(UTC)
    part, parts = map(int, asked.part.split("/"))
    with tempfile.TemporaryDirectory(prefix="drctl-crash-") as place:
        if asked.rows:
            return sweep(Path(place), part, parts, asked.rows)
        # A lab's settings come from the environment, so that each lab takes a process of its own.
        files = [Path(place) / f"{n}.rows" for n in range(asked.labs)]
        words = [sys.executable, "-m", "tests.crash", "--part"]
        running = [
            subprocess.Popen([*words, f"{n}/{asked.labs}", "--rows", str(file)], cwd=ROOT)
            for n, file in enumerate(files)
        ]
        codes = [process.wait() for process in running]
        write_table(asked.table, [row for file in files for row in rows_of(file)], began=began)
    return max(codes)


def rows_of(file: Path) -> list[Row]:
    """The rows that were written down."""
    return [Row(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def sweep(place: Path, part: int, parts: int, file: Path) -> int:
    """Every ``parts``-th kill, from ``part`` on; each row is written down at once, and not done again next time."""
    broken = False
    done = {row.kill for row in rows_of(file)}
    with crash_lab(place, suffix="b" * part) as bench, file.open("a") as out:

        def note(row: Row) -> None:
            nonlocal broken
            broken = broken or bool(row.problems)
            told = "; ".join(row.problems) or "recovered"
            sys.stdout.write(f"{row.kill:>12}  {row.at:<60} {told}  ({row.took_s:.0f} s)\n")
            sys.stdout.flush()
            out.write(json.dumps(asdict(row)) + "\n")
            out.flush()

        note(bench.measure_the_whole())
        if broken or bench.whole_evidence is None:
            return 1
        kills = kills_of(bench.whole, set(bench.whole_evidence.claimed))
        for kill in kills[part::parts]:
            if str(kill) not in done:
                note(bench.kill_once(kill))
        if part == parts - 1:
            note(bench.kill_again_and_again())
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
