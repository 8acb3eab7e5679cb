"""The live screen: a picture of the right size at any size, on a terminal that is given back."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Thread
from xml.etree import ElementTree as ET

import pytest

from drctl.engine.fold import fold, fold_all
from drctl.engine.state import RunState, Target
from drctl.model.events import Event
from drctl.model.plan import Section, Stage
from drctl.screens.live import LiveScreen
from drctl.screens.picture import Scene, final_picture, live_picture
from drctl.screens.steps_table import rows, window
from drctl.screens.svg import export_svg
from drctl.screens.tails import KEPT_LINES, LONGEST_LINE, Tails
from tests.support import sample_plan
from tests.support import sample_runs as samples
from tests.support.world import Bench, plan_of_stages, step

ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"
SHOW_CURSOR = "\x1b[?25h"
SIZES = [(80, 24), (200, 50), (70, 16), (40, 10), (20, 5)]


class FrozenClock:
    def __init__(self, now: datetime) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def scene(events: Sequence[Event], *, after_s: float = 3.0) -> Scene:
    return Scene(state=fold_all(events), now=events[-1].at + timedelta(seconds=after_s))


def plain(found: Scene, width: int = 80, height: int = 24) -> list[str]:
    return [line.plain for line in live_picture(found, width=width, height=height)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sample", sorted(samples.SAMPLES))
def test_every_picture_has_the_terminal_s_size(sample: str, size: tuple[int, int]) -> None:
    """At every moment of every run: as many lines as the terminal has, none wider, none harmful."""
    width, height = size
    state = RunState()
    for event in samples.SAMPLES[sample]():
        state = fold(state, event)
        found = Scene(state=state, now=event.at, outputs={Target("promote", "azure-db-1"): ["a" * 300]})
        lines = live_picture(found, width=width, height=height)
        assert len(lines) == height
        assert max(line.cell_len for line in lines) <= width
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", "".join(line.plain for line in lines))


def test_a_moment_of_a_run() -> None:
    lines = plain(scene(samples.still_going()))
    assert lines[0].startswith(" REAL  failover of acme")
    assert lines[1].startswith(" RTO  20m 47s used · 3h 39m left of 4h 00m · forecast 31m 15s")
    assert lines[2] == " RPO  2.4s of data would be lost (target 24h 00m)"
    assert lines[3].startswith("── 6 of 13 steps ─")
    current = next(line for line in lines if "▶" in line)
    assert re.match(r" ▶  7 Make the micro instance… +local +running +3.0s/10m 00s", current)
    assert lines[-1] == " Ctrl-C stops after the current step; the run can be resumed"


def test_an_outage_without_a_start_is_said_plainly() -> None:
    lines = plain(scene(samples.drill()[:6]))
    assert lines[0].startswith(" DRILL ")
    assert lines[1].startswith(" RTO  outage start not known (--outage-started)")


def test_more_time_than_expected_is_yellow() -> None:
    def style_of_the_time(after_s: float) -> set[str]:
        lines = live_picture(scene(samples.still_going(), after_s=after_s), width=80, height=24)
        line = next(found for found in lines if "▶" in found.plain)
        begin = line.plain.index("/10m 00s") - 4
        return {str(s.style) for s in line.spans if s.start <= begin < s.end}

    assert "yellow" not in style_of_the_time(599.0)
    assert "yellow" in style_of_the_time(601.0)


def test_an_rto_that_is_lost_is_red() -> None:
    def look(after_s: float) -> tuple[str, set[str]]:
        line = live_picture(scene(samples.still_going(), after_s=after_s), width=80, height=24)[1]
        return line.plain, {str(s.style) for s in line.spans if s.start <= 8 < s.end}

    assert look(60) == (look(60)[0], {"bold green"})
    assert look(3 * 3600)[1] == {"bold yellow"}
    text, styles = look(4 * 3600)
    assert "MISSED by" in text
    assert styles == {"bold red"}


def test_unprotected_is_shown_until_it_is_protected() -> None:
    events = samples.succeeded()
    started = next(n for n, e in enumerate(events) if getattr(e.body, "step", "") == "new-standby")
    assert any("UNPROTECTED for" in line for line in plain(scene(events[: started + 1])))
    assert not any("UNPROTECTED" in line for line in plain(scene(events)))


@pytest.mark.parametrize("height", range(1, 14))
def test_the_current_step_is_in_the_window(height: int) -> None:
    state = RunState()
    for event in samples.succeeded():
        state = fold(state, event)
        found = rows(state, event.at, width=80)
        shown = window(found, height, width=80)
        assert len(shown) == min(height, len(found.lines))
        assert any(line.plain == found.lines[found.current].plain for line in shown)


def test_a_question_and_a_stop_are_in_the_last_line() -> None:
    events = samples.in_doubt()
    assert "waiting for 3.0s: a decision about a step in doubt (promote)" in plain(scene(events[:-3]))[-1]
    assert "STOPPING (SIGINT)" in plain(scene(events[:-2]))[-1]


def test_sensitive_output_is_not_shown() -> None:
    events = samples.succeeded()
    at = next(n for n, e in enumerate(events) if getattr(e.body, "step", "") == "set-app-password")
    target = Target("set-app-password", "azure-db-1")
    found = scene(events[: at + 1])
    lines = plain(Scene(state=found.state, now=found.now, outputs={target: ["hunter2"]}))
    assert not any("hunter2" in line for line in lines)
    assert any("withheld" in line for line in lines)


def test_steps_side_by_side_share_the_output() -> None:
    events = samples.succeeded()
    at = next(n for n, e in enumerate(events) if getattr(e.body, "step", "") == "repoint-app")
    found = scene(events[: at + 1])
    lines = plain(Scene(state=found.state, now=found.now, outputs={Target("repoint-app", "azure-app-1"): ["halfway"]}))
    assert any("azure-app-1 │ halfway" in line for line in lines)


def test_the_final_picture_has_all_steps_and_what_to_type() -> None:
    lines = [line.plain for line in final_picture(scene(samples.succeeded()), width=80)]
    assert sum("succeeded" in line for line in lines) == 12
    assert lines[-1] == " next  drctl report 20261123-013104-acme-failover"


def test_the_svg_is_the_run_s_and_calls_nobody() -> None:
    for sample in ("succeeded", "hostile"):
        svg = export_svg(samples.SAMPLES[sample](), 100)
        ET.fromstring(svg)  # noqa: S314 - our own
        assert set(re.findall(r"https?://[^\s\"<]+", svg)) <= {
            "http://www.w3.org/2000/svg",
            "https://www.textualize.io",
        }
        assert "<script" not in svg
        assert svg == export_svg(samples.SAMPLES[sample](), 100)
    with pytest.raises(ValueError, match="without events"):
        export_svg([], 100)


def test_tails_are_bounded_and_whole() -> None:
    tails = Tails()
    target = Target("promote", "azure-db-1")
    for n in range(500):
        tails.add(target, f"line {n}\n")
    tails.add(target, "x" * 100_000)
    tails.add(target, "\x1b[3")
    tails.add(target, "1mred\x1b[0m")
    lines = tails.lines()[target]
    assert len(lines) <= KEPT_LINES + 1
    assert lines[-2] == "line 499"
    assert lines[-1].endswith("xred")
    assert len(lines[-1]) <= LONGEST_LINE
    tails.begin(target)
    assert tails.lines() == {}


class Terminal(io.StringIO):
    """A terminal that keeps what is written, and can go away."""

    encoding = "utf-8"  # type: ignore[assignment]
    broken = False

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.broken:
            raise OSError(5, "Input/output error")
        return super().write(text)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name, value in (("COLUMNS", "80"), ("LINES", "24"), ("TERM", "xterm-256color")):
        monkeypatch.setenv(name, value)
    return Terminal()


def replay(screen: LiveScreen, events: Sequence[Event], clock: FrozenClock) -> None:
    state = RunState()
    for event in events:
        clock.at = event.at
        state = fold(state, event)
        screen.on_event(event, state)


def test_the_terminal_is_given_back(terminal: Terminal) -> None:
    clock = FrozenClock(sample_plan.START)
    with LiveScreen(terminal, clock=clock, refresh_s=0) as screen:
        replay(screen, samples.succeeded(), clock)
    written = terminal.getvalue()
    assert written.count(ALTERNATE) == written.count(BACK) == 1
    assert written.rindex(SHOW_CURSOR) > written.rindex("\x1b[?25l")
    after = written[written.index(BACK) :]
    assert "no objective was missed" in after
    assert "drctl report" in after


def test_the_terminal_is_given_back_after_an_error(terminal: Terminal) -> None:
    clock = FrozenClock(sample_plan.START)

    def interrupted() -> None:
        with LiveScreen(terminal, clock=clock, refresh_s=0) as screen:
            replay(screen, samples.still_going(), clock)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert BACK in terminal.getvalue()
    assert "STILL GOING ON" in terminal.getvalue().split(BACK)[-1]


def test_a_person_is_asked_on_the_ordinary_screen(terminal: Terminal) -> None:
    clock = FrozenClock(sample_plan.START)
    with LiveScreen(terminal, clock=clock, refresh_s=0) as screen:
        replay(screen, samples.still_going(), clock)
        with screen.suspended():
            before = terminal.getvalue()
            assert before.rindex(BACK) > before.rindex(ALTERNATE)
            clock.sleep(5)
            screen.tick(clock.now())
            replay(screen, samples.still_going(), clock)
            assert terminal.getvalue() == before
        assert terminal.getvalue().count(ALTERNATE) == 2


def test_nothing_new_is_not_painted_again(terminal: Terminal) -> None:
    clock = FrozenClock(sample_plan.START)
    with LiveScreen(terminal, clock=clock, refresh_s=0) as screen:
        replay(screen, samples.still_going(), clock)
        before = terminal.getvalue()
        screen.tick(clock.now())
        assert terminal.getvalue() == before
        screen.on_output(Target("resize-standby", ""), "new \x1b[31moutput [/etc/passwd] [bold]x\n")
        screen.tick(clock.now())
        assert "new output [/etc/passwd] [bold]x" in terminal.getvalue()
        clock.sleep(1)
        before = terminal.getvalue()
        screen.tick(clock.now())
        assert len(terminal.getvalue()) > len(before)


def test_no_colours(terminal: Terminal) -> None:
    clock = FrozenClock(sample_plan.START)
    with LiveScreen(terminal, clock=clock, colours=False, refresh_s=0) as screen:
        replay(screen, samples.hostile(), clock)
    codes = set(re.findall(r"\x1b\[([0-9;]*)m", terminal.getvalue()))
    assert not any(code.startswith(("3", "4")) for found in codes for code in found.split(";"))


def test_a_picture_that_fails_gives_way_to_lines(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no picture")

    clock = FrozenClock(sample_plan.START)
    events = samples.succeeded()
    with LiveScreen(terminal, clock=clock, refresh_s=0) as screen:
        replay(screen, events[:-2], clock)
        monkeypatch.setattr("drctl.screens.live.live_picture", broken)
        screen.on_event(events[-2], fold_all(events[:-1]))
        screen.on_event(events[-1], fold_all(events))
    assert terminal.getvalue().count(BACK) == 1
    assert "succeeded thaw-deploys" in terminal.getvalue().split(BACK)[-1]
    assert "REAL DONE: no objective was missed" in terminal.getvalue()


def test_a_terminal_that_is_gone_ends_the_screen_and_nothing_else(terminal: Terminal) -> None:
    """The engine journals what a screen raises, and lets it go; leaving it must not raise again."""
    clock = FrozenClock(sample_plan.START)
    events = samples.still_going()
    with LiveScreen(terminal, clock=clock, refresh_s=0) as screen:
        replay(screen, events, clock)
        terminal.broken = True
        with pytest.raises(OSError, match="Input/output"):
            screen.on_event(events[-1], fold_all(events))


def test_threads_may_write_at_once(terminal: Terminal) -> None:
    clock = FrozenClock(sample_plan.START)
    with LiveScreen(terminal, clock=clock, refresh_s=0.01) as screen:
        replay(screen, samples.still_going(), clock)
        target = Target("resize-standby", "")
        threads = [Thread(target=lambda: [screen.on_output(target, f"{n}\n") for n in range(300)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(50):
            screen.on_event(samples.still_going()[-1], fold_all(samples.still_going()))
        for thread in threads:
            thread.join()
    assert BACK in terminal.getvalue()


def test_the_deadline_stands_below_the_rto_until_it_has_been_decided() -> None:
    events = samples.at_the_deadline()
    going = [e for e in events if e.sequence <= 5]
    lines = plain(scene(going), width=140)
    switch = "at 2026-11-23 05:12:00 SAST you must switch: restore takes 1h 50m (p90 of 6 runs); in 1h 41m"
    assert lines[2].strip() == switch
    late = live_picture(scene(going, after_s=3 * 3600), width=140, height=24)
    assert late[2].plain.strip().endswith("ago")
    assert late[2].style == "bold red"
    assert not [line for line in plain(scene(events), width=140) if "you must switch" in line]


def test_a_fallback_that_is_not_entered_takes_one_row() -> None:
    events = samples.at_the_deadline()
    state = fold_all(events)
    assert state.fallen_back
    ways = [rows(given, events[-1].at, width=120).lines for given in (state, replace(state, fallen_back=""))]
    entered, aside = (["".join(line.plain) for line in lines] for lines in ways)
    count = len(state.the_plan.steps(Section.FALLBACK))
    assert count > 1
    assert len(entered) - len(aside) == count - 1
    assert any(f"fallback: {count} steps, for when they are needed" in line for line in aside)
    assert not any("for when they are needed" in line for line in entered)


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 step, for when it is needed"), (2, "2 steps, for when they are needed")]
)
def test_what_may_never_be_needed_takes_one_row(count: int, said: str) -> None:
    undos = tuple(step(f"{n}.rollback", undoes="act") for n in range(count))
    stages = (Stage(section=Section.STEPS, steps=(step("act"),)), Stage(section=Section.ROLLBACK, steps=undos))
    bench = Bench(plan_of_stages(*stages))
    shown = rows(bench.run(), bench.clock.now(), width=80)
    assert f"rollback: {said}" in "\n".join(line.plain for line in shown.lines)


def test_the_last_screen_shows_its_verdict_whole() -> None:
    state = fold_all(samples.no_go())
    long = replace(state, ended_why=", ".join(f"precondition-number-{n}" for n in range(9)))
    assert state.last_at is not None
    shown = [line.plain for line in final_picture(Scene(state=long, now=state.last_at), width=80)]
    assert "precondition-number-8 said no (exit code 7)" in " ".join(" ".join(shown).split())
    assert max(len(line) for line in shown) <= 80
