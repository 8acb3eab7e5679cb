"""Which file is meant, and what is said when none is."""

from __future__ import annotations

from pathlib import Path

import pytest

from drctl.errors import ExitCode, UsageError
from drctl.read.find import documents_in, find_inventory, find_runbook


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRCTL_INVENTORY", raising=False)
    for name in ("runbooks/failover.yml", "runbooks/restore.yaml", "runbooks/notes.txt", "inventories/a.example.yml"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    return tmp_path


def test_a_runbook_by_its_name_or_its_path(folder: Path) -> None:
    assert find_runbook("failover") == Path("runbooks/failover.yml")
    assert find_runbook("restore") == Path("runbooks/restore.yaml")
    assert find_runbook("runbooks/failover.yml") == Path("runbooks/failover.yml")
    assert find_runbook(folder / "runbooks" / "failover.yml") == folder / "runbooks" / "failover.yml"
    Path("mine").touch()
    assert find_runbook("mine") == Path("mine")


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("failovr", '(did you mean "failover"?)', "failover and restore"),
        ("nothing", 'there is no runbook "nothing"', "failover and restore"),
        ("runbooks/failovr.yml", '(did you mean "runbooks/failover.yml"?)', "failover.yml and restore.yaml"),
        ("nowhere/at/all.yml", "there is no file", "none"),
    ],
)
def test_a_runbook_that_is_not_there(name: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        find_runbook(name)
    assert said in raised.value.message
    assert hint in raised.value.hint
    assert raised.value.exit_code == ExitCode.USAGE


def test_the_inventory_that_was_named() -> None:
    Path("inventories/b.yml").touch()
    Path("inventories/c.yml").touch()
    assert find_inventory("inventories/a.example.yml") == Path("inventories/a.example.yml")
    assert find_inventory("b") == Path("inventories/b.yml")
    assert find_inventory(Path("inventories/c.yml")) == Path("inventories/c.yml")
    with pytest.raises(UsageError, match="there is no file"):
        find_inventory("inventories/d.yml")
    with pytest.raises(UsageError, match="there is no inventory"):
        find_inventory("d")


def test_the_inventory_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("inventories/b.yml").touch()
    Path("inventories/c.yml").touch()
    monkeypatch.setenv("DRCTL_INVENTORY", "inventories/c.yml")
    assert find_inventory() == Path("inventories/c.yml")
    assert find_inventory("b") == Path("inventories/b.yml")  # what was typed wins
    assert find_inventory(environ={"DRCTL_INVENTORY": "b"}) == Path("inventories/b.yml")


def test_the_only_inventory_that_is_no_example() -> None:
    with pytest.raises(UsageError, match="there is no inventory in inventories/") as none:
        find_inventory()
    assert "drctl lab up" in none.value.hint
    Path("inventories/b.yml").touch()
    assert find_inventory() == Path("inventories/b.yml")
    Path("inventories/c.yaml").touch()
    with pytest.raises(UsageError, match=r"there are 2 inventories in inventories/: b.yml and c.yaml") as several:
        find_inventory()
    assert "--inventory inventories/b.yml" in several.value.hint


def test_documents_of_a_folder() -> None:
    Path("runbooks/.hidden.yml").touch()
    assert documents_in(Path("runbooks")) == [Path("runbooks/failover.yml"), Path("runbooks/restore.yaml")]
    assert documents_in(Path("nowhere")) == []
