"""What runs leave on a host: listed, removed when they are over, and left alone while anybody may need it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd
from tests.support import needs
from tests.support.days import Day, Machine
from tests.support.operator import Operator

BOOK = """
steps:
  - id: change
    hosts: primary
    run: |
      echo x >>"$effects/change"
      while [ ! -e "$effects/go" ]; do sleep 0.1; done
"""


@pytest.fixture
def day(sshd: Sshd, tmp_path: Path) -> Iterator[Day]:
    """A day on this machine's own sshd."""
    made = Day.on(Machine.on_loopback(sshd), tmp_path)
    made.runbook(BOOK)
    yield made
    made.let_go()


def jobs(day: Day, *words: str) -> dict[str, dict]:
    """What ``drctl jobs`` says of the host, by run."""
    done = day.operator.types("jobs", "days", "-i", str(day.operator.inventory), "--json", *words)
    return {found["run"]: found for found in json.loads(done.stdout) if found["host"] == day.machine.name}


@pytest.mark.needs(needs.SUDO)
def test_only_what_is_over_and_old_is_removed(day: Day, sshd: Sshd) -> None:
    place = sshd.state / "drctl" / "jobs"
    assert jobs(day) == {}
    day.let_go()
    day.run(code=0)
    (first,) = jobs(day)
    # A second run, which is open: its drctl was killed, and its job goes on.
    (day.machine.effects / "go").unlink()
    with day.begins() as second:
        while day.count("change") < 2:
            assert second.process.poll() is None, second.said
        second.process.kill()
        second.process.wait()
    found = jobs(day)
    states = {run: of_run["state"] for run, of_run in found.items()}
    assert sorted(states.values()) == ["open", "over"]
    assert states[first] == "over"
    assert found[first]["jobs"] == 1

    assert not any(of_run["removed"] for of_run in jobs(day, "--prune").values()), "neither is 30 days old"
    removed = {run: of_run["removed"] for run, of_run in jobs(day, "--prune", "--older-than", "0s").items()}
    assert removed == {run: int(run == first) for run in states}
    assert [path.name.partition(".")[0] for path in place.iterdir()] == [run for run in states if run != first]

    # Another operator, without that journal: the run holds the service, and so it is open.
    other = replace(day, operator=Operator(day.directory / "elsewhere", day.operator.inventory))
    assert [of_run["state"] for of_run in jobs(other, "--prune", "--others", "--older-than", "0s").values()] == ["open"]
    day.let_go()
    day.types("resume", "--no-input")
    assert day.count("change") == 2, "what was kept has kept the step from happening twice"
    # It is over; whoever has not its journal removes it only when asked to.
    assert [of_run["removed"] for of_run in jobs(other, "--prune", "--older-than", "0s").values()] == [0]
    assert [of_run["removed"] for of_run in jobs(other, "--prune", "--others", "--older-than", "0s").values()] == [1]
    assert list(place.iterdir()) == []


def test_an_age_that_is_none_and_a_host_that_is_away_are_said(day: Day, sshd: Sshd) -> None:
    words = ("jobs", "days", "-i", str(day.operator.inventory))
    assert "'soon' is not an age: write 30d or 12h" in day.types(*words, "--older-than", "soon", code=2)
    sshd.stop()
    assert "testhost             (login)    unknown   testhost (ADDRESS) does not take connections" in day.types(
        *words, code=1
    )
