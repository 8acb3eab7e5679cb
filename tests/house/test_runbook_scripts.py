"""Every script in a shipped runbook passes shellcheck, at its own line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from drctl.read.documents import read_runbook
from drctl.read.walk import scripts_of

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


def test_a_careless_script_would_be_found() -> None:
    assert complaints("rm -rf $pgdata/*")
