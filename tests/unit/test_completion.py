"""What Tab offers, in real shells with the lines that drctl gives them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from drctl.adapters.journal import JournalFile
from drctl.model.events import PersonAsked
from tests.support import sample_runs
from tests.support.journals import write_run

ROOT = Path(__file__).parents[2]
BIN = str(Path(sys.executable).parent)
ASK = """
PATH=$1:$PATH; shift
eval "$(_DRCTL_COMPLETE=source_bash drctl)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_drctl_completion drctl
printf '%s\\n' "${COMPREPLY[@]}"
"""
# zsh's own part needs a terminal: it hands over the words that are typed, and shows what is handed back.
ASK_ZSH = """
PATH=$1:$PATH; shift
compdef() { : }
_arguments() { print -rl -- "$@" }
eval "$(_DRCTL_COMPLETE=source_zsh drctl)"
words=("$@"); CURRENT=$#
_drctl_completion
"""
ASK_FISH = """
set -gx PATH $argv[1] $PATH
env _DRCTL_COMPLETE=source_fish drctl | source
complete -C "$argv[2..-1]"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "inventories").mkdir()
    for name in ("failover", "readiness"):
        shutil.copy(ROOT / "runbooks" / f"{name}.yml", tmp_path / "runbooks")
    shutil.copy(ROOT / "inventories" / "taskflow.example.yml", tmp_path / "inventories" / "real.yml")
    return tmp_path


def offered(folder: Path, *words: str) -> list[str]:
    """What Tab offers behind these words, the last of which is begun."""
    return ask_shell(folder, "bash", "-c", ASK, "bash", BIN, "drctl", *words).split()


def ask_shell(folder: Path, *argv: str) -> str:
    """What a shell prints that is started so."""
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, timeout=60, check=True,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def test_verbs_runbooks_services_and_hosts_of_the_lab(folder: Path) -> None:
    assert offered(folder, "fail") == ["failover", "failback"]
    assert offered(folder, "check", "") == ["failover", "readiness"]
    services = offered(folder, "failover", "")
    assert services
    assert offered(folder, "failover", services[0][:3]) == [s for s in services if s.startswith(services[0][:3])]
    assert offered(folder, "lab", "power", "off", "az") == ["azure-san"]


def test_zsh_and_fish_offer_the_same(folder: Path) -> None:
    (service, *_) = offered(folder, "failover", "")
    in_zsh = ask_shell(folder, "zsh", "-fc", ASK_ZSH, "zsh", BIN, "drctl", "fail")
    assert '"failover":"Fail a service over' in in_zsh
    assert service in ask_shell(folder, "zsh", "-fc", ASK_ZSH, "zsh", BIN, "drctl", "failover", service[:3])
    in_fish = ask_shell(folder, "fish", "--no-config", "-c", ASK_FISH, BIN, "drctl", "fail")
    assert [line.split("\t")[0] for line in in_fish.splitlines()] == ["failback", "failover"]
    assert service in ask_shell(folder, "fish", "--no-config", "-c", ASK_FISH, BIN, "drctl", "failover", service[:3])


def test_what_cannot_be_read_offers_nothing_and_writes_nothing(folder: Path) -> None:
    (folder / "inventories" / "real.yml").write_text("[" * 100)
    before = sorted(folder.rglob("*"))
    assert offered(folder, "failover", "") == []
    assert offered(folder, "report", "") == []
    assert sorted(folder.rglob("*")) == before
    JournalFile(folder / "state" / "journal.db").close()
    assert offered(folder, "--state-dir", str(folder / "state"), "report", "") == []


def test_runs_that_are_open_and_approvals_that_are_waited_for(folder: Path) -> None:
    events = sample_runs.succeeded()
    asked = next(n for n, e in enumerate(events) if isinstance(e.body, PersonAsked))
    over = [replace(event, run_id="over") for event in events]
    assert write_run(folder / "state", over) == "over"
    waits = write_run(folder / "state", events[: asked + 1])
    words = ("--state-dir", str(folder / "state"))
    assert sorted(offered(folder, *words, "report", "")) == sorted(["over", waits])
    for verb in ("abort", "resume"):
        assert offered(folder, *words, verb, "") == [waits]
    question = events[asked].body
    assert isinstance(question, PersonAsked)
    assert offered(folder, *words, "approve", "") == [question.step]
    assert offered(folder, *words, "approve", question.step, "") == [waits]
