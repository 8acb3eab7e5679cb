"""Who takes the writes: what the journal and the two servers say, and what is never weighed."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from drctl.adapters import servers as asking
from drctl.adapters.servers import Asked, Said, ask
from drctl.cli.direction import completed, given_by_hand
from drctl.cli.main import execute
from drctl.engine.ports import CommandResult, Ending
from drctl.engine.standing import Contradiction, Move, Server, last_move, standing
from drctl.errors import ExitCode
from drctl.model.plan import OnFailure, Section, Stage
from drctl.model.runbook import Input, Runbook
from tests.house.test_runbook_scripts import complaints
from tests.support.world import Bench, FakeHosts, endpoint, ends, exits, plan, plan_of_stages, step

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 11, 23, 1, 12, tzinfo=UTC)
MOVED = Move(run_id="run-7", host="azure", at=AT, certain=True)


def stands(home: bool | None, away: bool | None, move: Move | None = None) -> tuple[str, str]:
    """Who is the primary, and why."""
    found = standing(
        Server(role="primary", host="xneelo", in_recovery=home, why="" if home is not None else "timed out"),
        Server(role="standby", host="azure", in_recovery=away, why="" if away is not None else "timed out"),
        move,
        timezone="Africa/Johannesburg",
    )
    assert found.turned == (found.primary.host == "azure")
    assert {found.primary.host, found.standby.host} == {"xneelo", "azure"}
    return found.primary.host, "; ".join(found.because)


@pytest.mark.parametrize(
    ("home", "away", "move", "primary"),
    [
        (None, None, None, "xneelo"),  # nobody says anything: as the inventory has it
        (None, None, MOVED, "azure"),
        (None, None, replace(MOVED, certain=False), "xneelo"),
        (None, True, None, "xneelo"),  # where one follows, the other is the primary, alive or not
        (True, None, None, "azure"),
        (True, None, MOVED, "azure"),
        (True, False, MOVED, "azure"),
        (None, False, None, "azure"),
        (False, None, None, "xneelo"),
        (None, True, replace(MOVED, certain=False), "xneelo"),
        (True, True, MOVED, "azure"),  # two standbys say nothing of who was the primary
        (None, True, replace(MOVED, host="xneelo"), "xneelo"),
        (None, True, replace(MOVED, host="gone-from-the-inventory"), "xneelo"),
    ],
)
def test_who_takes_the_writes(home: bool | None, away: bool | None, move: Move | None, primary: str) -> None:
    assert stands(home, away, move)[0] == primary


@pytest.mark.parametrize(
    ("home", "away", "move", "said"),
    [
        (False, False, None, "both servers take writes: xneelo and azure"),
        (False, False, MOVED, "both servers take writes"),
        (None, True, MOVED, "run run-7 promoted azure at 2026-11-23 03:12:00 SAST, and now xneelo does not say"),
        (False, None, MOVED, "xneelo says that it takes writes, and azure does not say (timed out)"),
        (False, True, MOVED, "azure says that it is a standby"),
    ],
)
def test_a_contradiction_is_left_to_a_person(
    home: bool | None, away: bool | None, move: Move | None, said: str
) -> None:
    with pytest.raises(Contradiction) as refused:
        stands(home, away, move)
    assert said in str(refused.value)


def test_the_reasons_are_told() -> None:
    assert stands(True, None, MOVED)[1] == (
        "run run-7 promoted azure at 2026-11-23 03:12:00 SAST; xneelo says that it is a standby; "
        "azure does not say (timed out)"
    )
    assert "so xneelo is taken for the primary, as the inventory has it" in stands(None, None)[1]
    assert "may have promoted azure" in stands(None, True, replace(MOVED, certain=False))[1]
    assert "cannot be read" in stands(None, True, replace(MOVED, host="", certain=False))[1]


PROMOTE = step("promote", host="azure", requires="primary_fenced")
FENCE = step("fence", host="xneelo", proves="primary_fenced")


def moved_by(bench: Bench, *hosts: str) -> Move | None:
    return last_move(bench.run(), set(hosts or ("xneelo", "azure")))


def test_a_promotion_is_known_by_the_proof_that_it_waits_for() -> None:
    looks = step("stays-silent", host="xneelo", requires="primary_fenced", read_only=True)
    found = moved_by(Bench(plan=plan(FENCE, looks, PROMOTE)))
    assert found is not None
    assert (found.host, found.certain) == ("azure", True)
    assert moved_by(Bench(plan=plan(FENCE, looks, PROMOTE)), "others") is None
    assert moved_by(Bench(plan=plan(FENCE, looks))) is None


@pytest.mark.parametrize(
    ("result", "certain"),
    [(exits(0), True), (exits(1), False), (ends(Ending.TIMED_OUT), False), (ends(Ending.UNREACHABLE), None)],
)
def test_only_a_promotion_that_succeeded_is_certain(result: CommandResult, certain: bool | None) -> None:
    """One that failed may have happened all the same; one that was not sent is none."""
    found = moved_by(Bench(plan=plan(FENCE, PROMOTE), hosts=FakeHosts(scripts={"promote": lambda _: result})))
    assert (found.certain if found is not None else None) == certain


def test_the_fallback_has_the_last_word() -> None:
    steps = (FENCE, replace(PROMOTE, on_failure=OnFailure.FALLBACK))
    restored = step("restore/promote", host="xneelo", requires="primary_fenced")
    stages = [Stage(section=Section.STEPS, steps=(s,)) for s in steps]
    bench = Bench(
        plan=plan_of_stages(*stages, Stage(section=Section.FALLBACK, steps=(restored,))),
        hosts=FakeHosts(scripts={"promote": lambda _: exits(1)}),
    )
    found = moved_by(bench)
    assert found is not None
    assert (found.host, found.certain) == ("xneelo", True)


class Hosts:
    """Two servers; one that is lost answers only when it is let go."""

    def __init__(self, **answers: CommandResult | bytes | None) -> None:
        self.answers, self.let_go = answers, threading.Event()

    def probe(self, at: Any, command: Any, *, timeout_s: float, output: Any) -> CommandResult:
        answer = self.answers[at.host]
        if answer is None:
            self.let_go.wait(30)
            return CommandResult(ending=Ending.UNREACHABLE, detail="timed out")
        if isinstance(answer, CommandResult):
            return answer
        output("stdout", answer)
        return CommandResult(ending=Ending.FINISHED, exit_code=0)


def asked(hosts: Hosts, within_s: float = 20.0) -> list[Said]:
    """What xneelo and azure say."""
    servers = {name: Asked(endpoint=endpoint(name), pgdata="/data") for name in ("xneelo", "azure")}
    try:
        return list(ask(hosts, servers, within_s=within_s).values())  # type: ignore[arg-type]
    finally:
        hosts.let_go.set()


PRIMARY, STANDBY = Said(in_recovery=False), Said(in_recovery=True)


def test_a_standby_that_answers_is_enough_and_a_lost_primary_is_not_waited_for() -> None:
    assert asked(Hosts(xneelo=None, azure=b"t\n")) == [Said(), STANDBY]


def test_a_server_that_takes_writes_is_not_enough() -> None:
    """The other one may take writes as well."""
    unreachable = CommandResult(ending=Ending.UNREACHABLE, detail="no route")
    assert asked(Hosts(xneelo=b"f\n", azure=b"f\n")) == [PRIMARY, PRIMARY]
    assert asked(Hosts(xneelo=unreachable, azure=b"f\n")) == [Said(why="no route"), PRIMARY]
    assert asked(Hosts(xneelo=None, azure=b"f\n"), within_s=0.2) == [Said(why="no answer within 0.2 s"), PRIMARY]


def test_a_database_without_room_is_told_from_one_that_is_lost() -> None:
    full = Said(why="its database does not answer, and its disk is 100 % full", no_room=True)
    assert asked(Hosts(xneelo=b"0 100\n", azure=b"65536 99\n")) == [full, Said(why="its database does not answer")]


def test_each_role_that_nobody_gave_is_turned() -> None:
    roles = {"from": "primary", "to": "standby", "target": "standby", "witnesses": "witness"}
    inputs = {name: Input(type="role", default=role) for name, role in roles.items()}
    runbook = Runbook(runbook="x", title="X", steps=[], inputs={**inputs, "size": Input(default="primary")})
    assert completed(runbook, {}, turned=False) == {}
    assert completed(runbook, {}, turned=True) == {"from": "standby", "to": "primary", "target": "primary"}
    assert completed(runbook, {"target": "standby"}, turned=True)["target"] == "standby"
    assert given_by_hand({"target": "primary"}) is None
    assert given_by_hand({"to": "primary"})
    assert given_by_hand({"from": "standby"})
    assert given_by_hand({"to": "standby"}) is False


def test_validate_holds_the_inventory_to_both_directions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing for the way back is found on a good day."""
    world = yaml.safe_load((ROOT / "inventories" / "taskflow.example.yml").read_text())
    del world["services"]["acacia"]["commands"]["power_off_standby"]
    (tmp_path / "world.yml").write_text(yaml.safe_dump(world))
    words = [str(ROOT / "runbooks" / "failover.yml"), "-i", str(tmp_path / "world.yml"), "-s", "acacia"]
    assert execute(["validate", *words]) == ExitCode.INVALID_DOCUMENT
    assert '"power_off_standby"' in capsys.readouterr().out


def test_the_script_that_asks_passes_shellcheck() -> None:
    assert complaints(asking._ASK) == []
