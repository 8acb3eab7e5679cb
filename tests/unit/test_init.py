"""drctl init: a repository that is sound from the first moment, and nothing is ever overwritten."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from drctl.cli.init import RUNBOOKS, contents
from drctl.cli.main import execute
from drctl.errors import ExitCode

ROOT = Path(__file__).parents[2]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRCTL_INVENTORY", raising=False)
    assert execute(["init", "new/recovery"]) == ExitCode.DONE
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"new/recovery/{name}" for name in contents()]
    assert "drctl validate" in err
    monkeypatch.chdir(tmp_path / "new" / "recovery")
    return tmp_path / "new" / "recovery"


def test_it_is_sound_and_the_failover_fits_its_service(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["validate"]) == ExitCode.DONE
    assert "no problems" in capsys.readouterr().err
    assert execute(["validate", "--service", "my-service"]) == ExitCode.DONE
    out, err = capsys.readouterr()
    assert "no problems" in err, out
    assert "CHANGE" in (made / "inventories" / "sites.yml").read_text()


INPUTS = {
    "open-the-door": ["target=standby"],
    "protect-again": ["target=standby"],
    "restore-copy": ["target=standby"],
    "rebuild-standby": ["source=standby", "target=primary"],
}


@pytest.mark.parametrize("runbook", RUNBOOKS)
def test_each_runbook_fits_its_service(made: Path, runbook: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = [word for name in INPUTS.get(runbook, []) for word in ("--input", name)]
    for words in (["plan", runbook], ["show", runbook], ["run", runbook, "--dry-run"]):
        assert execute([*words[:2], "my-service", *words[2:], *given]) == ExitCode.DONE, words
        out, err = capsys.readouterr()
        assert len(out.splitlines()) > 10
        assert err == ""


def test_its_locations_are_as_many_as_it_promises(made: Path) -> None:
    """As TaskFlow promises it: daily at 02:00, seven days kept, in two regions and off line."""
    from drctl.backups.places import locations, schedule_of
    from drctl.read.documents import read_inventory

    document, _ = read_inventory(made / "inventories" / "sites.yml")
    assert document is not None
    promised = schedule_of(document.value, "my-service")
    assert promised is not None
    assert (promised.at, promised.keep, promised.regions, promised.physical) == ("02:00", 7 * 86_400, 2, True)
    found = locations(document.value, "my-service")
    assert len({place.region for place in found if not place.offline}) == promised.regions
    assert any(place.offline for place in found)


def test_editors_find_the_schema_that_the_first_line_names(made: Path) -> None:
    documents = [*made.glob("runbooks/*.yml"), *made.glob("inventories/*.yml")]
    assert len(documents) == len(RUNBOOKS) + 1
    for path in documents:
        named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text())
        assert named is not None, path
        schema = json.loads((path.parent / named.group(1)).read_text())
        assert path.parent.name.startswith(schema["title"].removeprefix("A drctl ")[:6])


def test_the_runbooks_are_those_that_drctl_is_tested_with(made: Path) -> None:
    for name in RUNBOOKS:
        shipped = (ROOT / "runbooks" / f"{name}.yml").read_text().splitlines()[1:]
        assert (made / "runbooks" / f"{name}.yml").read_text().splitlines()[1:] == shipped


def test_the_readme_types_commands_that_there_are(made: Path) -> None:
    import typer

    from drctl.cli.main import app

    verbs = set(getattr(typer.main.get_command(app), "commands", {}))
    typed = set(re.findall(r"drctl ([a-z]+)", (made / "README.md").read_text()))
    assert len(typed) > 5
    assert typed <= verbs


@pytest.mark.parametrize("there", ["README.md", "schema/runbook.json", ".gitignore"])
def test_nothing_is_overwritten_and_then_nothing_is_written(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine" / there
    mine.parent.mkdir(parents=True)
    mine.symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    assert execute(["init", "mine"]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert f"there already: mine/{there}" in err
    assert "nothing was written" in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_directory_with_other_things_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert execute(["init", "."]) == ExitCode.DONE
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_in_place_of_the_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert execute(["init", str(tmp_path / "file")]) == ExitCode.USAGE
    assert "nothing was written" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"
