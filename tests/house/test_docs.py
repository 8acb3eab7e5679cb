"""The documents are true: each page is held to the code that it speaks of."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import pytest

from drctl.errors import ExitCode
from drctl.model import events
from tests.house.command_page import PAGE, help_of, page, verbs

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def test_the_page_of_exit_codes_is_the_table_in_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.+) \|$", (REFERENCE / "exit-codes.md").read_text(), re.M)
    assert rows == [(str(int(code)), code.name, code.meaning) for code in ExitCode]


def test_the_page_of_the_journal_knows_every_event_type() -> None:
    kinds = [typing.get_type_hints(kind)["type"].__args__[0] for kind in typing.get_args(events.Body)]
    section = (REFERENCE / "journal.md").read_text().split("## Event types")[1]
    assert re.findall(r"^\| `(\w+)` \|", section, re.M) == kinds


def test_the_page_of_the_journal_knows_every_column(tmp_path: Path) -> None:
    from drctl.adapters.journal import JournalFile

    journal = JournalFile(tmp_path / "journal.db")
    columns = [row[1] for row in journal._query("PRAGMA table_info(events)")]
    journal.close()
    section = (REFERENCE / "journal.md").read_text().split("## Event types")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.M) == columns


def test_the_page_of_commands_is_what_help_says() -> None:
    assert PAGE.read_text() == page(), "type: make docs"


@pytest.mark.parametrize("words", verbs(), ids=" ".join)
def test_every_help_shows_an_example(words: tuple[str, ...]) -> None:
    assert re.search(r"Examples?:\s+(sudo )?drctl ", help_of(words))


def links(path: Path) -> list[str]:
    return re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=str)
def test_links_lead_somewhere(path: Path) -> None:
    assert not [link for link in links(path) if not (path.parent / link).exists()]


def test_files_named_in_the_architecture_are_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:adapters|cli|engine|model|plan|read|report|screens)/[\w/]*(?:\.py)?)`", text))
    assert len(named) > 20
    assert not [name for name in named if not (ROOT / "drctl" / name).exists()]
