"""What it takes to read large journals: the report of a very long run, and listings over very many runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from drctl.cli.many import keep
from drctl.cli.settings import Settings
from drctl.errors import ExitCode
from tests.bench.measure import ROOT, Section
from tests.support.journals import write_large

STEPS, RUNS, STEPS_OF_EACH = 10_000, 1_000, 99


def large_journals(place: Path) -> Section:
    """The processor time and the most memory of each reading."""
    section = Section("Reading large journals")
    long, many = place / "long", place / "many"
    _apart(write_large, long, runs=1, steps=STEPS)
    _apart(write_large, many, runs=RUNS, steps=STEPS_OF_EACH)
    rows = [
        (f"`report --format {form}`, a run of {STEPS:,} steps", *_used(long, "report", "--format", form))
        for form in ("text", "html", "md", "json", "junit")
    ]
    world = ("--inventory", str(ROOT / "inventories" / "taskflow.example.yml"))
    journal = f"{RUNS:,} runs of {2 * STEPS_OF_EACH + 2} events"
    rows.append((f"`sla`, {journal} whose cards are lost", *_used(many, "sla")))
    (many / "cards.db").unlink()
    _apart(_as_each_run_does, many)
    for words in (("runs",), ("status",), ("history",), ("sla",), ("drill", "due", *world), ("findings",)):
        verb = " ".join(word for word in words if word not in world)
        rows.append((f"`{verb}`, {journal}, the first time", *_used(many, *words)))
    section.table(("command", "processor time", "peak memory"), rows)
    return section


def _apart(work: Callable[..., None], *args: Any, **words: Any) -> None:
    """In a process of its own: a command's peak memory counts that of the process which starts it, too."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        pool.submit(work, *args, **words).result()


def _as_each_run_does(state: Path) -> None:
    """Keep the cards of every run, as a run does when it ends."""
    settings = Settings(state_dir=state)
    with closing(settings.journal()) as journal:
        for run_id in journal.started():
            keep(settings, journal, run_id)


def _used(state: Path, *words: str) -> tuple[str, str]:
    """Seconds of the processor, and the peak, of a command of its own."""
    argv = [sys.executable, "-m", "drctl", "--state-dir", str(state), *words]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == (ExitCode.STEP_FAILED if "due" in words else ExitCode.DONE), words
    return f"{used.ru_utime + used.ru_stime:.1f} s", f"{used.ru_maxrss / 1024:.0f} MB"
