"""Plans that are saved and run as they are, refused when stale, compared with a run, held against a lost site."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drctl.adapters.mounts import source_of
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


PICKS = """\
runbook: picks
title: Takes a copy
inputs: {location: {description: where from}}
steps:
  - id: pick
    local: "echo $location; echo"
    read_only: true
    capture: {copy_location: text, copy_label: text}
"""


HOSTS = {"there": "db", "between": "gate"}


@pytest.mark.parametrize(
    ("places", "told", "refused", "why"),
    [
        (["there"], "", True, "the run could not get past this step"),
        (["there", "between"], "", False, "taken from between"),
        (["there", "between"], "there", True, "the run could not get past this step"),
        (["there", "between"], "between", False, "taken from between"),
    ],
)
def test_a_lost_location_refuses_the_step_that_has_no_other_copy(
    places: list[str], told: str, refused: bool, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runbooks/picks.yml").write_text(PICKS)
    inventory = Path("inventories/office.yml")
    copies = "".join(
        f"      - {{location: {place}, kind: pgbackrest, host: {HOSTS[place]}, stanza: a}}\n" for place in places
    )
    inventory.write_text(f"{inventory.read_text()}    backups:\n{copies}")
    words = ["plan", "picks", "acacia", *(["--input", f"location={told}"] if told else []), "--json"]
    assert execute([*words, "--assume-down", "there"]) == (ExitCode.NO_GO if refused else ExitCode.DONE)
    needs = json.loads(capsys.readouterr().out)["needs"]
    found = [(n["kind"], n["refused"], n["why"]) for n in needs if n["step"] == "pick"]
    assert found == [("backup", refused, why)]


def test_a_key_that_is_kept_in_the_lost_site_opens_no_door(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runbooks/remote.yml").write_text('runbook: remote\ntitle: R\nsteps: [{id: a, hosts: monitor, run: "true"}]\n')
    words = ["plan", "remote", "acacia", "--assume-down", "there"]
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    config, key = Path("inventories/ssh_config"), folder / "db" / "id_ed25519"
    config.write_text(f"Host desk\n  IdentityFile {key}\n")
    key.parent.mkdir()
    key.write_text("a key")
    assert execute(words) == ExitCode.DONE, "its directory is called like the host, and is of this machine"
    monkeypatch.setattr("drctl.adapters.mounts.source_of", lambda path: "db:/keys" if path == key else "")
    assert execute(words) == ExitCode.NO_GO
    assert f"a  {key}, which is mounted from db, to be let in at desk" in capsys.readouterr().out
    key.unlink()
    assert execute(words) == ExitCode.DONE, "a key that is not there is none"
    config.write_text(f"Host desk\n  IdentityFile {folder / 'mine'}\n  ProxyCommand nc -x 192.0.2.2 %h %p\n")
    assert execute(words) == ExitCode.NO_GO
    assert "db, the gateway to desk" in capsys.readouterr().out


def test_a_journal_that_is_mounted_from_the_lost_site_is_lost_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("drctl.adapters.mounts.source_of", lambda path: "192.0.2.2:/state")
    assert execute(["plan", "tidy", "acacia", "--input", "ticket=1", "--assume-down", "there"]) == ExitCode.NO_GO
    assert "the journal and the service's lock are on 192.0.2.2" in capsys.readouterr().out


def test_the_mount_that_holds_a_path_is_the_deepest_and_the_last() -> None:
    text = (
        "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "21 20 0:40 / /srv rw - nfs4 192.0.2.9:/srv rw\n"
        "22 21 0:41 / /srv/with\\040blank rw shared:7 - nfs4 192.0.2.2:/keys rw\n"
        "23 20 0:42 / /srv rw - tmpfs tmpfs rw\n"
        "no mount at all\n"
    )
    found = [source_of(Path(path), text) for path in ("/etc/x", "/srv/with blank/id", "/srv/id", "/srvx")]
    assert found == ["/dev/sda1", "192.0.2.2:/keys", "tmpfs", "/dev/sda1"]
    assert source_of(Path("/proc/self/status")) == "proc", "of this machine"


def test_the_controller_in_the_lost_site_takes_the_journal_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "desk")
    assert execute(["plan", "tidy", "acacia", "--input", "ticket=1", "--assume-down", "here"]) == ExitCode.NO_GO
    assert "the journal and the service's lock are on desk" in capsys.readouterr().out
