"""Timing side by side: the ways take turns, so that a busy moment of the machine meets them all."""

from __future__ import annotations

import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass
class Section:
    """A part of the page: its lines, and the same on standard output as they come."""

    title: str
    lines: list[str] = field(default_factory=list)

    def say(self, line: str = "") -> None:
        self.lines.append(line)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def table(self, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        for row in (head, ("---",) * len(head), *rows):
            self.say("| " + " | ".join(row) + " |")
        self.say()


def by_turns(ways: Mapping[str, Callable[[], float]], *, rounds: int) -> dict[str, list[float]]:
    """Each way's own figures, round by round."""
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            figures[name].append(way())
    return figures


def medians(figures: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in figures.items()}


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def ratio(one: float, other: float) -> str:
    return f"{one / other:.2f} ×"


def ms(value_s: float) -> str:
    return f"{value_s * 1000:.1f} ms"


def cpu_seconds(words: list[str], bytecode: Path) -> float:
    """User and system time of a Python process and its children, whose compiled modules are kept in ``bytecode``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYTHONPYCACHEPREFIX"] = str(bytecode)
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def busy(over_s: float = 2.0) -> float:
    """The share of the processors that is in use while we do nothing: what others do on the machine."""

    def ticks() -> tuple[int, int]:
        user, nice, system, idle, wait, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
        return user + nice + system + sum(rest[:3]), idle + wait

    before = ticks()
    time.sleep(over_s)
    worked, rested = (now - then for now, then in zip(ticks(), before, strict=True))
    return worked / max(1, worked + rested)


def machine() -> str:
    """What the figures were taken on; no names and no places."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.split(",")[0]
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.M)
    parts = [
        f"{os.cpu_count()} cores{f' ({model[1]})' if model else ''}",
        f"{int(memory[1]) / 1024 / 1024:.0f} GB" if memory else "",
        f"Linux {platform.release()}",
        f"Python {platform.python_version()}",
        ssh.strip(),
        *(f"{name} {version(name)}" for name in ("drctl", "fabric", "paramiko", "typer")),
    ]
    return ", ".join(part for part in parts if part)
