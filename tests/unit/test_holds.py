"""What a run holds on hosts is let go when it is over, and only then; a host that was not told is named."""

from __future__ import annotations

from typing import cast

from drctl.adapters.commands import Commands
from drctl.cli.holds import released
from drctl.engine.ports import Answer, Ending
from drctl.model.events import Ended
from drctl.model.plan import Endpoint, OnUnreachable
from tests.support.world import ABORT, Bench, FakeHosts, Scripted, ends, exits, plan, step


class Asked:
    """Hosts that note what they are asked; one of them is away."""

    def __init__(self) -> None:
        self.places: set[tuple[str, str | None]] = set()

    def release(self, endpoint: Endpoint, *, service: str, run_id: str, become: str | None) -> tuple[str, ...]:
        self.places.add((endpoint.host, become))
        return ("unknown", "it does not answer") if endpoint.host == "primary" else ("released", run_id, "0", "o@m")


def let_go(bench: Bench) -> tuple[set[tuple[str, str | None]], list[str]]:
    asked = Asked()
    return asked.places, released(cast(Commands, asked), bench.run())


def test_each_user_of_a_host_that_was_changed_is_asked_once_and_who_is_away_is_named() -> None:
    hosts = FakeHosts(scripts={"away": lambda _: ends(Ending.UNREACHABLE)})
    bench = Bench(
        plan(
            step("away", host="edge", on_unreachable=OnUnreachable.CONTINUE),
            step("first", host="primary"),
            step("second", become="postgres"),
            step("third", become="postgres"),
            step("look", host="witness", read_only=True),
            step("here", host=None),
        ),
        hosts=hosts,
    )
    places, lines = let_go(bench)
    assert places == {("primary", None), ("standby", "postgres")}
    (line,) = lines
    assert line.startswith("primary was not told that the run is over (it does not answer)")
    assert line.endswith("drctl release demo run-1")


def test_a_run_that_is_paused_keeps_what_it_holds() -> None:
    hosts = FakeHosts(scripts={"first": lambda _: exits(1)})
    bench = Bench(plan(step("first"), step("second")), hosts=hosts, person=Scripted(Answer(answer="pause", who="t")))
    places, lines = let_go(bench)
    assert bench.events[-1].body.ended is Ended.PAUSED  # type: ignore[union-attr]
    assert (places, lines) == (set(), [])


def test_a_run_that_failed_lets_go_too() -> None:
    hosts = FakeHosts(scripts={"first": lambda _: exits(1)})
    places, _ = let_go(Bench(plan(step("first", on_failure=ABORT), step("second")), hosts=hosts))
    assert places == {("standby", None)}
