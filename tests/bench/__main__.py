"""``make bench``: drctl beside what people would use otherwise, in one run. Ratios are printed; nothing fails by time.

python -m tests.bench [--page docs/performance.md]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.bench.measure import ROOT, Section, by_turns, cpu_seconds, machine, medians, ms, ratio
from tests.bench.readings import large_journals
from tests.bench.restores import restores
from tests.bench.steps import far, much_output, on_one_connection, through_a_jump_host

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


def start_up(place: Path) -> Section:
    """d: the processor time until a command has said what it has to say."""
    section = Section("Processor time of a command that needs no host")
    drctl = [sys.executable, "-m", "drctl"]
    base = "`python -c 'import typer'`"
    commands = {
        base: [sys.executable, "-c", "import typer"],
        "`drctl --help`": [*drctl, "--help"],
        "`drctl validate runbooks/failover.yml`": [*drctl, "validate", "runbooks/failover.yml"],
    }
    for words in commands.values():
        cpu_seconds(words, place)  # the first one compiles, as after an installation
    found = medians(by_turns({n: partial(cpu_seconds, w, place) for n, w in commands.items()}, rounds=9))
    section.table(("command", "median", "of the import"), [(n, ms(v), ratio(v, found[base])) for n, v in found.items()])
    return section


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.bench")
    options.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    page: Path = options.parse_args().page
    busy = os.getloadavg()[0]
    told = [f"{datetime.now(UTC):%Y-%m-%d}, on {machine()}; load before the run {busy:.1f}.", ""]
    sys.stdout.write(told[0] + "\n\n")
    with tempfile.TemporaryDirectory(prefix="drctl-bench-") as place:
        for measure in (start_up, on_one_connection, through_a_jump_host, far, much_output, restores, large_journals):
            room = Path(place) / measure.__name__
            room.mkdir()
            section = measure(room)
            told += [f"### {section.title}", "", *section.lines]
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(before + BEGIN + "\n" + "\n".join(told).rstrip() + "\n" + END + after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
