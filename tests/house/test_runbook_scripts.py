"""Every script in a shipped runbook passes shellcheck, at its own line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from drctl.read.documents import read_runbook
from drctl.read.walk import placed_steps, scripts_of

ROOT = Path(__file__).parents[2]
RUNBOOKS = sorted((ROOT / "runbooks").glob("*.yml"))
# SC2154, "referenced but not assigned": drctl assigns them ahead of the script, and `drctl validate` knows the names.
NOT_HERE = "SC2154"


def complaints(script: str) -> list[str]:
    tool = Path(sys.executable).with_name("shellcheck")
    words = [tool, "--shell=sh", "--format=json", f"--exclude={NOT_HERE}", "-"]
    done = subprocess.run(words, input=script, capture_output=True, text=True, check=False)
    return [f"line {c['line']}: SC{c['code']}: {c['message']}" for c in json.loads(done.stdout)]


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda p: p.name)
def test_scripts_pass_shellcheck(path: Path) -> None:
    document, problems = read_runbook(path)
    assert document, problems
    scripts = scripts_of(document)
    assert scripts or path.name in ("open-the-door.yml", "drill-restore.yml"), (
        "no script was found, and this one has some"
    )
    found = [f"{path.name}:{line} {step}: {c}" for step, line, text in scripts for c in complaints(text)]
    assert not found, "\n".join(found)


MOVES_THE_DATABASE = re.compile(
    r"pg_basebackup\" |pg_rewind\" |pgbackrest .*\b(backup|restore)( 2>&1.*)?$|pg_dump|rsync ", re.M
)


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda p: p.name)
def test_a_step_that_moves_the_database_says_that_it_carries_data(path: Path) -> None:
    """Else nobody looks at the country of where it goes, neither before the run nor when it is sent."""
    document, _ = read_runbook(path)
    assert document
    moving = [s.step for s in placed_steps(document.value) if MOVES_THE_DATABASE.search(str(s.step.run))]
    assert [step.id for step in moving if step.carries is None] == []
    assert bool(moving) == (
        path.name in ("rebuild-standby.yml", "protect-again.yml", "failback.yml", "restore-copy.yml")
    )


def test_a_careless_script_would_be_found() -> None:
    assert complaints("rm -rf $pgdata/*")
