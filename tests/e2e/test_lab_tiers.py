"""The lab without root: the same tests, in user namespaces, as somebody who is nobody on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from drctl.lab import tiers
from tests.support.person import Person, passed, person_on
from tests.tiers.drawn import names

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
# What the tier can do, in as few labs as show it, and a few bad days more; ``make tiers`` runs all that there are.
TESTS = {
    "test_lab_faults.py": (
        "test_power_off_is_proved_and_power_on_boots_again",
        "test_a_frozen_primary_answers_nothing_and_goes_on_when_it_is_thawed",
        "test_cut_and_heal",
        "test_a_link_that_is_cut_one_way_still_carries_the_other",
        "test_latency_makes_a_link_longer_and_the_others_not",
        "test_resize_reboots_once_and_then_is_done",
    ),
    "test_lab_hosts.py": (
        "test_every_host_is_itself",
        "test_become_takes_a_script_on_standard_input",
        "test_a_host_sees_neither_the_machine_nor_its_neighbours",
        "test_no_secret_is_readable_by_others_or_seen_in_a_process_list",
        "test_init_reaps_what_is_left_to_it",
        "test_the_micro_instance_is_micro",
        "test_the_micro_instance_has_no_more_memory_than_that",
    ),
    "test_lab_lifecycle.py": (
        "test_a_second_up_touches_nothing",
        "test_an_up_that_was_killed_half_way_is_cleaned[down]",
        "test_the_inventory_says_what_is_there",
    ),
    "test_bad_days_links.py": (
        "test_three_hosts_fall_silent_in_mid_step_and_come_back",
        "test_power_lost_in_mid_step_is_in_doubt_until_the_verify_has_looked",
    ),
    "test_bad_days_hosts.py": (
        "test_a_target_with_no_room_for_the_jobs_files_runs_nothing",
        "test_a_host_without_setsid_runs_steps_by_perl_or_python_and_without_these_none",
        "test_a_login_shell_that_knows_nothing_of_posix_and_talks",
    ),
}
NAMES = names(tiers.NAMESPACES, TESTS)
NET = "10.76"


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    """Somebody who can make user namespaces; without that, everything here is skipped, and says why."""
    lab = f"{os.environ.get('DRCTL_TEST_LAB', 'test')[:8]}n"
    with person_on(tiers.NAMESPACES, lab=lab, net=NET) as somebody:
        doctor = somebody.drctl("lab", "doctor")
        if f"the lab runs here, tier {tiers.NAMESPACES}" not in doctor.stdout:
            pytest.skip(f"no lab in user namespaces here: {doctor.stdout} {doctor.stderr[-600:]}")
        yield somebody


@pytest.fixture(scope="module")
def up(person: Person) -> subprocess.CompletedProcess[str]:
    """Their lab, made as a person makes it; how that went."""
    done = person.drctl("lab", "up", "--inventory", str(person.home / "lab.yml"))
    assert done.returncode == 0, done.stderr
    return done


def test_a_person_without_root_is_told_what_they_have(person: Person, up: subprocess.CompletedProcess[str]) -> None:
    assert f"tier {tiers.NAMESPACES}: {tiers.LACKS[tiers.NAMESPACES]}" in up.stderr
    assert "drctl lab run -- drctl failover" in up.stderr
    assert f"up, net {NET}.0.0/16, tier {tiers.NAMESPACES}" in person.drctl("lab", "status").stdout
    routes = subprocess.run(["ip", "-4", "route", "show", "table", "all"], capture_output=True, text=True, check=True)
    assert f"{NET}." not in routes.stdout, "the machine's own network was touched"


def test_verbs_go_in_by_themselves_and_other_programs_by_run(
    person: Person, up: subprocess.CompletedProcess[str]
) -> None:
    assert up.stdout == f"{person.home}/lab.yml\n"
    assert person.drctl("lab", "ssh", "edge", "hostname").stdout == "edge\n"
    done = person.drctl("lab", "run", "--", "sh", "-c", "id -u; pwd; exit 7")
    assert (done.stdout, done.returncode) == (f"0\n{ROOT}\n", 7)
    assert "no such program cannot be run" in person.drctl("lab", "run", "--", "no such program").stderr


@pytest.fixture(scope="module")
def outcomes(person: Person, up: subprocess.CompletedProcess[str]) -> dict[str, ElementTree.Element]:
    """What came of each test inside the namespaces, where they make the lab anew and take it away in the end."""
    assert up.returncode == 0
    return person.tests(NAMES, "lab", "run", "--")


@pytest.mark.parametrize("name", NAMES)
def test_in_user_namespaces(outcomes: dict[str, ElementTree.Element], name: str) -> None:
    passed(outcomes, name.split("::")[1])


def test_down_leaves_nothing(person: Person, outcomes: dict[str, ElementTree.Element]) -> None:
    assert outcomes
    # The tests have taken their lab away; the namespaces that it stood in are still there.
    assert any("drctl-lab-holder" in line and str(person.home) in line for line in _command_lines())
    down = person.drctl("lab", "down")
    assert down.returncode == 0, down.stderr
    state = person.home / ".local" / "state" / "drctl-lab"
    assert not state.exists() or list(state.iterdir()) == []
    assert [line for line in _command_lines() if str(state) in line] == []
    refused = person.drctl("lab", "run", "--", "true")
    assert refused.returncode != 0
    assert "no lab is up" in refused.stderr


def _command_lines() -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            found.append((entry / "cmdline").read_text().replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found
