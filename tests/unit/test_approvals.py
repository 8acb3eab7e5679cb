"""Approvals as signatures: of others, of this plan and this question, fresh enough, and enough of them."""

from __future__ import annotations

import getpass
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pexpect
import pytest

from drctl.adapters import clock
from drctl.adapters.journal import JournalFile, Signed
from drctl.cli.main import execute
from drctl.cli.requests import DecidedElsewhere, Requests
from drctl.engine.ports import Answer
from drctl.engine.state import RunState
from drctl.errors import ExitCode
from drctl.model.events import PersonAsked, Question
from drctl.model.plan import Approval
from tests.support.world import plan, step

INVENTORY = """\
inventory: office
residency: ZA
sites:
  here: {provider: TaskFlow, country: ZA, kind: office}
hosts:
  desk: {site: here, address: 192.0.2.1, user: drctl}
approvals: {allowed_signers: allowed_signers, minimum: MINIMUM, within: 30m}
services:
  acacia:
    title: Acacia
    sla: false
    roles: {primary: desk}
    vars: {notes: NOTES}
"""
RUNBOOK = """\
runbook: tidy
title: Tidy up
steps:
  - {id: measure, local: echo 7, read_only: true, capture: {loss: int}}
  - {id: agree, approval: {prompt: "Lose ${loss} rows?"}}
  - id: note
    local: |
      echo done >>"$notes"
"""
PEOPLE = ("thandi", "sipho", "mallory")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DRCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("DRCTL_INVENTORY", raising=False)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    for name in ("runbooks", "inventories", "home/.ssh"):
        Path(name).mkdir(parents=True)
    Path("runbooks/tidy.yml").write_text(RUNBOOK)
    signers = ""
    for person in (*PEOPLE, "home/.ssh/id_ed25519"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", person]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        if person != "mallory":
            name = person if "/" not in person else "somebody-else"
            signers += f"{name}@taskflow.example {Path(person + '.pub').read_text()}"
    Path("inventories/allowed_signers").write_text(signers)
    demand(1)
    return tmp_path


def demand(minimum: int) -> None:
    text = INVENTORY.replace("MINIMUM", str(minimum)).replace("NOTES", str(Path("notes").absolute()))
    Path("inventories/office.yml").write_text(text)


def begin() -> None:
    assert execute(["run", "tidy", "acacia", "--yes", "--no-input"]) == ExitCode.NEEDS_A_PERSON


def approve(person: str, *more: str) -> int:
    return execute(["approve", "agree", *more, "--reason", "the client agreed", "--key", person])


def resume(*more: str) -> int:
    return execute(["resume", "--no-input", *more])


def report(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert execute(["report"]) == ExitCode.DONE
    return " ".join(capsys.readouterr().out.split())


def answers(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    """What was answered, as the journal holds it, by way of the evidence that anybody can read."""
    capsys.readouterr()
    assert execute(["report", "--format", "json"]) == ExitCode.DONE
    found: list[dict[str, str]] = json.loads(capsys.readouterr().out)["decisions"]
    return [d for d in found if d["question"] == "approval"]


def test_another_person_approves_and_the_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", "tidy", "acacia", "--yes", "--no-input"]) == ExitCode.NEEDS_A_PERSON
    assert "0 of 1 approvals of others than you" in capsys.readouterr().err
    assert not Path("notes").exists()
    assert approve("thandi") == ExitCode.DONE
    assert resume() == ExitCode.DONE
    assert Path("notes").read_text() == "done\n"
    assert [(a["answer"], a["who"]) for a in answers(capsys)] == [
        ("pause", ""),
        ("approve", "thandi@taskflow.example"),
    ]
    assert "the client agreed" in report(capsys)


def test_two_are_two_different_people(capsys: pytest.CaptureFixture[str]) -> None:
    demand(2)
    begin()
    assert approve("thandi") == ExitCode.DONE
    assert approve("thandi") == ExitCode.DONE
    assert resume() == ExitCode.NEEDS_A_PERSON
    assert "1 of 2 approvals" in capsys.readouterr().err
    assert not Path("notes").exists()
    assert approve("sipho") == ExitCode.DONE
    assert resume() == ExitCode.DONE


def test_who_runs_it_cannot_approve_it(capsys: pytest.CaptureFixture[str]) -> None:
    begin()
    # By their key, whatever the allowed signers call them.
    assert approve("home/.ssh/id_ed25519") == ExitCode.STEP_FAILED
    assert "four eyes are needed" in capsys.readouterr().err
    # By their name, whichever key they have.
    signers = Path("inventories/allowed_signers")
    signers.write_text(signers.read_text().replace("sipho", getpass.getuser()))
    assert execute(["abort", "--reason", "again"]) == ExitCode.ABORTED
    begin()
    assert approve("sipho") == ExitCode.STEP_FAILED
    assert "four eyes are needed" in capsys.readouterr().err
    assert execute(["run", "tidy", "acacia", "--yes", "--no-input", "--approve", "agree=me"]) == ExitCode.USAGE
    assert "signatures of 1 other than you" in capsys.readouterr().err
    assert resume() == ExitCode.NEEDS_A_PERSON
    assert not Path("notes").exists()


def ask(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert execute(["approve", "agree", "--ask"]) == ExitCode.DONE
    return capsys.readouterr().out


def signed(text: str, person: str = "thandi", namespace: str = "drctl-approval") -> str:
    """The signature of OpenSSH's own program, as on a machine without drctl."""
    Path("ask.txt").write_text(text)
    Path("ask.txt.sig").unlink(missing_ok=True)
    words = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", person, "ask.txt"]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Path("ask.txt.sig").read_text()


def hand_in(text: str, person: str = "thandi", namespace: str = "drctl-approval") -> int:
    """The exit code of handing in a text with its signature."""
    Path("yes.txt").write_text(text + signed(text, person, namespace))
    return execute(["approve", "--accept", "yes.txt"])


def test_from_another_machine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    begin()
    text = ask(capsys)
    assert "asked: Lose 7 rows?\n" in text
    Path("ask.txt").write_text(text)
    sign = ["approve", "--sign", "ask.txt", "--reason", "fine", "--key", "thandi"]
    assert execute(["--state-dir", str(tmp_path / "none"), *sign]) == ExitCode.DONE
    Path("yes.txt").write_text(capsys.readouterr().out)
    assert execute(["approve", "--accept", "yes.txt"]) == ExitCode.DONE
    assert resume() == ExitCode.DONE


def later(text: str) -> str:
    return text.replace("issued: 20", "issued: 19")


WRONG: list[tuple[Callable[[str], str], dict[str, str], str]] = [
    (lambda t: t.replace("plan: ", "plan: 0"), {}, "it is for another plan"),
    (lambda t: t.replace("Lose 7", "Lose 3"), {}, "it is for another question"),
    (later, {}, "it expired"),
    (lambda t: t.replace("issued: 20", "issued: 21"), {}, "ahead of this machine's clock"),
    (lambda t: t, {"person": "mallory"}, "no allowed signer has that key"),
    (lambda t: t, {"namespace": "file"}, "the signature is not thandi@taskflow.example's"),
    (lambda t: t.replace("fine", ""), {}, "it gives no reason"),
]


@pytest.mark.parametrize(("change", "how", "said"), WRONG, ids=[said for _, _, said in WRONG])
def test_what_does_not_count(
    change: Callable[[str], str], how: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begin()
    text = ask(capsys).replace("reason: \n", "reason: fine\n")
    assert hand_in(change(text), **how) == ExitCode.STEP_FAILED
    assert said in capsys.readouterr().err
    assert resume() == ExitCode.NEEDS_A_PERSON
    assert not Path("notes").exists()


def test_a_text_that_was_changed_after_it_was_signed(capsys: pytest.CaptureFixture[str]) -> None:
    begin()
    assert hand_in(ask(capsys).replace("reason: \n", "reason: fine\n")) == ExitCode.DONE
    Path("yes.txt").write_text(Path("yes.txt").read_text().replace("fine", "fake"))
    assert execute(["approve", "--accept", "yes.txt"]) == ExitCode.STEP_FAILED
    Path("yes.txt").write_text("yes\n")
    assert execute(["approve", "--accept", "yes.txt"]) == ExitCode.USAGE
    assert "no SSH signature" in capsys.readouterr().err


def test_what_got_past_the_command_is_judged_again_by_the_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good when it was handed in, and expired when the run goes on: it is refused, and that is written down."""
    begin()
    assert approve("thandi") == ExitCode.DONE
    now = clock.SystemClock.now
    monkeypatch.setattr(clock.SystemClock, "now", lambda self: now(self).replace(year=now(self).year + 1))
    assert resume() == ExitCode.NEEDS_A_PERSON
    assert not Path("notes").exists()
    refused = [a for a in answers(capsys) if a["answer"] == "refused"]
    assert [a["who"] for a in refused] == ["thandi@taskflow.example"]
    assert "it expired" in refused[0]["why"]
    assert "did not count: it expired" in report(capsys)


PAST_THE_COMMAND: list[tuple[Callable[[str], str], dict[str, str], str]] = [
    *[wrong for wrong in WRONG if "gives no reason" not in wrong[2]],
    (lambda t: t.replace("run: 2", "run: 3"), {}, "it is for another run"),
    (lambda t: t.replace("service: acacia", "service: baobab"), {}, "it is for another service"),
    (lambda t: t.replace("step: agree", "step: note"), {}, "it is for another step"),
    (lambda t: t, {"person": "home/.ssh/id_ed25519"}, "four eyes are needed"),
]


@pytest.mark.parametrize(("change", "how", "said"), PAST_THE_COMMAND, ids=[said for _, _, said in PAST_THE_COMMAND])
def test_what_is_put_past_the_command_is_refused_by_the_run_and_written_down(
    change: Callable[[str], str], how: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever can write the journal's letter box gets no further than whoever types the command."""
    begin()
    text = change(ask(capsys).replace("reason: \n", "reason: fine\n"))
    signature = signed(text, **how)
    with closing(JournalFile(Path("state") / "journal.db")) as journal:
        run_id = journal.find(None)
        journal.hand_in(run_id, Signed(step="agree", statement=text, signature=signature, at="2026-11-24T00:00:00Z"))
    assert resume() == ExitCode.NEEDS_A_PERSON
    assert not Path("notes").exists()
    refused = [a for a in answers(capsys) if a["answer"] == "refused"]
    assert len(refused) == 1
    assert said in refused[0]["why"]


def test_a_text_that_was_changed_after_it_was_signed_is_refused_by_the_run_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin()
    text = ask(capsys).replace("reason: \n", "reason: fine\n")
    signature = signed(text)
    with closing(JournalFile(Path("state") / "journal.db")) as journal:
        fake = Signed(step="agree", statement=text.replace("fine", "fake"), signature=signature, at="x")
        journal.hand_in(journal.find(None), fake)
    assert resume() == ExitCode.NEEDS_A_PERSON
    assert "the signature is not thandi@taskflow.example's for this text" in answers(capsys)[-2]["why"]


def test_a_run_that_waits_at_its_terminal_goes_on_when_somebody_signs_in_another(tmp_path: Path) -> None:
    argv = [str(Path(sys.executable).with_name("drctl")), "run", "tidy", "acacia", "--yes", "--plain"]
    environment = {**os.environ, "TERM": "dumb", "LANG": "C.UTF-8"}
    running = pexpect.spawn(argv[0], argv[1:], env=environment, timeout=120, encoding="utf-8", echo=False)
    try:
        running.expect("no, pause, break_glass")
        other = subprocess.run(
            [argv[0], "approve", "agree", "--reason", "the client agreed", "--key", "thandi"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert other.returncode == 0, other.stderr
        running.expect(pexpect.EOF)
        running.wait()
        assert running.exitstatus == 0
    finally:
        running.close(force=True)
    assert Path("notes").read_text() == "done\n"


def test_alone_the_glass_is_broken_in_front_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    """With a reason, an alert that no notifier can leave out, and a line in the evidence that is red on the page."""
    inventory = Path("inventories/office.yml")
    inventory.write_text(inventory.read_text() + "notify: [{name: log, file: log.jsonl, on: [service_restored]}]\n")
    begin()
    assert resume("--break-glass", "agree=") == ExitCode.USAGE
    assert resume("--break-glass", "agre=x") == ExitCode.USAGE
    assert resume("--break-glass", "agree=nobody answers the phone") == ExitCode.DONE
    assert Path("notes").read_text() == "done\n"
    said = report(capsys)
    assert "broke the glass: nobody answers the phone" in said
    assert "agree: NOT APPROVED" in said
    (alert,) = [json.loads(line) for line in Path("inventories/log.jsonl").read_text().splitlines()]
    assert alert["moment"] == "glass_broken"
    assert "ALERT: agree was NOT APPROVED" in alert["text"]
    assert "nobody answers the phone" in alert["text"]
    assert execute(["evidence", "-o", "pack"]) == ExitCode.DONE
    page = Path("pack/report.html").read_text()
    assert re.search(r'class="warning bad">NOT APPROVED: agree: [^<]*nobody answers the phone', page)


def test_signers_that_are_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    Path("inventories/allowed_signers").unlink()
    assert execute(["plan", "tidy", "acacia"]) == ExitCode.INVALID_DOCUMENT
    assert "approvals.allowed_signers" in capsys.readouterr().err
    Path("inventories/office.yml").write_text(
        "".join(x for x in Path("inventories/office.yml").read_text().splitlines(True) if "approvals" not in x)
    )
    Path("runbooks/tidy.yml").write_text(RUNBOOK.replace('rows?"', 'rows?", minimum: 2'))
    assert execute(["plan", "tidy", "acacia"]) == ExitCode.INVALID_DOCUMENT
    assert "does not say who may sign" in capsys.readouterr().err


def test_nothing_is_approved_before_it_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    runbook = RUNBOOK.replace("echo 7", "exit 1").replace("local: exit 1,", "local: exit 1, on_failure: pause,")
    Path("runbooks/tidy.yml").write_text(runbook)
    begin()
    assert approve("thandi") == ExitCode.USAGE
    assert "has not come to agree yet" in capsys.readouterr().err


def test_a_person_at_the_terminal_waits_no_longer_than_an_approval_may_take() -> None:
    moment = [datetime(2026, 11, 24, tzinfo=UTC)]
    action = Approval(prompt="Go?", minimum=1, within_s=60)
    state = RunState(run_id="r", plan=plan(step("agree", host=None, action=action)))
    question = PersonAsked(
        question=Question.APPROVAL, step="agree", prompt="Go?", answers=("no", "pause"), unattended="pause"
    )

    class Waits:
        """Sits at the terminal until something comes from elsewhere."""

        def decide(self, question: PersonAsked, state: RunState) -> Answer:
            while not person.came():
                moment[0] += timedelta(seconds=20)
            return Answer(answer="pause", who="me")

    with closing(JournalFile(Path("state") / "journal.db")) as journal:
        person = DecidedElsewhere(Requests(journal, "r"), lambda: moment[0])
        person.here = Waits()
        answer = person.decide(question, state)
    assert answer == Answer(answer="pause", why="not enough approvals came within 1m 00s")
    assert moment[0] == datetime(2026, 11, 24, 0, 1, tzinfo=UTC)
