"""``drctl backups`` over the lab's three places: never *proven* on bad data, and never chosen."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from drctl.errors import ExitCode
from drctl.lab import Lab
from drctl.lab.commands import wait_until
from drctl.lab.damage import Fault
from tests.support import needs
from tests.support.operator import ROOT, SERVICE, Operator

pytestmark = [pytest.mark.lab, pytest.mark.needs(needs.PGBACKREST)]

HOW_TO = ROOT / "docs" / "how-to" / "can-we-restore-tonight.md"
VAULT, DURBAN, CLOUDPROX = "offline-store", "teraco-dbn", "cloudprox"


def asks(operator: Operator, *words: str, code: int | None = None) -> dict[str, Any]:
    """``drctl backups SERVICE --json``."""
    done = operator.types("backups", SERVICE, "-i", str(operator.inventory), "--json", *words, code=code)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def picks(operator: Operator, *words: str, code: int = 0) -> dict[str, Any]:
    done = operator.types("backups", "pick", SERVICE, "-i", str(operator.inventory), "--json", *words, code=code)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def verdicts(answer: dict[str, Any], location: str) -> dict[str, str]:
    """The verdicts at a place by label, the newest first."""
    return {c["label"]: c["verdict"] for c in answer["copies"] if c["location"] == location}


def kinds(answer: dict[str, Any]) -> set[str]:
    return {f"{f['kind']} {f['location']}".strip() for f in answer["findings"]}


def commands_of(page: Path) -> list[list[str]]:
    """The words of each drctl command of a page."""
    found = re.findall(r"^\$ drctl (.*)$", page.read_text(), re.M)
    assert found
    return [line.split() for line in found]


def wal_counts(answer: dict[str, Any]) -> bool:
    """Whether WAL that was archived makes the exposure smaller than the age of the consistency point."""
    exposure = answer["exposure"]
    return 0 < exposure["exposed_s"] < 600 < exposure["exposed_without_wal_s"]


def test_bad_backups_are_never_proven_and_never_chosen(fresh_lab: Lab, operator: Operator) -> None:
    lab = fresh_lab
    made = lab.backups_history(3)
    nights = {"few-nights cloudprox", f"few-nights {DURBAN}", f"few-nights {VAULT}"}  # three of the seven

    # Unproven until verified, then proven, and that outlives the call.
    answer = asks(operator, code=ExitCode.STEP_FAILED)
    assert [c["label"] for c in answer["copies"] if c["location"] == VAULT] == list(reversed(made))
    assert {c["verdict"] for c in answer["copies"]} == {"unproven"}
    assert kinds(answer) == nights | {"unproven cloudprox", f"unproven {DURBAN}", f"unproven {VAULT}"}
    assert {c["verdict"] for c in asks(operator, "--verify")["copies"]} == {"proven"}
    answer = asks(operator)
    assert {c["verdict"] for c in answer["copies"]} == {"proven"}
    assert kinds(answer) == nights
    lab.psql("xneelo-jnb", "select pg_switch_wal()")
    assert wait_until(lambda: wal_counts(asks(operator, "--location", CLOUDPROX)), within=60, every=1)
    assert answer["exposure"]["worst_of_day_without_wal_s"] > 86_400

    # Every fault at the vault: doubted at once, condemned by a verify, never chosen after it. A gap needs more WAL than
    # there is after the newest backup.
    newest = made[-1]
    for fault in (Fault.FLIP, Fault.TRUNCATE, Fault.MISSING, Fault.DIRECTORY, Fault.WAL_FIRST, Fault.WAL_GAP):
        label = made[0] if fault is Fault.WAL_GAP else newest
        (said,) = lab.break_backup(fault, [VAULT], label)
        if fault is not Fault.FLIP:  # it leaves size and date as they were: only reading the file finds it
            assert verdicts(asks(operator, "--location", VAULT), VAULT)[label] != "proven", said
        answer = verdicts(asks(operator, "--location", VAULT, "--verify"), VAULT)
        assert answer[label] == "bad", (said, answer)
        chosen = picks(operator, "--location", VAULT, code=0 if "proven" in answer.values() else ExitCode.NO_GO)
        assert f"{VAULT}/{label}" in {r["copy"] for r in chosen["rejected"]}, said
        assert label not in {c["label"] for c in chosen["order"]}, said
        elsewhere = picks(operator, "--assume-lost", CLOUDPROX)
        assert (elsewhere["chosen"]["location"], elsewhere["chosen"]["label"]) == (DURBAN, newest)
        if fault is Fault.WAL_GAP:  # taken only when it is said that the loss is accepted, and it says what it costs
            words = ["--location", VAULT, "--backup", label]
            picks(operator, *words, code=ExitCode.NO_GO)
            gap = picks(operator, *words, "--accept-gap")["chosen"]
            assert gap["wal_missing"]
            assert gap["rpo_s"] > 86_400
        lab.mend_backup()
        assert verdicts(asks(operator, "--location", VAULT, "--verify"), VAULT)[label] == "proven", said

    # One place is out of reach: it says so, the others answer, and the next copy is asked for by name.
    lab.break_backup(Fault.UNREACHABLE, [CLOUDPROX])
    answer = asks(operator)
    assert {f"not-asked {CLOUDPROX}"} <= kinds(answer)
    assert "unreachable" in next(place["problem"] for place in answer["locations"] if place["location"] == CLOUDPROX)
    words = ["--except", f"{DURBAN}/{newest}", "--lines"]
    done = operator.types("backups", "pick", SERVICE, "-i", str(operator.inventory), *words)
    assert done.stdout.splitlines()[:3] == [VAULT, "vault", newest]
    assert f"{DURBAN}/{newest}: left out with --except" in done.stderr
    lab.mend_backup()

    # The how-to page, as it is written: proven after its second command, and the copy that it chooses is one of those.
    said = [operator.types(*words, "-i", str(operator.inventory), code=None) for words in commands_of(HOW_TO)]
    assert {done.returncode for done in said} <= {ExitCode.DONE, ExitCode.STEP_FAILED}
    assert "unproven" not in said[1].stdout
    assert said[2].stdout.startswith(f" 1  {CLOUDPROX}/{newest}  proven")
    assert said[3].stdout.startswith(f" 1  {DURBAN}/{newest}  proven")

    # Stale everywhere: last night's backup did not happen.
    lab.break_backup(Fault.STALE)
    assert f"missed {CLOUDPROX}" in kinds(asks(operator))
    lab.mend_backup()
