"""The lab without root and without namespaces: as somebody to whom the machine gives neither, with a real failover."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from drctl.lab import tiers
from drctl.lab.prerequisites import missing_of_loopback
from tests.support.person import Person, passed, person_on
from tests.tiers.drawn import names

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

# What the tier can do, in as few labs as show it, and a few bad days more; ``make tiers`` runs all that there are.
TESTS = {
    "test_lab_lifecycle.py": (
        "test_a_second_up_touches_nothing",
        "test_an_up_that_was_killed_half_way_is_cleaned[down]",
        "test_ssh_passes_the_exit_code_on",
    ),
    "test_lab_hosts.py": (
        "test_a_host_key_that_is_not_known_is_refused",
        "test_no_secret_is_readable_by_others_or_seen_in_a_process_list",
    ),
    "test_failover.py": (
        "test_a_primary_that_is_alive_is_refused_and_switchover_is_named",
        "test_a_host_key_that_has_changed_is_refused_and_nothing_is_sent",
        "test_the_doctor_reaches_every_host",
    ),
}
NAMES = names(tiers.LOOPBACK, TESTS)
SERVICE = "taskflow-demo"


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    """Somebody without subordinate numbers, and so without user namespaces that a lab could stand in."""
    missing = missing_of_loopback(uid=1)
    if missing:
        pytest.skip("no lab on loopback here; missing: " + "; ".join(item.what for item in missing))
    lab = f"{os.environ.get('DRCTL_TEST_LAB', 'test')[:8]}l"
    net = os.environ.get("DRCTL_TEST_LAB_NET", "10.78")
    with person_on(tiers.LOOPBACK, lab=lab, net=net) as somebody:
        yield somebody


@pytest.fixture(scope="module")
def up(person: Person) -> subprocess.CompletedProcess[str]:
    """Their lab, made as a person makes it; how that went."""
    done = person.drctl("lab", "up", "--inventory", str(person.home / "lab.yml"))
    assert done.returncode == 0, done.stderr
    return done


def test_a_machine_that_gives_nothing_still_has_a_lab_and_says_what_it_lacks(
    person: Person, up: subprocess.CompletedProcess[str]
) -> None:
    assert f"tier {tiers.LOOPBACK}: {tiers.LACKS[tiers.LOOPBACK]}" in up.stderr
    if person.become:
        assert "missing for a better tier: root, or user namespaces" in up.stderr
        doctor = person.drctl("lab", "doctor")
        assert doctor.returncode == 0
        assert f"the lab runs here, tier {tiers.LOOPBACK}" in doctor.stdout
        assert "usermod --add-subuids" in doctor.stdout
    status = _status(person)
    assert (status["phase"], status["tier"], status["application"]) == ("up", tiers.LOOPBACK, "ok")
    assert {h["name"]: h["database"] for h in status["hosts"]}["azure-san"] == "standby"


def test_a_frozen_host_answers_nothing_until_it_is_thawed(person: Person, up: subprocess.CompletedProcess[str]) -> None:
    def power() -> str:
        return next(h["power"] for h in _status(person)["hosts"] if h["name"] == "azure-san")

    assert person.drctl("lab", "freeze", "azure-san").stdout == "azure-san: frozen\n"
    try:
        assert power() == "frozen"
        assert person.drctl("lab", "ssh", "azure-san", "true").returncode == 255
    finally:
        assert person.drctl("lab", "thaw", "azure-san").stdout == "azure-san: thawed\n"
    assert power() == "on"
    assert person.drctl("lab", "ssh", "azure-san", "echo", "here").stdout == "here\n"


def _status(person: Person) -> dict[str, Any]:
    return json.loads(person.drctl("lab", "status", "--json").stdout)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("cut", "edge", "azure-san"), "links that could be cut"),
        (("heal",), "links that could be healed"),
        (("rate", "edge", "5"), "links that could be limited"),
        (("latency", "edge", "azure-san", "20"), "links that could be made longer"),
        (("wait-backup",), "pgBackRest, and so no backups"),
        (("break", "backup", "flip"), "pgBackRest, and so no backups"),
        (("backup",), "pgBackRest, and so no backups"),
        (("backups", "history"), "pgBackRest, and so no backups"),
    ],
)
def test_what_the_tier_has_not_is_refused_and_the_others_are_named(
    person: Person, up: subprocess.CompletedProcess[str], words: tuple[str, ...], what: str
) -> None:
    done = person.drctl("lab", *words)
    assert done.returncode == 1
    assert f"it has no {what}" in done.stderr
    assert "nothing was changed" in done.stderr
    assert "the tiers root and user namespaces have it" in done.stderr


def test_what_the_machine_has_of_pgbackrest_is_not_reached(
    person: Person, up: subprocess.CompletedProcess[str]
) -> None:
    done = person.drctl("lab", "ssh", "cloudprox", "pgbackrest", "--stanza=main", "--force", "stop")
    assert (done.returncode, done.stdout) == (127, "")
    assert "a lab on loopback addresses has no pgBackRest" in done.stderr


def test_a_failover_without_a_power_switch_fences_over_ssh_and_loses_nothing(
    person: Person, up: subprocess.CompletedProcess[str]
) -> None:
    """The primary's PostgreSQL dies; its host lives, and the fence keeps it from starting there again."""
    inventory = person.home / "changed.yml"
    document = yaml.safe_load((person.home / "lab.yml").read_text())
    document["services"][SERVICE]["commands"]["power_off_primary"] = ["false"]
    inventory.write_text(yaml.safe_dump(document))
    assert person.drctl("lab", "load", "--seconds", "2").returncode == 0
    postmaster = document["hosts"]["xneelo-jnb"]["vars"]["pgdata"] + "/postmaster.pid"
    killed = person.drctl("lab", "ssh", "xneelo-jnb", f"kill -9 $(head -n 1 {postmaster})")
    assert killed.returncode == 0, killed.stderr
    done = person.drctl("failover", SERVICE, "-i", str(inventory), "--yes", "--reason", "a drill on loopback")
    # There is no pgBackRest to take the new backup with, and drctl does not say that the service is protected.
    assert done.returncode == 1, done.stderr
    assert "UNPROTECTED since" in done.stderr
    report = json.loads(person.drctl("report", "--format", "json").stdout)
    # Steps by their own names, whichever runbook of the failover has them.
    outcomes = {step["id"].split("/")[-1]: step["outcome"] for step in report["steps"] if step["hosts"][0]["attempts"]}
    assert outcomes["end-stale-backup"] == "failed"
    assert (outcomes["by-power"], outcomes["over-ssh"]) == ("failed", "succeeded")
    assert (outcomes["promote"], outcomes["repoint"], outcomes["service-answers"]) == ("succeeded",) * 3
    assert (report["rto"]["verdict"], report["rpo"]["verdict"]) == ("met", "met")
    compared = person.drctl("lab", "acknowledged", "--json")
    missing = json.loads(compared.stdout)["missing"]
    assert (report["rpo"]["actual_s"] > 0) == bool(missing), compared.stdout
    said = person.drctl("lab", "ssh", "xneelo-jnb", "database", "status")
    assert said.stdout == "stopped disabled\n"
    for way in ("off", "on"):
        assert person.drctl("lab", "power", way, "xneelo-jnb").returncode == 0
    assert person.drctl("lab", "ssh", "xneelo-jnb", "database", "status").stdout == "stopped disabled\n"


@pytest.fixture(scope="module")
def outcomes(person: Person, up: subprocess.CompletedProcess[str]) -> dict[str, ElementTree.Element]:
    """What came of each test, with a lab that the tests make anew and take away in the end."""
    assert person.drctl("lab", "down").returncode == 0
    person.environment["DRCTL_LAB_TIER"] = "loopback"
    return person.tests(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_on_loopback(outcomes: dict[str, ElementTree.Element], name: str) -> None:
    passed(outcomes, name.split("::")[1])


def test_down_leaves_nothing(person: Person, outcomes: dict[str, ElementTree.Element]) -> None:
    assert outcomes
    up = person.drctl("lab", "up", "--inventory", str(person.home / "lab.yml"))
    assert up.returncode == 0, up.stderr
    state = person.home / ".local" / "state" / "drctl-lab"
    assert _traces(state)
    assert person.drctl("lab", "down").returncode == 0
    assert not state.exists() or list(state.iterdir()) == []
    assert _traces(state) == []


def _traces(state: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_text() + (entry / "environ").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if f"{state}/" in words:
            found.append(words.replace("\0", " ")[:200])
    return found
