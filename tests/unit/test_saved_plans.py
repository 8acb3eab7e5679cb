"""Plans that are saved and run as they are, refused when stale, compared with a run, held against a lost site."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drctl.cli.main import execute
from drctl.errors import ExitCode
from drctl.model.plan import Plan
from drctl.plan.codec import from_json

INVENTORY = """\
inventory: office
residency: ZA
sites:
  here: {provider: TaskFlow, country: ZA, kind: office}
  there: {provider: Xneelo, country: ZA, kind: datacentre}
  between: {provider: Teraco, country: ZA, kind: datacentre}
ssh: {config: ssh_config}
hosts:
  desk: {site: here, address: 192.0.2.1, user: drctl}
  db: {site: there, address: 192.0.2.2, user: drctl}
  gate: {site: between, address: 192.0.2.3, user: drctl}
services:
  acacia:
    title: Acacia
    roles: {primary: db, monitor: desk}
    vars: {greeting: hello, notes: NOTES, token: {secret: "command:ssh db cat token"}}
"""
RUNBOOK = """\
runbook: tidy
title: Tidy up
inputs:
  ticket: {required: true}
steps:
  - id: say
    local: |
      echo "$greeting $ticket"
    read_only: true
  - id: note
    local: |
      echo "$ticket" >>"$notes"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("DRCTL_INVENTORY", raising=False)
    Path("runbooks").mkdir()
    Path("inventories").mkdir()
    Path("runbooks/tidy.yml").write_text(RUNBOOK)
    Path("inventories/office.yml").write_text(INVENTORY.replace("NOTES", str(tmp_path / "notes")))
    Path("inventories/ssh_config").write_text("Host db\n  ProxyJump gate\nHost gate\n  HostName 192.0.2.3\n")
    return tmp_path


def save() -> None:
    assert execute(["plan", "tidy", "acacia", "--input", "ticket=INC-1", "-o", "tidy.json"]) == ExitCode.DONE


def test_a_saved_plan_is_run_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    save()
    saved = from_json(Plan, json.loads(Path("tidy.json").read_text())["plan"])
    assert execute(["run", "--plan", "tidy.json", "--yes", "--json"]) == ExitCode.DONE
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    ran = from_json(Plan, first["body"]["plan"])
    assert ran.stages == saved.stages
    assert ran.mode == "real"
    assert Path("notes").read_text() == "INC-1\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("runbooks/tidy.yml", "echo", "printf", "say: action"),
        ("inventories/office.yml", "hello", "goodbye", "say: variables"),
        ("inventories/office.yml", "Xneelo", "Hetzner", "+  there: {provider: Hetzner"),
        ("runbooks/tidy.yml", "  - id: say", "  - id: wait\n    wait: 1s\n  - id: say", "+ added    wait"),
        ("runbooks/tidy.yml", "required: true", "required: maybe", "cannot be made any more"),
    ],
)
def test_a_stale_plan_is_refused_and_says_why(
    file: str, old: str, new: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save()
    Path(file).write_text(Path(file).read_text().replace(old, new, 1))
    assert execute(["run", "--plan", "tidy.json", "--yes"]) == ExitCode.INVALID_DOCUMENT
    error = capsys.readouterr().err
    assert said in error
    assert "nothing was connected to and nothing was changed" in error
    assert not Path("notes").exists()
    assert not Path("state").exists()


def test_a_plan_that_was_edited_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    save()
    edited = Path("tidy.json").read_text().replace("INC-1", "INC-2")
    for text, said in ((edited, "it was edited"), ("{}", "no saved plan"), ("[" * 100_000, "no saved plan")):
        Path("tidy.json").write_text(text)
        assert execute(["run", "--plan", "tidy.json", "--yes"]) == ExitCode.INVALID_DOCUMENT
        assert said in capsys.readouterr().err
    assert execute(["run", "--plan", "none.json", "--yes"]) == ExitCode.USAGE
    assert execute(["run", "tidy", "acacia", "--plan", "tidy.json"]) == ExitCode.USAGE
    assert execute(["run", "tidy"]) == ExitCode.USAGE
    assert not Path("notes").exists()


def test_what_changed_since_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tidy", "acacia", "--input", "ticket=INC-1"]
    assert execute(["run", *words, "--yes"]) == ExitCode.DONE
    capsys.readouterr()
    ask = ["plan", *words, "--compare", "acacia"]
    run_id = json.loads(_out(capsys, ["runs", "--json"]))[0]["run_id"]
    ask[-1] = run_id
    assert "no difference" in _out(capsys, ask)
    text = Path("runbooks/tidy.yml").read_text()
    say, note = text.split("steps:\n")[1].split("  - id: note")
    Path("runbooks/tidy.yml").write_text(f"{text.split('steps:')[0]}steps:\n  - id: note{note}{say}")
    said = json.loads(_out(capsys, [*ask, "--json"]))
    assert [(c["kind"], c["what"]) for c in said["steps"]] in ([("moved", "note")], [("moved", "say")])
    assert said["documents"][0]["path"] == "runbooks/tidy.yml"
    Path("runbooks/other.yml").write_text(RUNBOOK.replace("tidy", "other"))
    assert execute(["plan", "other", "acacia", "--input", "ticket=1", "--compare", run_id]) == ExitCode.USAGE


def _out(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    assert execute(words) == ExitCode.DONE
    return capsys.readouterr().out


REMOTE = """\
runbook: remote
title: On the host
preconditions:
  - {id: silent, tcp: {host: primary, port: 5432, expect: closed}}
steps:
  - {id: answers, http: {url: "http://192.0.2.2/health"}}
  - {id: look, hosts: monitor, run: "echo 192.0.2.2 $greeting"}
  - {id: change, hosts: primary, run: "true"}
  - {id: try, hosts: primary, run: "true", on_unreachable: continue}
  - {id: fetch, local: "echo $token"}
  - {id: harmless, local: "echo 192.0.2.22", read_only: true}
"""


def test_a_lost_site_refuses_step_by_step(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runbooks/remote.yml").write_text(REMOTE)
    words = ["plan", "remote", "acacia", "--json", "--assume-down"]
    assert execute([*words, "there"]) == ExitCode.NO_GO
    needs = json.loads(capsys.readouterr().out)["needs"]
    assert [(n["step"], n["kind"]) for n in needs if n["refused"]] == [
        ("answers", "request"),
        ("change", "host"),
        ("fetch", "secret"),
    ]
    assert [(n["step"], n["kind"]) for n in needs if not n["refused"]] == [("silent", "request"), ("try", "host")]
    assert execute([*words, "between"]) == ExitCode.NO_GO
    needs = json.loads(capsys.readouterr().out)["needs"]
    assert [(n["step"], n["kind"], n["refused"]) for n in needs] == [
        ("change", "gateway", True),
        ("try", "gateway", False),
    ]
    assert execute([*words, "here"]) == ExitCode.NO_GO
    assert execute([*words, "thre"]) == ExitCode.USAGE
    assert "did you mean" in capsys.readouterr().err


def test_the_controller_in_the_lost_site_takes_the_journal_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "desk")
    assert execute(["plan", "tidy", "acacia", "--input", "ticket=1", "--assume-down", "here"]) == ExitCode.NO_GO
    assert "the journal and the service's lock are on desk" in capsys.readouterr().out
