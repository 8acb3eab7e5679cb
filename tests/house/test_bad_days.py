"""The table of bad days in docs/reliability.md: each day has a test of that name, which sees what is quoted."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "docs" / "reliability.md").read_text().split("## Every bad day, and the test that proves it")[1]
END_TO_END = {
    path.stem.removeprefix("test_bad_days_"): path for path in (ROOT / "tests/e2e").glob("test_bad_days_*.py")
}
FILES = {**END_TO_END, "kills": ROOT / "tests" / "crash" / "test_kills.py"}
# What a runbook that runs itself must survive, whatever else the table has.
DEMANDED = """
sshd that accepts and never answers
a host that freezes in mid-step
a link cut in mid-step and healed later
one-way loss
power lost in mid-step
a reboot in mid-step
a command that ignores SIGTERM
a command that leaves a child behind
output that is not UTF-8
output that is `[/etc/passwd]`
output that clears the screen
1 GB of output
an exit code over 127
a target with no room for the job's files
a target with no setsid
csh as the login shell
a banner that prints noise
a full disk under the journal
a read-only journal
a journal whose end is torn
a clock that jumps
two operators at once, on one machine
two operators at once, on two machines
a terminal that is closed in mid-run
`kill -9` of drctl after every event
"""


class Day(NamedTuple):
    """A row of the table."""

    name: str
    seen: str
    file: str
    test: str


def days() -> list[Day]:
    rows = re.findall(r"^\| (.+?) \| (?:`(.+?)` )?\| `(\w+)::(\w+)` \|$", SECTION, re.M)
    return [Day(*row) for row in rows]


def text_of(path: Path, test: str) -> str:
    """The test with the constants of its file that it may use; a line that begins with ``~`` goes on with the last."""
    module = ast.parse(path.read_text())
    parts = [
        ast.get_source_segment(path.read_text(), node) or ""
        for node in module.body
        if isinstance(node, ast.Assign) or (isinstance(node, ast.FunctionDef) and node.name == test)
    ]
    return re.sub(r"\s*\n\s*~\s*|\s+", " ", "\n".join(parts))


def names_of_tests(path: Path) -> set[str]:
    module = ast.parse(path.read_text())
    return {n.name for n in module.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")}


def test_every_row_is_understood() -> None:
    rows = [line for line in SECTION.splitlines() if line.startswith("| ") and not line.startswith("| bad day")]
    assert len(rows) == len(days())


@pytest.mark.parametrize("name", DEMANDED.strip().splitlines())
def test_a_bad_day_that_is_demanded_is_in_the_table(name: str) -> None:
    assert name in {day.name for day in days()}


@pytest.mark.parametrize("day", days(), ids=lambda day: day.name)
def test_a_bad_day_has_its_test_and_the_test_sees_what_is_quoted(day: Day) -> None:
    assert day.test in names_of_tests(FILES[day.file])
    assert " ".join(day.seen.split()) in text_of(FILES[day.file], day.test)


@pytest.mark.parametrize("file", sorted(END_TO_END))
def test_every_test_of_a_bad_day_is_in_the_table(file: str) -> None:
    assert names_of_tests(END_TO_END[file]) == {day.test for day in days() if day.file == file}
