"""``make bench``: drctl beside what people would use otherwise, in one run. Ratios are printed; nothing fails by time.

python -m tests.bench [--only SECTION ...] [--page docs/performance.md]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.bench import page
from tests.bench.failovers import failover
from tests.bench.measure import ROOT, Section, busy, by_turns, cpu_seconds, machine, medians, ms, ratio
from tests.bench.readings import large_journals
from tests.bench.restores import restores
from tests.bench.steps import far, much_output, on_one_connection, through_a_jump_host


def start_up(place: Path) -> Section:
    """d: the processor time until a command has said what it has to say."""
    section = Section("Processor time of a command that needs no host")
    drctl = [sys.executable, "-m", "drctl"]
    base = "`python -c 'import typer'`"
    commands = {
        base: [sys.executable, "-c", "import typer"],
        "`drctl --help`": [*drctl, "--help"],
        "`drctl validate`, the whole repository": [*drctl, "validate"],
        "`drctl validate failover`, with the runbooks that it calls": [*drctl, "validate", "failover"],
        "`drctl runs`": [*drctl, "--state-dir", str(place), "runs"],
    }
    for words in commands.values():
        cpu_seconds(words, place)  # the first one compiles, as after an installation
    found = medians(by_turns({n: partial(cpu_seconds, w, place) for n, w in commands.items()}, rounds=9))
    section.table(("command", "median", "of the import"), [(n, ms(v), ratio(v, found[base])) for n, v in found.items()])
    return section


SECTIONS: dict[str, Callable[[Path], Section]] = {
    "startup": start_up,
    "steps": on_one_connection,
    "jump": through_a_jump_host,
    "far": far,
    "output": much_output,
    "failover": failover,
    "restore": restores,
    "journals": large_journals,
}


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.bench")
    options.add_argument("--only", nargs="*", choices=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS))
    options.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    chosen = options.parse_args()
    file: Path = chosen.page
    commit = _commit()  # now: the page that is written below would make the tree another one
    for name in [name for name in SECTIONS if not chosen.only or name in chosen.only]:
        taken = _circumstances(commit)
        with tempfile.TemporaryDirectory(prefix="drctl-bench-") as place:
            sys.stdout.write(f"### {name}\n\n{taken}\n\n")
            section = SECTIONS[name](Path(place))
        # Written as they come: a section that fails takes nothing of the others with it.
        file.write_text(page.with_section(file.read_text(), name, [taken, "", *section.lines], section.title, SECTIONS))
    return 0


def _commit() -> str:
    words = ["git", "describe", "--always", "--dirty", "--abbrev=9", "--exclude=*"]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return said or "a commit that is not known"


def _circumstances(commit: str) -> str:
    """When, of what, where, and whether anybody else was at work there."""
    share = busy()
    others = "busy with other work: only the ratios say something" if share > 0.2 else "quiet"
    return (
        f"Taken {datetime.now(UTC):%Y-%m-%d %H:%M} UTC at {commit}, on {machine()}. "
        f"The machine was {others} ({share:.0%} of its processors in use before it, load {os.getloadavg()[0]:.1f})."
    )


if __name__ == "__main__":
    sys.exit(main())
