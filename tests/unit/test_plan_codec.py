"""Plans and events as JSON: what is written comes back equal, and what is not understood is refused."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drctl.errors import DocumentError
from drctl.model import events as ev
from drctl.model.plan import Approval, Mode, Plan, Section, Shell, Step, Tcp, Variable
from drctl.plan.build import build_plan
from drctl.plan.codec import canonical_json, digest, from_json, plan_digest, step_digest, to_json
from drctl.read.documents import read_inventory, read_runbook

CASES = Path(__file__).parents[1] / "cases" / "plans"


@pytest.fixture(scope="module")
def plan() -> Plan:
    runbook, _ = read_runbook(CASES / "everything.yml")
    inventory, _ = read_inventory(CASES / "inventory.yml")
    assert runbook is not None
    assert inventory is not None
    return build_plan(runbook, inventory, service="demo", inputs={"ticket": "INC-1"}, version="0")


def through(value: Any) -> Any:
    """Over a wire and back."""
    return from_json(type(value), json.loads(canonical_json(value)))


def test_a_plan_comes_back_equal(plan: Plan) -> None:
    assert through(plan) == plan
    assert canonical_json(through(plan)) == canonical_json(plan)


EXAMPLES = (
    ev.StopRequested(by="me", how="SIGTERM"),
    ev.RunResumed(operator="o", controller="c", pid=1, interactive=False),
    ev.AttemptFinished(
        step="a",
        host="h",
        attempt=2,
        act=ev.Act.RUN,
        outcome=ev.Outcome.IN_DOUBT,
        reason=ev.Reason.LOST,
        exit_code=None,
        duration_s=1.25,
        output=ev.Output(sha256="0" * 64, bytes=3, tail="é\u2028\x00"),
        captured={"b": "1", "a": ""},
    ),
    ev.PersonAsked(
        question=ev.Question.FAILED, step="a", prompt="?", facts=("x", ""), answers=("yes",), unattended="pause"
    ),
    ev.RunEnded(ended=ev.Ended.NO_GO),
)


@pytest.mark.parametrize("body", EXAMPLES, ids=lambda body: body.type)
def test_an_event_comes_back_equal(body: ev.Body) -> None:
    at = datetime(2026, 11, 23, 3, 12, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    event = ev.Event(run_id="r", sequence=1, at=at, body=body, previous="", sha256="")
    back = through(event)
    assert back == event
    assert type(back.body) is type(body)
    assert back.at.tzinfo is UTC
    assert json.loads(canonical_json(event))["at"] == "2026-11-23T01:12:00.123456Z"


def test_a_whole_run_can_begin_with_its_plan(plan: Plan) -> None:
    started = ev.RunStarted(plan=plan, plan_digest="d", operator="o", controller="c", pid=1, interactive=True)
    assert through(started) == started


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_any_text_and_number_comes_back(text: str, number: float, flag: bool) -> None:
    if any(0xD800 <= ord(character) < 0xE000 for character in text):
        return
    approval = Approval(prompt=text, only_if_above=(text, number))
    assert through(approval) == approval
    assert through(Variable(name=text, text=text)) == Variable(name=text, text=text)
    assert through(Shell(script=text, local=flag, words=(text,))) == Shell(script=text, local=flag, words=(text,))


def broken(plan: Plan, *path: str | int, value: Any = "absent") -> dict[str, Any]:
    """The plan's JSON with one member changed, or added."""
    data: Any = json.loads(canonical_json(plan))
    holder = data
    for part in path[:-1]:
        holder = holder[part]
    if value == "absent":
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return data  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("invented",), 1, "unknown member 'invented'"),
        (("stages", 0, "steps", 0, "invented"), 1, "stages.0.steps.0: unknown member 'invented'"),
        (("title",), "absent", "title is missing"),
        (("title",), 5, "title: str is needed, not int"),
        (("sla",), 1, "sla: bool is needed, not int"),
        (("mode",), "pretend", "mode: 'pretend' is not one of plan, check, drill, real"),
        (("objectives",), None, "objectives: a JSON object is needed, not null"),
        (("objectives", "rto_s"), "4h", "objectives.rto_s: a number is needed, not str"),
        (("stages", 0, "steps", 0, "retry", "attempts"), True, "retry.attempts: int is needed, not bool"),
        (("stages",), {}, "stages: a list is needed, not an object"),
        (("stages", 0, "steps", 0, "action", "kind"), "teleport", "unknown kind 'teleport'"),
        (("stages", 0, "steps", 0, "action", "local"), "no", "action.local: bool is needed, not str"),
        (("stages", 0, "steps", 0, "endpoints", 0, "port"), 22.0, "port: int is needed, not float"),
        (("stages", 2, "steps", 0, "action", "only_if_above"), ["lag"], "only_if_above: a list of 2 is needed"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(plan: Plan, path: tuple[str | int, ...], value: Any, said: str) -> None:
    with pytest.raises(DocumentError) as raised:
        from_json(Plan, broken(plan, *path, value=value))
    assert said in raised.value.message
    assert raised.value.message.startswith("this plan cannot be read")


@pytest.mark.parametrize("data", [None, [], "x", 1])
def test_no_object_at_all(data: Any) -> None:
    with pytest.raises(DocumentError, match="a JSON object is needed"):
        from_json(Plan, data)


def test_an_instant_without_an_offset_is_refused() -> None:
    data = to_json(ev.ClockMarked(mark=ev.Mark.DETECTED, at=datetime(2026, 1, 1, tzinfo=UTC), source="s"))
    for text in ("2026-01-01T00:00:00", "yesterday", 5):
        with pytest.raises(DocumentError, match="at: "):
            from_json(ev.ClockMarked, data | {"at": text})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes", {1, 2}])
def test_what_has_no_json_form_is_a_bug(value: Any) -> None:
    with pytest.raises(TypeError, match="has no JSON form"):
        to_json([value])


def test_canonical_json_is_one_text_for_one_value() -> None:
    assert canonical_json({"b": 1, "a": ("ä", None, True)}) == '{"a":["ä",null,true],"b":1}'.encode()


def changed(step: Step, **values: Any) -> str:
    return step_digest(dataclasses.replace(step, **values))


def test_a_step_s_digest_covers_what_it_does_and_not_what_is_said_of_it(plan: Plan) -> None:
    step = plan.step("fence")
    same = step_digest(step)
    assert step.digest == same
    assert changed(step, name="x", where="y:1:1", failure_hint="z", expected_s=5.0, id="other", digest="") == same
    shell = Shell(script="echo other")
    different = [
        changed(step, action=shell),
        changed(step, action=dataclasses.replace(step.action, script=step.action.script + "\n")),  # type: ignore
        changed(step, endpoints=()),
        changed(step, endpoints=(dataclasses.replace(step.endpoints[0], address="192.0.2.99"),)),
        changed(step, become="root"),
        changed(step, variables=()),
        changed(step, variables=(Variable(name="grace", text="91"), *step.variables[1:])),
        changed(step, timeout_s=61.0),
        changed(step, idempotent=False),
        changed(step, unless=None),
        changed(step, proves=None),
        changed(step, expect=""),
    ]
    assert len({same, *different}) == len(different) + 1


def test_a_plan_s_digest_covers_everything(plan: Plan) -> None:
    assert plan_digest(dataclasses.replace(plan, mode=Mode.DRILL)) != plan_digest(plan)
    assert plan_digest(dataclasses.replace(plan, drctl_version="1")) != plan_digest(plan)
    assert plan_digest(dataclasses.replace(plan)) == plan_digest(plan)


def test_a_digest_does_not_change_when_a_later_drctl_knows_more() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Now:
        kind: str = "thing"
        name: str
        steps: tuple[Tcp, ...] = ()

    @dataclass(frozen=True, kw_only=True)
    class Later:
        kind: str = "thing"
        name: str
        steps: tuple[Tcp, ...] = ()
        limit: int | None = None
        modes: tuple[str, ...] = ()
        tags: dict[str, str] = dataclasses.field(default_factory=dict)

    steps = (Tcp(address="a", port=1),)
    assert digest(Now(name="n", steps=steps)) == digest(Later(name="n", steps=steps))
    assert digest(Later(name="n", limit=0)) != digest(Later(name="n"))
    assert digest(Later(name="n", tags={"a": "b"})) != digest(Later(name="n"))
    assert digest(Section.STEPS) == digest("steps")
