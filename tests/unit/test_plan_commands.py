"""drctl validate, plan and schema as they are typed: what is on which stream, and the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drctl.cli.main import execute
from drctl.errors import ExitCode
from drctl.model.inventory import Inventory
from drctl.model.plan import Mode, Plan
from drctl.model.runbook import Runbook
from drctl.model.written import Written
from drctl.plan.codec import from_json, plan_digest
from drctl.read.documents import read_inventory, read_runbook
from drctl.read.schema import schema_text

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases"
EXAMPLE = ROOT / "inventories" / "taskflow.example.yml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRCTL_INVENTORY", raising=False)
    Path("runbooks").mkdir()
    Path("inventories").mkdir()
    Path("runbooks/everything.yml").write_text((CASES / "plans" / "everything.yml").read_text())
    Path("inventories/cases.yml").write_text((CASES / "plans" / "inventory.yml").read_text())
    return tmp_path


def test_sound_documents(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["validate"]) == ExitCode.DONE
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "2 files: no problems\n"


def test_problems_are_data_and_the_count_is_progress(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("runbooks/broken.yml").write_text((CASES / "runbooks" / "unknown_keys.yml").read_text())
    assert execute(["validate"]) == ExitCode.INVALID_DOCUMENT
    out, err = capsys.readouterr()
    assert 'runbooks/broken.yml:8:5: steps.0: unknown key "tiemout" (did you mean "timeout"?)' in out
    assert err.startswith("3 files: 10 errors")


def test_a_promise_that_cannot_hold_is_refused_and_a_plan_only_warns(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("runbooks/late.yml")
    up = "{id: up, local: echo, timeout: 3h, expected: 1s, marks: service_restored}"
    path.write_text(f"runbook: late\ntitle: Late\nobjectives: {{rto: 2h}}\nsteps: [{up}]\n")
    said = "may take 3h 00m to restore the service when every step runs into its timeout, and the RTO "
    for more in ([], ["--inventory", "inventories/cases.yml", "--service", "demo"]):
        assert execute(["validate", str(path), *more]) == ExitCode.INVALID_DOCUMENT
        out, _ = capsys.readouterr()
        assert f"runbooks/late.yml:3:14: objectives.rto: {said}" in out
        assert "the dearest steps: up 3h 00m (runbooks/late.yml:4:9); lower their timeout" in out
    assert execute(["plan", "late", "demo", "--inventory", "inventories/cases.yml"]) == ExitCode.DONE
    assert f"warning: objectives.rto: {said}" in capsys.readouterr().err


def test_warnings_alone_are_no_failure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("inventories/cases.yml").write_text((CASES / "inventories" / "sla.yml").read_text().split("  said:")[0])
    path = Path("runbooks/warned.yml")
    path.write_text("runbook: w\ntitle: W\nobjectives: {rto: 4h}\nsteps: [{id: a, wait: 1s}]\n")
    assert execute(["validate", str(path)]) == ExitCode.DONE
    assert "warning: objectives.rto" in capsys.readouterr().out


def test_problems_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("inventories/broken.yml").write_text((CASES / "inventories" / "residency.yml").read_text())
    assert execute(["validate", "--json"]) == ExitCode.INVALID_DOCUMENT
    said = json.loads(capsys.readouterr().out)
    assert said["errors"] == 3
    assert {file["kind"] for file in said["files"]} == {"runbook", "inventory"}
    assert {problem["file"] for problem in said["problems"]} == {"inventories/broken.yml"}
    assert said["problems"][0]["line"] == 14


def test_files_and_folders_may_be_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["validate", "runbooks", "inventories/cases.yml"]) == ExitCode.DONE
    assert execute(["validate", "missing.yml"]) == ExitCode.INVALID_DOCUMENT
    assert "missing.yml: there is no such file" in capsys.readouterr().out


def test_a_runbook_is_held_against_services(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("runbooks/everything.yml").write_text((CASES / "plans" / "unknown_names.yml").read_text())
    assert execute(["validate", "runbooks"]) == ExitCode.DONE
    assert execute(["validate", "runbooks", "--inventory", "inventories/cases.yml", "-s", "demo"]) == 3
    assert 'unknown variable "databse"' in capsys.readouterr().out


def test_a_service_that_a_runbook_is_not_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["validate", "-i", "inventories/cases.yml"]) == ExitCode.DONE
    assert "warning: runbook: not for small, which has no standby" in capsys.readouterr().out
    assert execute(["validate", "-s", "small"]) == ExitCode.INVALID_DOCUMENT
    assert 'small has no role "standby"' in capsys.readouterr().out
    assert execute(["validate", "-s", "smal"]) == ExitCode.USAGE
    assert 'did you mean "small"' in capsys.readouterr().err


def test_nothing_to_validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["validate"]) == ExitCode.USAGE
    assert "drctl validate FILE" in capsys.readouterr().err


def test_a_plan_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["plan", "everything", "demo", "--input", "ticket=INC-1"]) == ExitCode.DONE
    out, err = capsys.readouterr()
    assert out.startswith("All of the language, for demo on old\n")
    assert "mode        plan: nothing was connected to" in out
    assert 'echo "$shared" "$password" "${grace:?}" $((grace * 2))' in out  # as it is sent
    assert "\x1b" not in out
    assert err == ""


@pytest.mark.parametrize("columns", ["20", "200"])
def test_a_plan_is_never_wrapped(
    folder: Path, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    execute(["plan", "everything", "demo", "--input", "ticket=INC-1"])
    first = capsys.readouterr().out
    assert 'psql -d "$database" -v disk="$disk" <<' in first
    assert "GET http://door/ answers 200" in first


def test_a_plan_for_programs_can_be_read_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", "everything", "demo", "--input", "ticket=INC-1", "--json"]
    assert execute(arguments) == ExitCode.DONE
    said = json.loads(capsys.readouterr().out)
    plan = from_json(Plan, said["plan"])
    assert plan.mode is Mode.PLAN
    assert said["digest"] == plan_digest(plan)
    assert said["bounds"]["total"]["worst_s"] > said["bounds"]["total"]["usual_s"] > 0
    assert execute([*arguments, "-o", "plan.json"]) == ExitCode.DONE
    out, err = capsys.readouterr()
    assert (out, err) == ("", "written: plan.json\n")
    del said["forecast"]  # what this machine's journal knows goes into no file that another may run
    assert json.loads(Path("plan.json").read_text()) == said


def test_a_plan_that_cannot_be_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["plan", "everything", "dmo"]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert 'did you mean "demo"' in err
    assert 'the input "ticket" is missing' in err
    assert execute(["plan", "everything", "demo", "--input", "ticket"]) == ExitCode.USAGE
    assert execute(["plan", "everythin", "demo"]) == ExitCode.USAGE
    assert execute(["plan", "everything", "demo", "--input", "ticket=x", "-o", "no/such/folder"]) == ExitCode.USAGE
    Path("runbooks/everything.yml").write_text("runbook: x\n")
    assert execute(["plan", "everything", "demo"]) == ExitCode.INVALID_DOCUMENT
    out, err = capsys.readouterr()
    assert out == ""
    assert '"steps" is missing' in err
    assert "drctl validate runbooks/everything.yml" in err


def test_both_documents_problems_come_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("runbooks/everything.yml").write_text("runbook: x\ntitle: T\nsteps: []\n")
    Path("inventories/cases.yml").write_text("inventory: x\nresidency: ZA\nsites: {}\nhosts: {}\n")
    assert execute(["plan", "everything", "demo"]) == ExitCode.INVALID_DOCUMENT
    err = capsys.readouterr().err
    assert "steps: must not be empty" in err
    assert "hosts: must not be empty" in err


@pytest.mark.parametrize("name", ["runbook", "inventory"])
def test_the_committed_schema_is_what_the_program_knows(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    committed = (ROOT / "docs" / "schema" / f"{name}.json").read_text()
    assert committed == schema_text(name), f"drctl schema {name} -o docs/schema/{name}.json"  # type: ignore[arg-type]
    assert execute(["schema", name]) == ExitCode.DONE
    assert capsys.readouterr().out == committed


def test_a_schema_of_nothing() -> None:
    assert execute(["schema", "recipe"]) == ExitCode.USAGE


@pytest.mark.parametrize(("name", "model"), [("runbook", Runbook), ("inventory", Inventory)])
def test_the_schema_knows_every_word_that_the_reader_knows(name: str, model: type[Written]) -> None:
    schema = json.loads(schema_text(name))  # type: ignore[arg-type]
    kinds = {kind.__name__: kind for kind in Written.__subclasses__()}
    for kind, said in {model.__name__: schema, **schema["$defs"]}.items():
        assert list(said["properties"]) == list(kinds[kind].words)


@pytest.mark.parametrize("name", ["runbook", "inventory"])
def test_every_word_of_the_schema_is_explained_and_documented(name: str) -> None:
    schema = json.loads(schema_text(name))  # type: ignore[arg-type]
    page = (ROOT / "docs" / "reference" / f"{name}.md").read_text()
    definitions = {"": schema, **schema["$defs"]}
    words = [
        (where, word, said)
        for where, definition in definitions.items()
        for word, said in definition.get("properties", {}).items()
    ]
    assert len(words) > 20
    assert [f"{where}.{word}" for where, word, said in words if "description" not in said and "$ref" not in said] == []
    assert sorted({word for _, word, _ in words if f"`{word}`" not in page}) == []


@pytest.mark.parametrize("name", ["runbook", "inventory"])
def test_the_example_on_the_reference_page_is_sound(name: str, folder: Path) -> None:
    page = (ROOT / "docs" / "reference" / f"{name}.md").read_text()
    Path("page.yml").write_text(page.split("```yaml\n", 1)[1].split("```", 1)[0])
    document, problems = read_runbook("page.yml") if name == "runbook" else read_inventory("page.yml")
    assert document is not None, problems
    assert not [problem for problem in problems if "rpo" not in problem.message]


def test_the_example_inventory_is_sound_and_every_runbook_fits_a_service_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    inventory, problems = read_inventory(EXAMPLE)
    assert problems == []
    assert inventory is not None
    assert {service.sla for service in inventory.value.services.values()} == {True, False}
    kinds = {site.kind for site in inventory.value.sites.values()}
    assert kinds == {"datacentre", "cloud", "backup", "physical", "premises", "office"}
    runbooks = sorted((ROOT / "runbooks").glob("*.yml"))
    for service, drill in (("acacia", False), ("acacia-drill", True)):
        mine = [str(path) for path in runbooks if path.name.startswith("drill-") is drill]
        assert mine
        arguments = ["validate", *mine, "--inventory", str(EXAMPLE), "--service", service]
        assert execute(arguments) == ExitCode.DONE, capsys.readouterr().out


def test_the_example_uses_no_address_that_is_somebody_s() -> None:
    inventory, _ = read_inventory(EXAMPLE)
    assert inventory is not None
    for host in inventory.value.hosts.values():
        assert str(host.address).startswith(("192.0.2.", "198.51.100.", "203.0.113."))


def test_a_runbook_and_a_plan_do_not_pay_for_ssh(folder: Path) -> None:
    code = (
        "import sys; from drctl.cli.main import execute\n"
        "assert execute(['validate']) == 0\n"
        "assert execute(['plan', 'everything', 'demo', '--input', 'ticket=x', '-o', 'plan.txt']) == 0\n"
        "heavy = {'fabric', 'paramiko', 'invoke', 'cryptography', 'psycopg', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_terminal_gets_colours_and_the_same_words(folder: Path) -> None:
    import io

    from drctl.plan.build import build_plan
    from drctl.screens.plan import plain_text, print_plan

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    runbook, _ = read_runbook("runbooks/everything.yml")
    inventory, _ = read_inventory("inventories/cases.yml")
    assert runbook is not None
    assert inventory is not None
    # What looks like markup or an escape is text, and stays text.
    plan = build_plan(
        runbook, inventory, service="demo", inputs={"ticket": "[bold]x[/bold] [/etc] \x1b[2J"}, version="0"
    )
    coloured, plain = Terminal(), Terminal()
    print_plan(plan, coloured, environ={"TERM": "xterm-256color"})
    print_plan(plan, plain, environ={"TERM": "xterm-256color", "NO_COLOR": "1"})
    assert plain.getvalue() == plain_text(plan)
    assert "\x1b[" in coloured.getvalue()
    assert "\x1b[2J" not in coloured.getvalue()
    assert "[bold]x[/bold] [/etc]" in coloured.getvalue()
    assert "\x1b" not in plain.getvalue()
