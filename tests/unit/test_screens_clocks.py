"""The clocks on a terminal of 80 columns: whatever is known and whatever is not, nothing of them is cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from drctl.engine.fold import fold
from drctl.engine.state import ClockPoint, RunState
from drctl.model.events import ClockMarked, Event, ForecastMade, RunStarted
from drctl.model.exposure import Exposure
from drctl.model.plan import Objectives, Plan
from drctl.model.words import Mark
from drctl.screens.clocks import clock_lines
from tests.support import sample_plan
from tests.support import sample_runs as samples

WIDTH = 80
AFTER_S = (0.0, 3.0, 47 * 60.0, 3.2 * 3600, 47.9 * 3600, 40 * 86_400.0)
TARGETS = ((4 * 3600.0, 24 * 3600.0), (47.9 * 3600, 400 * 86_400.0), (None, None))


def moments(events: Sequence[Event], *, outage: bool, targets: tuple[float | None, float | None]) -> Iterator[RunState]:
    """The run after each of its events, with these objectives, and with or without the start of its outage."""
    state = RunState()
    for event in events:
        body = event.body
        if isinstance(body, ClockMarked) and not outage:
            continue
        if isinstance(body, RunStarted):
            body = replace(body, plan=replace(body.plan, objectives=Objectives(rto_s=targets[0], rpo_s=targets[1])))
        state = fold(state, replace(event, body=body))
        yield state


def shown(state: RunState, after_s: float = 3.0, width: int = WIDTH) -> list[str]:
    assert state.last_at is not None
    now = state.last_at + timedelta(seconds=after_s)
    return [line.plain for line in clock_lines(state, now, width=width, notes=True)]


@pytest.mark.parametrize("sample", sorted(samples.SAMPLES))
def test_no_clock_is_cut_at_any_moment_of_any_run(sample: str) -> None:
    events = samples.SAMPLES[sample]()
    for outage, targets in product((True, False), TARGETS):
        for state in moments(events, outage=outage, targets=targets):
            exposed = replace(state, exposure=EXPOSURE)
            unknown = replace(state, recovery={k: v for k, v in state.recovery.items() if k == "recovery_point"})
            for known, after_s in product((state, exposed, unknown), AFTER_S):
                for line in shown(known, after_s):
                    assert len(line) <= WIDTH, line


EXPOSURE = Exposure(
    looked_at=sample_plan.START,
    copy="cloudprox",
    consistency_point=sample_plan.START - timedelta(hours=23, minutes=59),
    from_wal=True,
    backup_s=47 * 60.0,
    replication_s=47 * 60.0,
    archive_timeout_s=47 * 60.0,
    transfer_s=47 * 60.0,
)


def test_without_the_start_of_the_outage_the_line_still_says_how_long_the_run_takes() -> None:
    *_, state = moments(samples.still_going(), outage=False, targets=TARGETS[0])
    assert shown(state)[0] == " RTO  outage start not known (--outage-started), target 4h 00m; this run 1m 43s"
    wide = " RTO  outage start not known: give it with --outage-started, target 4h 00m; this run 1m 43s"
    assert shown(state, width=200)[0] == wide
    assert shown(state, width=70)[0] == " RTO  outage start not known (--outage-started); this run 1m 43s"


def test_the_last_moment_to_switch_is_never_without_how_far_away_it_is() -> None:
    *_, state = moments(until_the_forecast(), outage=True, targets=TARGETS[0])
    left = "at 2026-11-23 05:12:00 SAST you must switch: restore takes 1h 50m (p90 of 6 runs); in 1h 41m"
    assert shown(state, width=200)[1] == f"     {left}"
    assert shown(state)[1] == "     you must switch in 1h 41m, at 05:12:00 SAST: restore takes 1h 50m"
    assert shown(state, 2 * 3600)[1] == "     you had to switch 19m 04s ago, at 05:12:00 SAST: restore takes 1h 50m"
    decided = replace(state, deadline_answer="continue")
    assert shown(decided)[1] == "     you must switch in 1h 41m; decided: continue"


def test_a_last_moment_that_is_not_known_says_why() -> None:
    *_, state = moments(until_the_forecast(), outage=False, targets=TARGETS[0])
    assert shown(state)[1] == "     when you must switch is not known before the start of the outage is"


def until_the_forecast() -> list[Event]:
    """The beginning of a run that has a fallback."""
    events = samples.at_the_deadline()
    number = next(n for n, e in enumerate(events) if isinstance(e.body, ForecastMade))
    return events[: number + 1]


def test_clocks_that_do_not_agree_are_not_told_as_a_start_that_is_not_known() -> None:
    *_, state = moments(samples.succeeded(), outage=True, targets=TARGETS[0])
    restored = state.clock[Mark.SERVICE_RESTORED]
    later = ClockPoint(at=restored.at + timedelta(hours=1), source="step when-it-began")
    found = shown(replace(state, clock={**state.clock, Mark.OUTAGE_STARTED: later}))[0]
    assert found == " RTO  not measured: the clocks do not agree"


def test_a_run_that_begins_the_outage_itself_says_which_step_does() -> None:
    state, *_ = moments(samples.drill(), outage=False, targets=TARGETS[0])
    begins = replace(state, plan=_begins_with(state.the_plan, "promote"))
    line = shown(begins)[0]
    assert line == " RTO  the outage begins with step promote, target 4h 00m; this run 3.0s"


def _begins_with(plan: Plan, step_id: str) -> Plan:
    return replace(
        plan,
        stages=tuple(
            replace(
                stage,
                steps=tuple(
                    replace(s, mark=Mark.OUTAGE_STARTED, mark_value=None) if s.id == step_id else s for s in stage.steps
                ),
            )
            for stage in plan.stages
        ),
    )
