"""The evidence pack: drctl and three stock commands believe a true one, and each way to tamper with it is caught."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from drctl import __version__
from drctl.adapters.ledger import Ledger
from drctl.adapters.signatures import sign
from drctl.cli.main import execute
from drctl.engine.approvals import parse, render
from drctl.model.events import Event, PersonAnswered, RunStarted
from drctl.model.plan import Source
from drctl.report.pack_readme import CHECKS
from tests.support import sample_runs
from tests.support.journals import true_start, write_run
from tests.support.packs import MANIFEST, SIGNER, chained_anew, edit, resigned, rows_of, verify

ROOT = Path(__file__).parents[2]


BLOCKS = r"```sh\n(.*?)```"


def by_hand(pack: Path, keys: Path) -> list[int]:
    """The exit codes of the three commands of the pack's README, with nothing of drctl's on any path."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(pack), "LC_ALL": "C.UTF-8"}
    blocks = re.findall(BLOCKS, CHECKS, re.S)
    assert len(blocks) == 3
    allowed, codes = str(keys / "allowed_signers"), []
    for block in blocks:
        script = block.replace("ALLOWED_SIGNERS", allowed).replace("-I SIGNER", f"-I {SIGNER}")
        done = subprocess.run(
            ["/bin/sh", "-c", script], cwd=pack, env=environment, capture_output=True, text=True, check=False
        )
        codes.append(done.returncode)
    return codes


def test_a_true_pack_is_believed_by_drctl_and_by_stock_tools(
    pack: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(pack, keys, capsys=capsys)[:2] == (0, {})
    assert verify(pack, keys, "--identity", SIGNER, capsys=capsys)[0] == 0
    assert by_hand(pack, keys) == [0, 0, 0]
    assert CHECKS in (pack / "README.md").read_text()
    page = (ROOT / "docs" / "how-to" / "audit.md").read_text()
    assert re.findall(BLOCKS, page, re.S)[:3] == re.findall(BLOCKS, CHECKS, re.S)
    done = subprocess.run(
        ["/bin/sh", "-c", re.findall(BLOCKS, page, re.S)[3]], cwd=pack, capture_output=True, text=True, check=True
    )
    assert f"34 {done.stdout.split()[0]}\n" == (pack / "HEAD").read_text()
    stranger = subprocess.run(
        ["/usr/bin/python3", "-c", "import drctl"],
        cwd=pack,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    assert stranger.returncode != 0  # the python3 of those commands knows nothing of drctl
    text = "".join(p.read_text() for p in pack.glob("*.md"))
    assert not re.search(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u202e]", text)


def an_output(pack: Path) -> Path:
    return sorted((pack / "outputs").iterdir())[0]


def without_a_line(pack: Path) -> None:
    lines = (pack / "events.jsonl").read_bytes().splitlines(keepends=True)
    (pack / "events.jsonl").write_bytes(b"".join(lines[:4] + lines[5:]))


def with_a_line_more(pack: Path) -> None:
    lines = (pack / "events.jsonl").read_bytes().splitlines(keepends=True)
    (pack / "events.jsonl").write_bytes(b"".join([*lines[:4], lines[3], *lines[4:]]))


def without_a_tail(pack: Path) -> None:
    lines = (pack / "events.jsonl").read_bytes().splitlines(keepends=True)
    (pack / "events.jsonl").write_bytes(b"".join(lines[:-2]))


TAMPERING: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "an edited event": (edit("events.jsonl", '"exit_code":2', '"exit_code":0'), "chain", "is not in its place"),
    "a deleted event": (without_a_line, "chain", "event 5 is not in its place"),
    "an added event": (with_a_line_more, "chain", "event 5 is not in its place"),
    "a cut tail": (without_a_tail, "chain", "and the events end with"),
    "an edited output": (lambda p: an_output(p).write_text("all is well\n"), "outputs", "was changed"),
    "a deleted output": (lambda p: an_output(p).unlink(), "outputs", "is not there"),
    "an added output": (lambda p: (p / "outputs" / ("ab" * 32)).write_text("x"), "outputs", "is no output of this run"),
    "an edited plan": (edit("plan.json", '"timeout_s":30.0', '"timeout_s":31.0'), "plan", "is not the plan"),
    "an edited runbook": (edit("documents/1-failover.yml", "failover", "drill"), "plan", "is not the document"),
    "an edited report": (edit("report.json", '"verdict": "met"', '"verdict": "missed"'), "report", "verdict"),
    "a torn last event": (
        lambda p: (p / "events.jsonl").write_bytes((p / "events.jsonl").read_bytes()[:-40]), "chain", "is torn",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPERING, ids=lambda c: c.replace(" ", "-"))
def test_tampering_is_caught(case: str, pack: Path, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the list of sums as it is, and by what the parts say of each other when a trusted key signs them anew."""
    tamper, check, said = TAMPERING[case]
    tamper(pack)
    code, broken, _ = verify(pack, keys, capsys=capsys)
    assert code == 9
    assert "files" in broken
    sums, signature, chain = by_hand(pack, keys)
    # A file too many is nothing that sha256sum looks for.
    assert (sums == 0) is (case == "an added output")
    assert signature == 0
    assert (chain != 0) is (check == "chain")
    resigned(pack, keys / "trusted")
    code, broken, _ = verify(pack, keys, capsys=capsys)
    assert code == 9
    assert set(broken) - {"pages"} == {check} or check == "chain"
    assert said in broken[check]


def approved_by(keys: Path, events: list[Event], *, plan_digest: str = "") -> list[Event]:
    """The run with its approval signed for real, by the trusted key, over the plan as it will be written."""
    started, key = events[0].body, (keys / "trusted.pub").read_text().strip()
    assert isinstance(started, RunStarted)
    text = f'sipho@taskflow namespaces="drctl-approval" {key}\n'
    who = Source(path="approvers", sha256=hashlib.sha256(text.encode()).hexdigest(), text=text)
    started = true_start(replace(started, plan=replace(started.plan, allowed_signers=who)))
    told = subprocess.run(["ssh-keygen", "-lf", keys / "trusted"], capture_output=True, text=True, check=True).stdout

    def signed(event: Event) -> Event:
        if not isinstance(event.body, PersonAnswered):
            return replace(event, body=started) if event.sequence == 1 else event
        statement = render(replace(parse(event.body.statement), plan=plan_digest or started.plan_digest))
        signature = sign(statement, key=keys / "trusted", namespace="drctl-approval")
        body = replace(event.body, statement=statement, signature=signature, fingerprint=told.split()[1])
        return replace(event, body=body)

    return [signed(event) for event in events]


def test_an_approval_that_is_not_what_it_says_is_caught_whoever_signed(
    keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    other = [replace(e, run_id="other") for e in approved_by(keys, sample_runs.exercised(), plan_digest="ab" * 32)]
    for run, wrong in (
        (write_run(state, approved_by(keys, sample_runs.exercised())), ""),
        (write_run(state, other), f"it is for the step declare of the run {sample_runs.exercised()[0].run_id}"),
    ):
        pack = tmp_path / run
        words = ["--state-dir", str(state), "evidence", run, "-o", str(pack), "--key", str(keys / "trusted")]
        assert execute(words) == 0
        assert wrong in verify(pack, keys, capsys=capsys)[1].get("approvals", "")
    rows = rows_of(tmp_path / sample_runs.exercised()[0].run_id)
    for row in rows:
        body = row["body"]
        assert isinstance(body, dict)
        if body["type"] == "person_answered":
            body["statement"] = body["statement"].replace("I watched it", "I was asleep")
    pack = tmp_path / sample_runs.exercised()[0].run_id
    assert "approvals" not in verify(pack, keys, capsys=capsys)[1]
    chained_anew(pack, rows)
    resigned(pack, keys / "trusted")
    broken = verify(pack, keys, capsys=capsys)[1]
    assert "chain" not in broken
    assert "the signature is not sipho@taskflow's for this text" in broken["approvals"]


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [("trend", "missed", "met"), ("exercise", "internal audit", "nobody"), ("repository", "4be1", "5be1"),
     ("host_clocks", "3.25", "0.25")],
)  # fmt: skip
def test_edited_circumstances_are_caught_whoever_signed(
    key: str, old: str, new: str, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What came from outside of the run is in its events, so the report's word for it can be held against them."""
    run = write_run(tmp_path / "state", approved_by(keys, sample_runs.exercised()))
    pack, words = tmp_path / "pack", ["--state-dir", str(tmp_path / "state"), "evidence", run]
    assert execute([*words, "-o", str(pack), "--key", str(keys / "trusted")]) == 0
    assert verify(pack, keys, capsys=capsys)[:2] == (0, {})
    report = json.loads((pack / "report.json").read_text())
    report[key] = json.loads(json.dumps(report[key]).replace(old, new))
    (pack / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    resigned(pack, keys / "trusted")
    broken = verify(pack, keys, capsys=capsys)[1]
    assert broken["report"] == f"report.json says otherwise than the events: {key}"


@pytest.mark.parametrize("name", ["report.html", "report.md", "README.md", "pack.json"])
def test_an_edited_page_is_caught_whoever_signed_it(
    name: str, pack: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(name, "FAILED", "DONE")(pack)
    assert verify(pack, keys, capsys=capsys)[1]["files"] == f"{name} was changed"
    assert by_hand(pack, keys) == [1, 0, 0]
    resigned(pack, keys / "trusted")
    code, broken, _ = verify(pack, keys, capsys=capsys)
    assert (code, broken) == (9, {"pages": f"made anew from the events they are others: {name}"})


def test_pages_of_another_drctl_are_not_judged_and_that_is_said(
    pack: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit("pack.json", f'"drctl_version": "{__version__}"', '"drctl_version": "0.0.1"')(pack)
    resigned(pack, keys / "trusted")
    code, broken, said = verify(pack, keys, capsys=capsys)
    assert (code, broken) == (0, {})
    assert "they were written by drctl 0.0.1" in said


def test_findings_are_in_the_pages_and_cannot_be_changed_in_one_of_them(
    keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "state", sample_runs.succeeded())
    state = ["--state-dir", str(tmp_path / "state")]
    words = ["findings", "add", "The resize <b>was slow", "--run", run, "--action", "Resize before", "--owner", "Sipho"]
    assert execute([*state, *words, "--due", "2026-12-01"]) == 0
    pack = tmp_path / "pack"
    assert execute([*state, "evidence", run, "-o", str(pack), "--key", str(keys / "trusted")]) == 0
    assert verify(pack, keys, capsys=capsys)[:2] == (0, {})
    edit("report.json", "2026-12-01", "2027-12-01")(pack)
    resigned(pack, keys / "trusted")
    code, broken, _ = verify(pack, keys, capsys=capsys)
    assert (code, set(broken)) == (9, {"findings", "pages"})
    assert "report.html; report.md" in broken["pages"]


def test_findings_are_those_of_the_ledger_s_notes_whoever_made_the_pages_anew(
    keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "state", sample_runs.succeeded())
    state = ["--state-dir", str(tmp_path / "state")]
    add = ["findings", "add", "The resize was slow", "--run", run, "--owner", "Sipho", "--due", "2026-12-01"]
    assert execute([*state, *add]) == 0
    assert execute([*state, "findings", "close", "acme-1", "--how", "it is kept big"]) == 0
    true_pack = tmp_path / "true"
    assert execute([*state, "evidence", run, "-o", str(true_pack), "--key", str(keys / "trusted")]) == 0
    assert "the findings are those of 2 notes" in verify(true_pack, keys, capsys=capsys)[2]
    # Each line is what the ledger's own sum is over: whoever has the ledger, or another pack of it, can compare.
    notes = Ledger(tmp_path / "state" / "journal.db").notes()
    lines = (true_pack / "findings.jsonl").read_bytes().splitlines()
    assert [hashlib.sha256(line).hexdigest() for line in lines] == [note.sha256 for note in notes]

    def tampered(*edits: tuple[str, str, str]) -> dict[str, str]:
        pack = Path(shutil.copytree(true_pack, tmp_path / f"tampered-{len(list(tmp_path.iterdir()))}"))
        for file, old, new in edits:
            edit(file, old, new)(pack)
        resigned(pack, keys / "trusted")
        return verify(pack, keys, capsys=capsys)[1]

    pages = [(f"report.{kind}", "Sipho", "Nobody") for kind in ("json", "html", "md")]
    assert tampered(*pages) == {"findings": "the report says otherwise of acme-1"}
    assert tampered(*pages, ("findings.jsonl", "Sipho", "Nobody")) == {
        "findings": "note 2 is not in its place: one before it was changed, added or taken out"
    }
    text = (true_pack / "findings.jsonl").read_text()
    assert "says otherwise of acme-1" in tampered(("findings.jsonl", text, ""))["findings"]
    assert "is torn" in tampered(("findings.jsonl", text, text.rstrip("\n")))["findings"]
    assert "is no note" in tampered(("findings.jsonl", text, "[]\n"))["findings"]
    assert "not what is written of a finding" in tampered(("findings.jsonl", '"due"', '"dew"'))["findings"]
    (true_pack / "findings.jsonl").unlink()
    resigned(true_pack, keys / "trusted")
    code, broken, said = verify(true_pack, keys, capsys=capsys)
    assert (code, broken) == (0, {})
    assert "as in packs of older drctls: they are what the signer says" in said


def test_a_chain_that_was_written_anew_needs_the_key_and_then_the_published_heads(
    pack: Path, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(pack)
    run_id, heads = str(rows[0]["run_id"]), tmp_path / "heads.jsonl"
    sums = [hashlib.sha256(line).hexdigest() for line in (pack / "events.jsonl").read_bytes().splitlines()]
    published = [{"run_id": run_id, "events": n, "head": sums[n - 1]} for n in (1, 9, len(sums))]
    heads.write_text("".join(json.dumps(row) + "\n" for row in [*published, {"run_id": "another"}]) + "not json\n")
    assert verify(pack, keys, "--heads", str(heads), "--head", sums[8][:16], capsys=capsys)[:2] == (0, {})

    chained_anew(pack, [row for row in rows if rows.index(row) != 7])
    resigned(pack, keys / "stranger")
    code, broken, _ = verify(pack, keys, capsys=capsys)
    assert (code, "signature" in broken) == (9, True)
    assert by_hand(pack, keys)[1] != 0
    resigned(pack, keys / "trusted")
    assert by_hand(pack, keys) == [0, 0, 0]  # this is why heads are published
    code, broken, _ = verify(pack, keys, "--heads", str(heads), capsys=capsys)
    assert code == 9
    assert "the chain was written anew" in broken["published heads"]
    assert "the tail was cut" in broken["published heads"]
    assert "is no head" in verify(pack, keys, "--head", sums[-1], capsys=capsys)[1]["published heads"]


@pytest.mark.parametrize("key_and_namespace", [("stranger", "drctl-evidence"), ("trusted", "file"), (None, "")])
def test_a_wrong_key_a_wrong_namespace_and_no_signature_are_caught(
    key_and_namespace: tuple[str | None, str], pack: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, namespace = key_and_namespace
    if key is None:
        (pack / f"{MANIFEST}.sig").unlink()
    else:
        resigned(pack, keys / key, namespace)
    code, broken, _ = verify(pack, keys, capsys=capsys)
    assert (code, list(broken)) == (9, ["signature"])
    assert by_hand(pack, keys)[1] != 0


def test_somebody_else_of_the_file_is_not_who_must_have_signed(
    pack: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, broken, _ = verify(pack, keys, "--identity", "somebody@example.org", capsys=capsys)
    assert (code, list(broken)) == (9, ["signature"])
