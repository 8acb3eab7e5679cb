"""The head of the chain is published while a run goes on, and no place that fails or hangs stops a recovery."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from drctl.adapters import heads
from drctl.adapters.journal import JournalFile
from drctl.cli.main import execute
from drctl.model.events import Event, MessengerFailed

INVENTORY = """\
inventory: office
residency: ZA
evidence: {heads: [PLACES]KEY}
sites:
  here: {provider: TaskFlow, country: ZA, kind: office}
hosts:
  desk: {site: here, address: 192.0.2.1, user: drctl}
services:
  acacia: {title: Acacia, roles: {primary: desk}}
"""
RUNBOOK = """\
runbook: tidy
title: Tidy up
steps:
  - {id: look, local: echo looked, read_only: true}
  - {id: agree, approval: {prompt: Shall it be done?}}
  - {id: tidy, local: echo tidied}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("DRCTL_INVENTORY", raising=False)
    for name in ("runbooks", "inventories"):
        Path(name).mkdir()
    Path("runbooks/tidy.yml").write_text(RUNBOOK)
    return tmp_path


def run(*places: str, key: str = "") -> tuple[int, list[Event]]:
    """A run that publishes to these places, signed with this key: its exit code and its events."""
    text = INVENTORY.replace("PLACES", ", ".join(json.dumps(p) for p in places))
    Path("inventories/office.yml").write_text(text.replace("KEY", f", key: {json.dumps(key)}" if key else ""))
    code = execute(["run", "tidy", "acacia", "--yes", "--no-input", "--approve", "agree=the client said so"])
    journal = JournalFile(Path("state/journal.db"))
    events = list(journal.events(journal.find(None)))
    journal.close()
    return code, events


def python(program: str) -> str:
    return f"command:{shlex.join([sys.executable, '-c', program])}"


def test_heads_are_published_at_the_start_at_approvals_and_at_the_end(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = python("import sys; open('sent.jsonl', 'a').write(sys.stdin.read())")
    code, events = run("file:heads.jsonl", copy)
    assert code == 0
    lines = [json.loads(line) for line in Path("inventories/heads.jsonl").read_text().splitlines()]
    assert [line["moment"] for line in lines] == ["started", "approval of agree: yes", "ended: done"]
    sums = {event.sequence: event.sha256 for event in events}
    assert [sums[line["events"]] for line in lines] == [line["head"] for line in lines]
    assert (lines[0]["events"], lines[-1]["events"]) == (1, len(events))
    assert {(line["service"], line["mode"], line["run_id"]) for line in lines} == {("acacia", "real", events[0].run_id)}
    assert Path("sent.jsonl").read_text() == Path("inventories/heads.jsonl").read_text()
    assert Path("inventories/heads.jsonl").stat().st_mode & 0o077 == 0
    # What verify is given: a pack whose chain has them all.
    assert execute(["evidence", "-o", "pack"]) == 0
    Path("allowed_signers").write_text("")
    words = ["evidence", "verify", "pack", "--allowed-signers", "allowed_signers", "--heads", "inventories/heads.jsonl"]
    capsys.readouterr()
    assert execute([*words, "--json"]) == 9  # it is not signed, and that is all
    checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["published heads"]["text"] == "the chain has all 3 of them"
    assert [name for name, c in checks.items() if c["result"] == "broken"] == ["signature"]


def test_a_place_that_fails_is_journalled_and_the_run_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The last step waits until the first failures are in the journal, so that the run does not end before them.
    seen = "select count(*) from events where type = 'messenger_failed'"
    wait = (
        "import sqlite3, time\n"
        f"while sqlite3.connect('{folder}/state/journal.db').execute(\"{seen}\").fetchone()[0] < 4: time.sleep(0.05)"
    )
    Path("runbooks/tidy.yml").write_text(
        RUNBOOK + f"  - {{id: wait, local: {json.dumps(shlex.join([sys.executable, '-c', wait]))}}}\n"
    )
    code, events = run("file:no/such/place", python("raise SystemExit(7)"))
    assert code == 0
    told = {e.body.detail for e in events if isinstance(e.body, MessengerFailed) and e.body.messenger == "heads"}
    assert any(re.fullmatch(r"not published to file:.*/no/such/place: No such file or directory", t) for t in told)
    assert any(t.endswith(": exit code 7") for t in told)
    assert events[-1].body.type == "run_ended"
    # What fails after the last event has no place in the journal: its own head was published.
    assert "warning: the head of the chain was not published to file:" in capsys.readouterr().err


def test_a_place_that_hangs_holds_nothing_up_and_is_not_left_behind(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(heads, "CLOSING_LIMIT_S", 0.2)
    hangs = python(f"import time; time.sleep(60)  # {tmp_path}")
    code, events = run(hangs, "file:heads.jsonl")
    assert code == 0
    assert subprocess.run(["pgrep", "-f", f"time.sleep.*{tmp_path}"], check=False).returncode == 1, "left behind"
    assert events[-1].body.type == "run_ended"
    assert "it does not answer" in capsys.readouterr().err
    assert len(Path("inventories/heads.jsonl").read_text().splitlines()) == 3


def test_a_command_for_heads_does_not_inherit_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "correct horse")
    code, events = run(python("import os, sys; sys.exit(9 * ('DATABASE_PASSWORD' in os.environ))"), "file:heads.jsonl")
    assert code == 0
    assert not [event.body for event in events if isinstance(event.body, MessengerFailed)]


def test_a_place_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("inventories/office.yml").write_text(INVENTORY.replace("PLACES", "heads.jsonl").replace("KEY", ""))
    assert execute(["validate", "-i", "inventories/office.yml"]) == 3
    said = "".join(capsys.readouterr())
    assert "inventories/office.yml:3:20" in said
    assert "a place for heads is file:/path or command:program argument" in said


def make_key(name: str, passphrase: str = "") -> str:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", name]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    return f"auditor@example.org {Path(name + '.pub').read_text()}"


def test_heads_are_signed_and_anybody_can_check_that(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("allowed_signers").write_text(make_key("inventories/key"))
    code, events = run("file:heads.jsonl", key="key")
    assert code == 0
    rows = [json.loads(line) for line in Path("inventories/heads.jsonl").read_text().splitlines()]
    assert [row["moment"] for row in rows] == ["started", "approval of agree: yes", "ended: done"]
    for row in rows:
        Path("sig").write_text(row["signature"])
        done = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-f", "allowed_signers", "-I", "auditor@example.org", "-n", "drctl-head",
             "-s", "sig"],
            input=f"drctl head\nrun: {row['run_id']}\nevents: {row['events']}\nhead: {row['head']}\n",
            text=True, check=False, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert execute(["evidence", "-o", "pack"]) == 0
    words = ["evidence", "verify", "pack", "--allowed-signers", "allowed_signers", "--heads", "inventories/heads.jsonl"]

    def checked() -> tuple[str, str]:
        capsys.readouterr()
        assert execute([*words, "--json"]) == 9  # it is not signed
        found = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}["published heads"]
        return found["result"], found["text"]

    assert checked() == ("holds", "the chain has all 3 of them; 3 are signed by auditor@example.org")
    # A head whose signature is of another head, and one that a stranger signed.
    lines = [json.dumps({**row, "signature": rows[0]["signature"]}) for row in rows]
    Path("inventories/heads.jsonl").write_text("\n".join(lines))
    result, said = checked()
    assert result == "broken"
    assert f"over {len(events)} events (drctl-head): the signature is not" in said
    Path("allowed_signers").write_text(make_key("stranger"))
    assert "no allowed signer has that key" in checked()[1]


def test_a_key_that_cannot_sign_alone_is_said_and_the_heads_are_published_without(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_ASKPASS", "/bin/true")
    monkeypatch.setenv("DISPLAY", ":0")
    make_key("inventories/key", passphrase="correct horse")
    code, _ = run("file:heads.jsonl", key="key")
    assert code == 0
    rows = [json.loads(line) for line in Path("inventories/heads.jsonl").read_text().splitlines()]
    assert [("signature" in row) for row in rows] == [False] * 3
    assert "was not signed: ssh-keygen cannot sign with" in capsys.readouterr().err
