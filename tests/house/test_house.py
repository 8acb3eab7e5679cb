"""The house rules that import-linter and ruff cannot hold: what the core does, and how large things grow."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted((ROOT / "drctl").rglob("*.py"))
CORE = [p for p in CODE if p.relative_to(ROOT / "drctl").parts[0] in ("model", "backups", "plan", "engine")]
BELOW_CLI = [p for p in CODE if p.relative_to(ROOT / "drctl").parts[0] != "cli" and p.name != "__main__.py"]
SECRETS_OF_THE_WORKPLACE = re.compile(r"/w[o]rk/|pypi\.o[r]g|pythonh[o]sted|deb\.d[e]bian\.org|npmjs\.o[r]g")


def calls(path: Path) -> set[str]:
    """Dotted names of everything that a file calls."""
    return {ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)}


def test_imports_keep_to_their_floors() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_never_sleeps_prints_exits_or_reads_a_clock(path: Path) -> None:
    forbidden = {"print", "exit", "quit", "sys.exit", "os._exit", "time.sleep", "datetime.now", "open", "input"}
    assert not calls(path) & forbidden


@pytest.mark.parametrize("path", BELOW_CLI, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_below_cli_prints_or_exits(path: Path) -> None:
    assert not calls(path) & {"print", "exit", "quit", "sys.exit"}


@pytest.mark.parametrize("path", CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_small_enough_to_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def tracked() -> list[Path]:
    git = shutil.which("git")
    assert git
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if SECRETS_OF_THE_WORKPLACE.search(text):
            found.append(str(path.relative_to(ROOT)))
    assert not found


def shell_files() -> list[Path]:
    return [
        p
        for p in tracked()
        if p.suffix == ".sh" or p.read_bytes()[:20].startswith((b"#!/bin/sh", b"#!/usr/bin/env bash"))
    ]


def test_every_shipped_script_passes_shellcheck() -> None:
    files = shell_files()
    assert files
    tool = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([tool, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
