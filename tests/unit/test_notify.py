"""People are told of a run by real receivers, and none that is dead, slow or silent delays or fails the run."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from drctl.adapters import notify
from drctl.adapters.journal import JournalFile
from drctl.cli.main import execute
from drctl.model.events import Event, NotificationSent, NotificationSettled, RunEnded
from tests.support.receivers import SECRET, Mailbox, Receiver

INVENTORY = """\
inventory: office
residency: ZA
notify:
NOTIFY
sites:
  here: {provider: TaskFlow, country: ZA, kind: office}
  there: {provider: TaskFlow, country: ZA, kind: office}
hosts:
  desk: {site: here, address: 192.0.2.1, user: drctl}
services:
  acacia: {title: Acacia <script>, sla: false, objectives: {rto: 4h}, roles: {primary: desk}}
"""
RUNBOOK = """\
runbook: tidy
title: Tidy up
steps:
  - {id: look, local: echo looked, read_only: true}
  - {id: agree, approval: {prompt: Shall it be done?}}
  - {id: tidy, local: echo tidied, marks: service_restored}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("DRCTL_INVENTORY", raising=False)
    monkeypatch.setattr(notify, "FIRST_PAUSE_S", 0.01)
    for name in ("runbooks", "inventories"):
        Path(name).mkdir()
    Path("runbooks/tidy.yml").write_text(RUNBOOK)
    return tmp_path


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server
        server.shutdown()


def declare(*lines: str) -> None:
    """An inventory with these notifiers."""
    Path("inventories/office.yml").write_text(INVENTORY.replace("NOTIFY", "\n".join(f"  - {line}" for line in lines)))


def by_url(name: str, url: str, more: str = "") -> str:
    """A notifier whose URL is in a file."""
    Path(f"{name}.url").write_text(url + "\n")
    return f'{{name: {name}, url: {{secret: "file:{Path(name + ".url").absolute()}"}}{more}}}'


def run(*more: str, code: int = 0) -> list[Event]:
    """A run of the runbook; its events."""
    words = ["run", "tidy", "acacia", "--yes", "--no-input", "--reason", "a test", *more]
    assert execute([*words, *([] if "--check" in more else ["--approve", "agree=the client said so"])]) == code
    return events()


def events() -> list[Event]:
    with closing(JournalFile(Path("state/journal.db"))) as journal:
        return list(journal.events(journal.find(None)))


def fates(found: list[Event]) -> dict[str, list[str]]:
    """What became of the messages, by notifier."""
    told: dict[str, list[str]] = {}
    for event in found:
        if isinstance(event.body, NotificationSettled):
            told.setdefault(event.body.notifier, []).append(event.body.fate.value)
    return told


def details(found: list[Event], notifier: str) -> set[str]:
    return {e.body.detail for e in found if isinstance(e.body, NotificationSettled) and e.body.notifier == notifier}


MOMENTS = ["started", "approval_asked", "approval_given", "service_restored", "ended"]


def test_each_moment_arrives_with_the_head_and_its_fate_is_in_the_evidence(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    mailbox = Mailbox()
    smtp = Controller(mailbox, hostname="127.0.0.1", port=(port := dead_port()))
    smtp.start()
    taker = "import os, sys; open('taken.jsonl', 'a').write(sys.stdin.read() + os.environ.get('TOLD', ''))"
    try:
        declare(
            by_url("hook", receiver.url),
            by_url("mail", f"mailto://127.0.0.1:{port}?from=drctl@taskflow.example&to=ops@taskflow.example"),
            f"{{name: program, command: [{json.dumps(sys.executable)}, -c, {json.dumps(taker)}]}}",
            "{name: log, file: messages.jsonl}",
            "{name: restored-only, file: restored.jsonl, on: [service_restored]}",
        )
        found = run()
    finally:
        smtp.stop()
    everything = dict.fromkeys(("hook", "mail", "program", "log"), ["delivered"] * 5) | {"restored-only": ["delivered"]}
    assert fates(found) == everything
    sent = [e.body for e in found if isinstance(e.body, NotificationSent)]
    assert [body.moment for body in sent] == MOMENTS
    assert [body.number for body in sent] == [1, 2, 3, 4, 5]
    sums = {e.sequence: e.sha256 for e in found}
    for lines in (Path("inventories/messages.jsonl"), Path("taken.jsonl")):
        rows = [json.loads(line) for line in lines.read_text().splitlines()]
        assert [row["moment"] for row in rows] == MOMENTS
        assert [sums[row["events"]] for row in rows] == [row["head"] for row in rows]
        assert all(f"head {row['events']} {row['head']}" in row["text"] for row in rows)
    assert [json.loads(x)["moment"] for x in Path("inventories/restored.jsonl").read_text().splitlines()] == [
        MOMENTS[3]
    ]
    assert [row["title"] for row in receiver.got] == [f"tidy of acacia: {m.replace('_', ' ')}" for m in MOMENTS]
    assert [row["message"] for row in receiver.got] == [body.text for body in sent]
    assert [row["type"] for row in receiver.got] == ["info", "warning", "info", "success", "info"]
    assert len(mailbox.mails) == 5
    first = message_from_bytes(mailbox.mails[0], policy=policy.default)
    assert first["Subject"] == "tidy of acacia: started"
    assert first.get_content_type() == "text/plain"
    assert "(Acacia <script>)\nstarted by" in first.get_content().replace("\r\n", "\n")

    # The run's end is what decides whether it is over, and not what was written after it.
    assert isinstance(next(e.body for e in reversed(found) if e.body.type.startswith("run_")), RunEnded)
    assert not isinstance(found[-1].body, RunEnded)
    capsys.readouterr()
    assert execute(["status"]) == 0
    assert execute(["resume"]) == 2
    said = capsys.readouterr()
    assert "is over" in said.err or "no run is open" in said.err
    assert execute(["report", "--format", "md"]) == 0
    page = capsys.readouterr().out
    assert "## Notifications" in page
    assert "approval\\_given to hook: delivered" in page or "approval_given to hook: delivered" in page
    # And the file is what verify is given.
    assert execute(["evidence", "-o", "pack"]) == 0
    Path("nobody").write_text("")
    capsys.readouterr()
    words = ["evidence", "verify", "pack", "--allowed-signers", "nobody", "--heads", "inventories/messages.jsonl"]
    assert execute([*words, "--json"]) == 9
    told = json.loads(capsys.readouterr().out)
    assert [c["name"] for c in told["checks"] if c["result"] == "broken"] == ["signature"]
    assert next(c["text"] for c in told["checks"] if c["name"] == "published heads") == "the chain has all 5 of them"
    assert told["ongoing"] is False


def dead_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_the_dead_the_deaf_and_the_broken_neither_delay_nor_fail_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last step waits until the first failures are written down, so that some are known before the end."""
    monkeypatch.setattr(notify, "CLOSING_LIMIT_S", 1.0)
    monkeypatch.setattr(notify, "ATTEMPTS", 2)
    quick = ("dead", "nonsense", "fails", "nowhere", "unset")
    count = "select count(distinct json_extract(body, '$.notifier')) from events where type = 'notification_settled' "
    count += f"and json_extract(body, '$.notifier') in {quick}"
    wait = (
        "import sqlite3, time\n"
        f'while sqlite3.connect("{folder}/state/journal.db").execute("{count}").fetchone()[0] < 5: time.sleep(0.05)'
    )
    step = f"  - {{id: wait, timeout: 120s, local: {json.dumps(shlex.join([sys.executable, '-c', wait]))}}}\n"
    Path("runbooks/tidy.yml").write_text(RUNBOOK + step)
    with socket.socket() as deaf:  # takes the connection, and never says a word
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(64)
        fifo = Path("inventories/fifo")
        os.mkfifo(fifo)  # to open it for writing waits for a reader that never comes
        hangs = shlex.split(f"{sys.executable} -c 'import time; time.sleep(600)'")
        declare(
            by_url("dead", f"json://drctl:{SECRET}@127.0.0.1:{dead_port()}/{SECRET}"),
            by_url("deaf", f"json://127.0.0.1:{deaf.getsockname()[1]}/?rto=600", ", timeout: 60s"),
            by_url("nonsense", "no-such-service://somewhere"),
            f"{{name: hangs, timeout: 1s, command: {json.dumps(hangs)}}}",
            "{name: fails, command: [sh, -c, exit 7]}",
            "{name: nowhere, file: no/such/place.jsonl}",
            "{name: fifo, file: fifo}",
            '{name: unset, url: {secret: "env:DRCTL_NO_SUCH_URL"}}',
        )
        found = run()
    # What is still at it when the time is over is ended, and not left behind.
    assert not [seen for seen in _arguments_and_environments() if b"apprise_child" in seen or b"time.sleep" in seen]
    ended = next(e for e in found if isinstance(e.body, RunEnded))
    early = [e.body.notifier for e in found if isinstance(e.body, NotificationSettled) and e.sequence < ended.sequence]
    assert set(quick) <= set(early)
    assert not {"deaf", "fifo"} & set(early)
    told = fates(found)
    assert {name: len(of) for name, of in told.items()} == dict.fromkeys([*quick, "deaf", "hangs", "fifo"], 5)
    assert [told[name][0] for name in quick] == ["failed"] * 5
    assert [told[name][0] for name in ("deaf", "hangs", "fifo")] == ["sent"] * 3
    assert not [name for name in told if "delivered" in told[name]]
    assert any("Connection refused" in text for text in details(found, "dead")), details(found, "dead")
    assert "sh ended with exit code 7" in details(found, "fails")
    assert any("No such file or directory" in text for text in details(found, "nowhere"))
    assert "apprise does not know such a URL" in details(found, "nonsense")
    assert any("env:DRCTL_NO_SUCH_URL is not set" in text for text in details(found, "unset"))
    assert SECRET not in " ".join(map(str, found))
    capsys.readouterr()
    assert execute(["report"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "dead was not told of started, as far as is known (failed)" in said
    assert "started to deaf: SENT" in said


def test_what_is_refused_at_first_is_tried_again(receiver: Receiver) -> None:
    receiver.refused = 2
    declare(by_url("hook", receiver.url, ", on: [ended]"))
    found = run()
    last = found[-1].body
    assert isinstance(last, NotificationSettled)
    assert (last.fate, last.attempts, len(receiver.got)) == ("delivered", 3, 1)


def _is_a_child_of_this(process: Path) -> bool:
    try:
        return int(process.joinpath("stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
    except (OSError, ValueError):
        return False


def _arguments_and_environments() -> set[bytes]:
    """Of every child of this process, as any other process of this user could read them."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        if _is_a_child_of_this(process):
            with suppress(OSError):
                found |= {(process / "cmdline").read_bytes(), (process / "environ").read_bytes()}
    return found


def test_a_secret_url_is_in_no_argument_environment_journal_or_report(
    folder: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOOK_URL", receiver.url)
    monkeypatch.setenv("PASSWORD_STORE", SECRET)
    for name, text in (("pass", receiver.url), ("say", SECRET)):
        Path(name).write_text(f"#!/bin/sh\necho '{text}'\n")
        Path(name).chmod(0o700)
    # A step prints the password of the URL once that is known to drctl, which is when the first message has gone out.
    wait = f"until [ -s {folder}/posted ]; do sleep 0.05; done; {folder}/say"
    Path("runbooks/tidy.yml").write_text(RUNBOOK + f"  - {{id: say, local: {json.dumps(wait)}}}\n")
    receiver.looks = lambda: (_arguments_and_environments(), Path("posted").write_text("yes"))[0]
    declare(
        '{name: env, url: {secret: "env:HOOK_URL"}, on: [started, ended]}',
        f'{{name: pass, url: {{secret: "command:{folder}/pass"}}, on: [started, ended]}}',
    )
    assert fates(run()) == {"env": ["delivered"] * 2, "pass": ["delivered"] * 2}
    assert receiver.paths == [f"/hook/{SECRET}-path"] * 4
    assert any(b"-c\0import json" in seen for seen in receiver.seen), "senders were looked at while they sent"
    assert not [seen for seen in receiver.seen if SECRET.encode() in seen]
    assert execute(["evidence", "-o", "pack"]) == 0
    assert execute(["report", "--details"]) == 0
    said = capsys.readouterr()
    assert "[redacted]" in said.out
    assert SECRET not in said.err + said.out
    kept = [path for place in ("state", "pack") for path in Path(place).rglob("*") if path.is_file()]
    assert len(kept) > 10
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]


def test_a_check_is_no_news() -> None:
    declare("{name: log, file: messages.jsonl}")
    Path("runbooks/tidy.yml").write_text(
        RUNBOOK.replace("  - {id: agree, approval: {prompt: Shall it be done?}}\n", "")
    )
    assert execute(["check", "tidy", "acacia"]) == 0
    assert not [e for e in events() if isinstance(e.body, NotificationSent)]
    assert not Path("inventories/messages.jsonl").exists()


def test_a_run_that_is_killed_leaves_messages_whose_fate_is_not_known(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between the message and its fate drctl dies. The evidence says that it was sent, and a resume counts on."""
    waits = json.dumps(f"until [ -e {folder}/go ]; do sleep 0.05; done")
    Path("runbooks/tidy.yml").write_text(RUNBOOK.replace("echo looked", waits))
    hangs = [sys.executable, "-c", "import time; time.sleep(5)"]
    declare(f"{{name: hangs, timeout: 60s, command: {json.dumps(hangs)}, on: [started]}}")
    words = [Path(sys.executable).with_name("drctl"), "run", "tidy", "acacia", "--yes", "--no-input"]
    with subprocess.Popen([*words, "--approve", "agree=yes"], stderr=subprocess.DEVNULL) as drctl:
        while not (Path("state/journal.db").exists() and _count("notification_sent")):
            assert drctl.poll() is None
        drctl.kill()
    assert _count("notification_settled") == 0
    assert execute(["report"]) == 0
    assert "started to hangs: SENT: under way" in capsys.readouterr().out
    Path("go").touch()
    assert execute(["resume", "--no-input", "--approve", "agree=yes"]) == 0
    sent = [e.body for e in events() if isinstance(e.body, NotificationSent)]
    assert [(body.number, "resumed" in body.text) for body in sent] == [(1, False), (2, True)]
    capsys.readouterr()
    assert execute(["report"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "started to hangs: SENT: drctl ended before it was known what became of it" in said


def _count(kind: str) -> int:
    try:
        with closing(sqlite3.connect("state/journal.db")) as journal:
            return int(journal.execute("select count(*) from events where type = ?", (kind,)).fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # it is being made


def test_a_test_message_and_what_the_doctor_says(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    declare(
        by_url("hook", receiver.url),
        by_url("nonsense", "no-such-service://somewhere"),
        "{name: log, file: messages.jsonl}",
        "{name: nowhere, file: no/such/place.jsonl}",
        "{name: missing, command: [no-such-program-at-all]}",
    )
    assert execute(["doctor", "--offline", "--json"]) == 1
    said = {f["subject"]: f for f in json.loads(capsys.readouterr().out)}
    good = {name: said[f"notifier {name}"]["good"] for name in ("hook", "nonsense", "log", "nowhere", "missing")}
    assert good == {"hook": True, "nonsense": False, "log": True, "nowhere": False, "missing": False}
    assert "drctl notify test nonsense" in said["notifier nonsense"]["hint"]
    assert not receiver.got, "the doctor sends nothing"
    assert not Path("inventories/messages.jsonl").exists()

    assert execute(["notify", "test"]) == 1
    rows = {line.split()[1]: line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert rows == {
        "hook": "delivered", "nonsense": "FAILED", "log": "delivered", "nowhere": "FAILED", "missing": "FAILED",
    }  # fmt: skip
    assert [row["title"] for row in receiver.got] == ["TEST: a message of drctl, and no outage"]
    assert execute(["notify", "test", "log", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"notifier": "log", "fate": "delivered", "detail": ""}]
    assert execute(["notify", "test", "lgo"]) == 2
    assert 'did you mean "log"?' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["{name: a, url: json://localhost}"], "notify.0.url"),
        (["{name: a}"], "exactly one of url, command and file; here is none"),
        (["{name: a, file: x, command: [y]}"], "exactly one of url, command and file; command and file are 2"),
        (["{name: a, file: x}", "{name: a, file: y}"], 'there is a notifier "a" already'),
        (["{name: a, file: x, site: tehre}"], 'did you mean "there"?'),
        (["{name: a, file: x, on: [strated]}"], "notify.0.on.0"),
    ],
)
def test_what_is_wrong_in_the_inventory_is_said(
    lines: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(*lines)
    assert execute(["validate", "-i", "inventories/office.yml"]) == 3
    assert said in " ".join("".join(capsys.readouterr()).split())


def test_a_notifier_in_a_lost_site_is_refused_unless_another_is_told_as_much(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["plan", "tidy", "acacia", "--json", "--assume-down"]

    def needs(*lines: str, code: int, site: str = "there") -> list[tuple[str, bool]]:
        declare(*lines)
        assert execute([*words, site]) == code
        return [(n["what"], n["refused"]) for n in json.loads(capsys.readouterr().out)["needs"]]

    there = "{name: chat, file: a, site: there}"
    assert needs(there, code=7) == [("the notifier chat at there", True)]
    assert needs(there, "{name: pager, file: b}", code=0) == [("the notifier chat at there", False)]
    assert needs(there, "{name: pager, file: b, on: [ended]}", code=7) == [("the notifier chat at there", True)]
    assert needs(there, "{name: pager, file: b, site: there}", code=7) == [
        ("the notifier chat at there", True), ("the notifier pager at there", True),
    ]  # fmt: skip
    vault = '{name: chat, url: {secret: "command:ssh 192.0.2.1 cat url"}}'
    assert needs(vault, code=7, site="here") == [("the notifier chat, which comes from 192.0.2.1", True)]
    assert needs(vault, code=0) == []
