"""Runbooks that call each other: each case in tests/cases/calls with its problems, or the plan that is made of it.

To accept a change of these texts: ``DRCTL_ACCEPT_CASES=1 pytest tests/unit/test_read_calls.py``, then read the diff.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from drctl.errors import DocumentError
from drctl.model.plan import Mode, OnFailure, Plan, Section, Shell, Step
from drctl.plan.bounds import bound_problems
from drctl.plan.build import build_plan, missing_roles, try_plan
from drctl.plan.codec import from_json, plan_digest, to_json
from drctl.read.diagnostics import count, render_all
from drctl.read.documents import read_inventory, read_runbook
from drctl.read.link import link
from drctl.screens.plan import plain_text
from tests.unit.test_read_cases import CASES, held_to

CALLS = CASES / "calls"


def planned(name: str, **inputs: str) -> Plan:
    runbook, problems = read_runbook(CALLS / f"{name}.yml")
    inventory, _ = read_inventory(CASES / "plans" / "inventory.yml")
    assert runbook is not None, render_all(problems)
    assert inventory is not None
    return build_plan(runbook, inventory, service="demo", inputs=inputs, mode=Mode.REAL, version="0")


@pytest.mark.parametrize("case", sorted(CALLS.glob("*.yml")), ids=lambda path: path.stem)
def test_a_case(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CALLS)
    runbook, problems = read_runbook(case.name)
    made = f"{render_all(problems)}\n\n{count(problems)}\n".lstrip()
    inventory, _ = read_inventory("../plans/inventory.yml")
    assert inventory is not None
    if runbook is not None and "folder" not in runbook.value.inputs:
        try:
            plan = build_plan(runbook, inventory, service="demo", version="0")
        except DocumentError as error:
            made = f"{error.message}\n"
        else:
            made = f"{plain_text(plan)}\n{render_all([*problems, *bound_problems(plan, runbook)])}\n"
    held_to(case, made)


def test_a_runbook_is_linked_once_for_all_who_ask_and_another_reading_of_it_anew() -> None:
    runbook, again = (read_runbook(CALLS / "whole.yml")[0] for _ in range(2))
    assert runbook is not None
    assert again is not None
    assert link(runbook) is link(runbook)
    assert [step.id for step in link(again)] == [step.id for step in link(runbook)]
    assert link(again)[0].frame.document is again


@pytest.fixture(scope="module")
def whole() -> Plan:
    return planned("whole")


def by_section(plan: Plan, section: Section) -> list[str]:
    return [step.id for step in plan.steps(section)]


def variables(step: Step) -> dict[str, str | None]:
    return {variable.name: variable.text for variable in step.variables}


def test_a_called_runbook_s_steps_stand_under_the_call_s_name(whole: Plan) -> None:
    steps = by_section(whole, Section.STEPS)
    assert steps == ["tell", "keys", "fetch", "sweep/is-there", "sweep/empty", "words", "resize", "answers"]
    gate, empty = whole.step("sweep/is-there"), whole.step("sweep/empty")
    assert gate.read_only
    assert not empty.read_only
    assert variables(empty) == {"folder": "/tmp/x"}
    assert empty.where.endswith("tidy.yml:10:5")
    assert empty.on_failure is OnFailure.PAUSE  # the call's, because neither it nor its runbook says


def test_the_fallback_is_a_section_and_every_always_comes_once(whole: Plan) -> None:
    assert by_section(whole, Section.FALLBACK) == ["rebuild/room", "rebuild/copy", "rebuild/answers"]
    assert by_section(whole, Section.ALWAYS) == ["sweep/look", "rebuild/note", "look"]
    assert whole.step("rebuild/room").read_only
    assert variables(whole.step("rebuild/copy"))["runbook"] == "rebuild"
    assert whole.step("rebuild/copy").on_failure is OnFailure.PAUSE  # its own runbook's
    assert whole.step("tell").on_failure is OnFailure.FALLBACK
    assert whole.step("answers").on_failure is OnFailure.ABORT
    assert whole.step("engine").on_failure is OnFailure.DEFAULT  # a precondition is a no-go


def test_undos_come_in_reverse_with_the_step_s_hosts_user_and_values(whole: Plan) -> None:
    undos = by_section(whole, Section.ROLLBACK)
    assert undos == [
        "rebuild/copy.rollback", "words.rollback", "resize.rollback", "sweep/empty.rollback", "keys.rollback"
    ]  # fmt: skip
    assert [whole.step(undo).undoes for undo in undos] == [undo.removesuffix(".rollback") for undo in undos]
    keys, words, resize = (whole.step(f"{name}.rollback") for name in ("keys", "words", "resize"))
    assert keys.endpoints == whole.step("keys").endpoints
    assert keys.max_parallel == 1
    assert keys.action == Shell(script="rm -f /etc/ssl/a.pem")
    assert words.action == Shell(script='echo "$version"', local=True)
    assert (words.endpoints, words.become, words.timeout_s, words.expected_s) == ((), None, 5.0, 2.0)
    assert isinstance(resize.action, Shell)
    assert (resize.action.words[-1], resize.action.local, resize.idempotent) == ("${engine}", True, True)
    assert whole.step("sweep/empty.rollback").name == "Undo: empty"
    assert not any(stage.steps[0].id == "words.rollback" and len(stage.steps) != 2 for stage in whole.stages)


def test_conditions_are_written_as_the_run_will_compare_them(whole: Plan) -> None:
    assert whole.step("sweep/empty").when == (("engine", "postgresql"), ("cores", "4"))
    assert whole.step("sweep/empty").modes == (Mode.REAL,)
    assert whole.step("sweep/look").modes == (Mode.REAL,)
    assert whole.step("sweep/empty.rollback").when == ()
    assert whole.step("rebuild/copy").when == (("rebuild/kind", "of demo"),)
    assert {v.name: v.text for v in whole.inputs}["rebuild/kind"] == "of demo"


def test_a_run_sees_the_inputs_of_each_call_and_no_other(whole: Plan) -> None:
    from drctl.engine.fold import fold_all
    from drctl.model.events import Event, RunStarted

    started = RunStarted(plan=whole, plan_digest="d", operator="o", controller="c", pid=1, interactive=False)
    from datetime import UTC, datetime

    at = datetime(2026, 1, 1, tzinfo=UTC)
    state = fold_all([Event(run_id="r", sequence=1, at=at, body=started, previous="", sha256="")])
    assert state.value("sweep/size") == "4"
    assert state.value("rebuild/kind") == "of demo"
    assert state.value("size") is None
    assert state.value("folder") is None


def test_a_plan_names_the_documents_that_its_steps_come_from(whole: Plan) -> None:
    assert [Path(source.path).name for source in whole.called_sources] == ["rebuild.yml", "tidy.yml"]
    assert from_json(Plan, to_json(whole)) == whole
    assert plan_digest(whole) == plan_digest(planned("whole"))
    assert plan_digest(whole) != plan_digest(planned("whole", place="/other"))


def test_ids_with_a_slash_and_a_dot_are_names_of_jobs() -> None:
    from drctl.adapters.job import job_directory
    from drctl.engine.ports import JobName

    names = {
        job_directory(JobName(run_id="r", step_id=step, attempt=1), "host")
        for step in ("sweep/empty", "sweep-empty", "sweep/empty.rollback", "sweep.empty")
    }
    assert len(names) == 4
    assert not any("/" in name for name in names)


@pytest.mark.parametrize("kind", ["int", "bytes", "duration", "time", "json", "text"])
def test_a_condition_is_compared_with_what_capture_keeps(kind: str) -> None:
    from drctl.engine.values import capture
    from drctl.model.events import Output
    from drctl.model.plan import Capture, CaptureType
    from drctl.read.lint_conditions import captured_text

    text = {
        "int": "007", "bytes": "1024", "duration": "1h30m", "time": "2026-11-23T03:12:00+02:00",
        "json": '{"b": 1, "a": [true]}', "text": "as it is",
    }[kind]  # fmt: skip
    printed = Output(sha256="", bytes=len(text), tail=text)
    [kept] = capture((Capture(name="x", type=CaptureType(kind)),), printed).values()
    assert captured_text(kind, text) == kept


def test_a_role_that_only_a_called_runbook_needs_is_missed_too() -> None:
    runbook, _ = read_runbook(CALLS / "whole.yml")
    inventory, _ = read_inventory(CASES / "plans" / "inventory.yml")
    assert runbook is not None
    assert inventory is not None
    assert missing_roles(runbook, inventory, service="small") == ["standby"]
    assert try_plan(runbook, inventory, service="demo")[0] is not None


def test_get_wants_one_host(tmp_path: Path) -> None:
    path = tmp_path / "get.yml"
    path.write_text(
        "runbook: get\ntitle: G\nsteps: [{id: a, hosts: [primary, standby], get: {source: /a, destination: b}}]\n"
    )
    runbook, _ = read_runbook(path)
    inventory, _ = read_inventory(CASES / "plans" / "inventory.yml")
    assert runbook is not None
    assert inventory is not None
    with pytest.raises(DocumentError, match="fetches from 2 hosts at once"):
        build_plan(runbook, inventory, service="demo", version="0")


def test_a_runbook_is_found_beside_its_caller_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "mine").mkdir()
    one = "runbook: part\ntitle: P\nsteps: [{id: %s, local: echo}]\n"
    (tmp_path / "runbooks" / "part.yml").write_text(one % "of-runbooks")
    caller = tmp_path / "mine" / "caller.yml"
    caller.write_text("runbook: caller\ntitle: C\nsteps: [{id: on, runbook: part}]\n")
    inventory, _ = read_inventory(CASES / "plans" / "inventory.yml")
    assert inventory is not None
    for expected in ("on/of-runbooks", "on/beside"):
        runbook, problems = read_runbook("mine/caller.yml")
        assert runbook is not None, problems
        assert [s.id for s in build_plan(runbook, inventory, service="demo", version="0").steps()] == [expected]
        (tmp_path / "mine" / "part.yml").write_text(one % "beside")


def test_problems_of_a_called_runbook_are_told_with_their_own_file(tmp_path: Path) -> None:
    (tmp_path / "part.yml").write_text("runbook: part\ntitle: P\nsteps: [{id: a, local: echo, tiemout: 5s}]\n")
    (tmp_path / "caller.yml").write_text("runbook: caller\ntitle: C\nsteps: [{id: on, runbook: part}]\n")
    runbook, problems = read_runbook(tmp_path / "caller.yml")
    assert runbook is None
    assert [Path(p.file).name for p in problems] == ["caller.yml", "part.yml"]
    assert 'did you mean "timeout"' in problems[1].message
