"""Every example of the reference page of runbooks is sound, a plan is made of it, and every word has an example."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from drctl.engine.ports import Answer, CommandResult, JobName, OutputSink, ShellCommand
from drctl.engine.state import RunState
from drctl.model.events import Ended, Outcome, PersonAsked
from drctl.model.plan import Capture, CaptureType, Endpoint, Plan, Section, Shell, Step
from drctl.plan.build import try_plan
from drctl.read.diagnostics import Severity, render_all
from drctl.read.documents import read_inventory, read_runbook
from drctl.read.schema import schema_text
from tests.support.world import Bench, FakeHosts, Scripted, exits, ok

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "runbook.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.S | re.M)

HEAD = """runbook: page
title: An example
inputs:
  service: {type: service, required: true}
  ticket: {}
steps:
"""
WORLD = """inventory: page
residency: ZA
objectives: {rpo: 24h}
approvals: {allowed_signers: allowed_signers}
sites:
  here: {provider: P, country: ZA, kind: datacentre}
  there: {provider: Q, country: ZA, kind: cloud}
hosts:
  one: {site: here, address: 192.0.2.1}
  two: {site: there, address: 192.0.2.2}
  door: {site: there, address: 192.0.2.3}
services:
  acacia:
    title: Acacia
    sla: false
    roles: {primary: one, standby: two, app: door}
    vars: {database: d, pgdata: /p, unit: u, standby_slot: s, health_url: "https://acacia.example.net/health"}
    commands: {resize_standby: [resize], move_address: [move], power_off_primary: [power, off]}
"""


def whole(example: str) -> str:
    """A runbook around an example that is a part of one."""
    if example.startswith("- "):
        return HEAD + "".join(f"  {line}\n" for line in example.splitlines())
    if "\nrunbook:" in f"\n{example}":
        return example
    return f"runbook: page\ntitle: An example\n{example}steps: [{{id: one, local: echo}}]\n"


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from keys(inner)
    elif isinstance(value, list):
        for item in value:
            yield from keys(item)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the page's inventory and those of its examples that name their file."""
    monkeypatch.chdir(tmp_path)
    Path("inventory.yml").write_text(WORLD)
    Path("allowed_signers").write_text("thandi@taskflow.example ssh-ed25519 AAAA\n")
    Path("runbooks").mkdir()
    for example in EXAMPLES:
        named = re.match(r"# (runbooks/[\w-]+\.yml)\n", example)
        if named:
            Path(named.group(1)).write_text(example)
    return tmp_path


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: " ".join(text.split()[:6]))
def test_an_example_is_sound_and_makes_a_plan(example: str, world: Path) -> None:
    assert made(example).steps()


class Willing(Scripted):
    """Says yes to whatever is asked."""

    def decide(self, question: PersonAsked, state: RunState) -> Answer:
        said = next(word for word in ("yes", "done", "override", "break_glass", "pause") if word in question.answers)
        return Answer(answer=said, who="thandi@desk", why="the page says so")


class Obliging(FakeHosts):
    """Hosts that do what is asked and print what was promised; nothing has been done already."""

    def __init__(self, steps: Iterable[Step]) -> None:
        super().__init__()
        self.answers: dict[tuple[str, str], tuple[CommandResult, bytes]] = {}
        for step in steps:
            if isinstance(step.verify and step.verify.action, Shell):
                self._answer(step.verify.action, ok((step.verify.expect or "").encode()))
            if step.unless is not None:
                self._answer(step.unless, (exits(1), b""))
            if isinstance(step.action, Shell):
                self._answer(step.action, ok((step.expect or printed(step.captures)).encode()))

    def _answer(self, shell: Shell, answer: tuple[CommandResult, bytes]) -> None:
        self.answers[shell.script, "".join(shell.words[:1])] = answer

    def probe(
        self, endpoint: Endpoint | None, command: ShellCommand, *, timeout_s: float, output: OutputSink
    ) -> CommandResult:
        result, text = self.answers[command.script, "".join(command.words[:1])]
        output("stdout", text)
        return result

    def job(
        self, endpoint: Endpoint | None, command: ShellCommand, *, name: JobName, timeout_s: float, output: OutputSink
    ) -> CommandResult:
        claim = f"{name} on {endpoint.host if endpoint else 'this machine'}"
        assert claim not in self.claimed, "twice"
        self.claimed[claim] = exits(0)
        return self.probe(endpoint, command, timeout_s=timeout_s, output=output)


def printed(captures: tuple[Capture, ...]) -> str:
    examples = {
        CaptureType.TEXT: "on",
        CaptureType.INT: "3",
        CaptureType.TIME: "2026-11-23T01:00:00Z",
        CaptureType.DURATION: "2.5s",
        CaptureType.BYTES: "12 MB",
        CaptureType.JSON: "{}",
    }
    return "\n".join(examples[capture.type] for capture in captures)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: " ".join(text.split()[:6]))
def test_an_example_runs_to_its_end(example: str, world: Path) -> None:
    """On hosts that do what they are asked: each step of it is carried out, or left out by its own words."""
    plan = made(example)
    bench = Bench(plan, hosts=Obliging(plan.steps()), person=Willing())
    state = bench.run()
    assert state.ended is Ended.DONE, bench.events[-1]
    for section in (Section.PRECONDITIONS, Section.STEPS, Section.ALWAYS):
        # Attempts after the one that succeeded are not entered.
        for step in (s for s in plan.steps(section) if s.round is None or s.round.number == 1):
            assert state.step_outcome(step) in (Outcome.SUCCEEDED, Outcome.SKIPPED), step.id
    assert any(state.step_outcome(step) is Outcome.SUCCEEDED for step in plan.steps())


def made(example: str) -> Plan:
    Path("page.yml").write_text(whole(example))
    runbook, problems = read_runbook("page.yml")
    inventory, _ = read_inventory("inventory.yml")
    told = [p for p in problems if p.severity is Severity.ERROR or "not measured" not in p.message]
    assert not told, render_all(told)
    assert runbook is not None
    assert inventory is not None
    plan, problems = try_plan(runbook, inventory, service="acacia")
    assert plan is not None, render_all(problems)
    return plan


def test_every_word_has_an_example() -> None:
    schema = json.loads(schema_text("runbook"))
    words = {word for part in (schema, *schema["$defs"].values()) for word in part.get("properties", {})}
    assert len(words) > 60
    shown = {key for example in EXAMPLES for key in keys(yaml.safe_load(example))}
    assert sorted(words - shown) == []


@pytest.mark.parametrize(
    ("where", "word"),
    [
        ("CaptureName", "text|int|time|duration|bytes|json"),
        ("ModeName", "check|drill|real"),
        ("MarkName", "outage_started|detected|declared|service_restored|protected"),
    ],
)
def test_every_choice_is_on_the_page(where: str, word: str) -> None:
    from typing import get_args

    from drctl.model import runbook

    assert "|".join(get_args(getattr(runbook, where))) == word
    assert [choice for choice in word.split("|") if f"`{choice}`" not in PAGE.read_text()] == []


def test_an_example_that_is_wrong_would_be_found(world: Path) -> None:
    with pytest.raises(AssertionError, match="tiemout"):
        made("- {id: one, local: echo, tiemout: 5s}\n")
