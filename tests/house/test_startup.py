"""What a command imports. Sets of modules, not times: docs/decisions/0033-a-command-pays-for-itself.md."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer

from drctl.cli.main import execute
from drctl.cli.verbs import VERBS, command
from drctl.errors import ExitCode
from tests.house.test_docs import ROOT

# What only a run, a report or the lab needs.
_HEAVY = {"fabric", "paramiko", "httpx", "sqlite3", "cryptography", "jinja2", "icalendar", "tenacity", "drctl.lab"}
# What plans are made of: documents are read without it.
_OF_PLANS = {"drctl.model.plan", "drctl.plan.bounds", "drctl.plan.build", "drctl.plan.codec"}
_HELP = {
    "drctl",
    "drctl.errors",
    "drctl.cli",
    "drctl.cli.main",
    "drctl.cli.options",
    "drctl.cli.settings",
    "drctl.cli.verbs",
}


def imported(*words: str, code: ExitCode = ExitCode.DONE) -> set[str]:
    """The modules that a command line leaves behind in a process of its own; the command must end with that code."""
    program = (
        "import sys; from drctl.cli.main import execute; code = execute(sys.argv[1:]); "
        "print(*sys.modules, sep='\\n', file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return set(done.stderr.splitlines())


def test_help_imports_no_verb_and_no_document() -> None:
    found = imported("--help")
    assert {name for name in found if name.split(".")[0] == "drctl"} == _HELP
    assert not found & {*_HEAVY, "pydantic", "yaml", "platformdirs"}


@pytest.mark.parametrize("words", [("failover",), (), ("--json",)], ids=" ".join)
def test_validate_imports_what_reads_documents_only(words: tuple[str, ...]) -> None:
    found = imported("validate", *words)
    assert {"drctl.model.runbook", "drctl.plan.promised"} <= found
    assert not found & {*_HEAVY, *_OF_PLANS, "pydantic", "drctl.read.faults", "rich", "platformdirs", "hashlib"}
    assert not found & {"drctl.adapters", "drctl.engine", "drctl.report", "drctl.screens"}


def test_a_document_with_faults_is_read_without_pydantic_too(tmp_path: Path) -> None:
    (tmp_path / "faulty.yml").write_text("runbook: faulty\ntitle: 1\n")
    found = imported("validate", "--json", str(tmp_path / "faulty.yml"), code=ExitCode.INVALID_DOCUMENT)
    assert "drctl.read.faults" in found
    assert "pydantic" not in found


def test_objects_are_not_looked_through_for_garbage_again_and_again_nor_at_the_end() -> None:
    code = (
        "import atexit, gc, sys; atexit.register(lambda: print(gc.get_threshold()[0], gc.get_freeze_count())); "
        "from drctl.cli.main import run; run()"
    )
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True)
    threshold, frozen = map(int, done.stdout.split()[-2:])
    assert (threshold > 700, frozen > 1000) == (True, True)


def test_an_option_is_read_without_pydantic_and_what_is_no_text_by_typer(tmp_path: Path) -> None:
    found = imported("--state-dir", str(tmp_path / "state"), "runs")
    assert not found & {"pydantic", "drctl.report.summary"}
    for words in (["runs", "--limit", "many"], ["runs", "--limit", "0"], ["drill", "run"], ["approve", "--key"]):
        assert execute(words) == ExitCode.USAGE


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_of_verbs_says_what_the_verb_says(verb: str) -> None:
    own = " ".join((command(verb).help or "").split("\n\n")[0].split())
    assert own == VERBS[verb][1]


def test_every_verb_that_a_module_adds_is_in_the_list() -> None:
    added = set()
    for module in {module for module, _ in VERBS.values()}:
        found = import_module(f"drctl.cli.{module}")
        if hasattr(found, "register"):
            app = typer.Typer()
            found.register(app)
            added |= set(typer.main.get_group(app).commands)
    assert added == {verb for verb in VERBS if not hasattr(command(verb), "commands")}
