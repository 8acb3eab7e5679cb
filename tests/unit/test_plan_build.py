"""What a plan is made of: hosts, values, inputs, and that equal documents make equal plans."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drctl.errors import DocumentError, ExitCode, UsageError
from drctl.model.plan import Approval, CaptureType, Http, Mark, Mode, OnFailure, Plan, Section, Shell, Tcp, Wait
from drctl.plan.build import build_plan, missing_roles, try_plan
from drctl.plan.codec import plan_digest
from drctl.read.documents import read_inventory, read_runbook
from drctl.read.walk import scripts_of
from tests.support.plans import CASES, ROOT, made, runbook_of, the_inventory, values


@pytest.fixture(scope="module")
def everything() -> Plan:
    runbook, _ = read_runbook(CASES / "everything.yml")
    assert runbook is not None
    return build_plan(runbook, the_inventory(), service="demo", inputs={"ticket": "T"}, mode=Mode.DRILL, version="1.2")


def test_the_head_of_a_plan(everything: Plan) -> None:
    assert (everything.mode, everything.drctl_version, everything.sla) == (Mode.DRILL, "1.2", True)
    assert everything.objectives.rto_s == 2 * 3600  # the runbook's own
    assert everything.objectives.rpo_s == 24 * 3600  # the inventory's
    assert [(v.name, v.text) for v in everything.inputs] == [
        ("grace", "90"),
        ("service", "demo"),
        ("shared", "from-input"),
        ("ticket", "T"),
    ]
    assert everything.runbook_source.text == (CASES / "everything.yml").read_text()


def test_stages_are_in_the_order_of_time(everything: Plan) -> None:
    assert [stage.section for stage in everything.stages] == [Section.PRECONDITIONS] * 2 + [Section.STEPS] * 7 + [
        Section.ALWAYS
    ]
    assert [step.id for step in everything.stages[1].steps] == ["door-open", "old-closed", "elsewhere"]


def test_what_a_step_says_of_itself(everything: Plan) -> None:
    lag, promote = everything.step("lag"), everything.step("promote")
    assert (lag.read_only, promote.read_only) == (True, False)
    assert everything.step("door-open").read_only
    assert everything.step("answers").read_only
    assert lag.mark is Mark.DETECTED
    assert lag.mark_value == "seen"
    assert [(c.name, c.type) for c in lag.captures] == [("lag", CaptureType.DURATION), ("seen", CaptureType.TIME)]
    assert (promote.recovery_point, promote.last_write, promote.requires) == ("recovered", "seen", "fenced")
    assert promote.on_failure is OnFailure.PAUSE  # the runbook's
    assert everything.step("odd").on_failure is OnFailure.ABORT  # its own
    assert lag.on_failure is OnFailure.DEFAULT  # a precondition that fails is a no-go, not a pause
    assert everything.step("resize").where.endswith("everything.yml:42:5")


def test_only_the_values_that_a_script_uses_go_with_it(everything: Plan) -> None:
    assert values(everything, "lag") == {"database": "taskflow"}
    assert values(everything, "fence") == {
        "grace": "90",
        "password": None,
        "service": "demo",
        "shared": "from-input",
        "witness_addresses": "door 192.0.2.2",
    }
    assert values(everything, "promote") == {}  # $lag is captured, and $secret_of_new is the host's
    [password] = [v for v in everything.step("fence").variables if v.name == "password"]
    assert password.secret == "env:DEMO_PASSWORD"


def test_an_input_wins_over_a_host_and_a_host_over_the_service(tmp_path: Path) -> None:
    steps = "  - {id: a, hosts: [primary, standby], run: 'echo \"$shared\"'}"
    plan = made(tmp_path, steps)
    first, second = plan.step("a").endpoints
    assert [v.text for v in first.variables] == ["from-old"]
    assert second.variables == ()
    assert values(plan, "a") == {"shared": "from-service"}
    plan = made(tmp_path, steps, "inputs: {shared: {}}\n", inputs={"shared": "given"})
    assert plan.step("a").endpoints[0].variables == ()
    assert values(plan, "a") == {"shared": "given"}


def test_built_in_values(tmp_path: Path) -> None:
    script = "echo $service $runbook $primary_host $primary_address $app_address $witness_site $witness_addresses"
    plan = made(tmp_path, f"  - {{id: a, local: {script!r}}}")
    assert values(plan, "a") == {
        "service": "demo",
        "runbook": "test",
        "primary_host": "old",
        "primary_address": "192.0.2.1",
        "app_address": "door",  # without an address a host is reached by its name
        "witness_site": "office",
        "witness_addresses": "door 192.0.2.2",
    }


@pytest.mark.parametrize(
    ("word", "hosts"),
    [
        ("primary", ["old"]),
        ("witness", ["door", "new"]),
        ("new", ["new"]),
        ("stranger", ["stranger"]),  # named outright
        ("database", ["old", "new"]),  # a group: only this service's hosts of it
        ("jnb", ["old"]),  # a site: likewise
        ("[standby, witness, new]", ["new", "door"]),  # each once
    ],
)
def test_words_for_hosts(word: str, hosts: list[str], tmp_path: Path) -> None:
    plan = made(tmp_path, f"  - {{id: a, hosts: {word}, run: echo}}")
    assert [endpoint.host for endpoint in plan.step("a").endpoints] == hosts


def test_an_endpoint_is_complete(tmp_path: Path) -> None:
    [new] = made(tmp_path, "  - {id: a, hosts: new, run: echo}").step("a").endpoints
    assert (new.address, new.port, new.user, new.site, new.country) == ("192.0.2.2", 2222, "", "cpt", "ZA")
    assert new.ssh_config == "/etc/drctl/ssh_config"


def test_actions(everything: Plan) -> None:
    resize, odd = everything.step("resize").action, everything.step("odd").action
    assert isinstance(resize, Shell)
    assert isinstance(odd, Shell)
    assert (resize.script, resize.local, resize.command) == ('exec "$@"', True, "resize")
    assert resize.words == (
        *("az", "vm", "resize", "--size", "Standard_D4s_v5"),
        *("--name", "new", "--tag", "lag=${lag}", "15.10"),
    )
    assert odd.words == ("echo", "$HOME", "$$$$", "5")  # a template of "$$": the engine fills in at last
    assert not odd.local
    assert everything.step("settle").action == Wait(seconds=90.0)
    assert everything.step("settle").timeout_s == 90.0
    assert everything.step("old-closed").action == Tcp(address="192.0.2.1", port=5432, expect="closed")
    assert everything.step("ask").action == Approval(
        prompt="Losing ${lag} of demo; ticket T; price $5. Go on?", only_if_above=("lag", 86_400.0)
    )
    assert everything.step("answers").action == Http(
        url="http://door/health?of=demo&lag=${lag}",
        method="HEAD",
        expect_status=204,
        expect_json=(("ok", "true"), ("n", "1.50"), ("s", "text")),
    )


@pytest.mark.parametrize(
    ("service", "head", "rto", "rpo"),
    [
        ("demo", "", 4, 24),  # what the inventory promises to all
        ("demo", "objectives: {rto: 2h}\n", 2, 24),
        ("small", "objectives: {rto: 2h, rpo: 3h}\n", 1, 3),  # the service's own promise wins, each by itself
    ],
)
def test_which_objective_holds(service: str, head: str, rto: int, rpo: int, tmp_path: Path) -> None:
    plan = made(tmp_path, "  - {id: a, wait: 1s}", head, service=service)
    assert (plan.objectives.rto_s, plan.objectives.rpo_s) == (rto * 3600, rpo * 3600)


def test_a_limit_of_a_service_without_that_promise(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    path.write_text((CASES / "inventory.yml").read_text().replace("objectives: {rto: 4h, rpo: 24h}\n", ""))
    inventory, _ = read_inventory(path)
    assert inventory is not None
    runbook = runbook_of(
        tmp_path,
        "  - {id: a, local: echo, capture: {lag: duration}}\n"
        '  - {id: b, approval: {prompt: "?", only_if_above: {value: lag, limit: rpo}}}',
    )
    with pytest.raises(DocumentError, match="neither the runbook nor the inventory promises an RPO"):
        build_plan(runbook, inventory, service="demo", version="0")


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("text", " a $x ", " a $x "),
        ("int", "007", "7"),
        ("int", "-5", "-5"),
        ("bool", "TRUE", "true"),
        ("duration", "1h30m", "5400"),
        ("duration", "0.5s", "0.5"),
        ("time", "2026-11-23T03:12:00+02:00", "2026-11-23 01:12:00+00"),
        ("time", "2026-11-23 03:12:00.25+02", "2026-11-23 01:12:00.250000+00"),
        ("service", "small", "small"),
    ],
)
def test_inputs(kind: str, given: str, value: str, tmp_path: Path) -> None:
    head = f"inputs: {{x: {{type: {kind}}}}}\n"
    plan = made(tmp_path, '  - {id: a, local: echo "$x"}', head, inputs={"x": given})
    assert values(plan, "a") == {"x": value}
    assert values(made(tmp_path, '  - {id: a, local: echo "$x"}', head), "a") == {"x": ""}


def test_everything_wrong_with_what_was_typed_at_once(tmp_path: Path) -> None:
    head = (
        "inputs: {ticket: {required: true, description: why}, "
        "n: {type: int}, other: {type: service}, t: {type: time}}\n"
    )
    with pytest.raises(UsageError) as raised:
        made(
            tmp_path,
            "  - {id: a, wait: 1s}",
            head,
            service="dmo",
            inputs={"tickt": "x", "n": "many", "other": "smal", "t": "2026-11-23T03:12:00"},
        )
    assert raised.value.exit_code == ExitCode.USAGE
    for said in (
        'there is no service "dmo"',
        '(did you mean "demo"?)',
        "services: demo and small",
        'no input "tickt" (did you mean "ticket"?)',
        'the input "ticket" is missing (why)',
        '"many" is not a whole number',
        'there is no service "smal" (did you mean "small"?)',
        "has no offset from UTC",
    ):
        assert said in raised.value.message
    assert "--input ticket=" in raised.value.hint


def test_the_service_cannot_be_said_twice_and_differently(tmp_path: Path) -> None:
    head = "inputs: {service: {type: service, required: true}}\n"
    assert made(tmp_path, "  - {id: a, wait: 1s}", head, inputs={"service": "demo"}).service == "demo"
    with pytest.raises(UsageError, match='the service is "demo"'):
        made(tmp_path, "  - {id: a, wait: 1s}", head, inputs={"service": "small"})


def test_a_relative_ssh_config_is_beside_the_inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (CASES / "inventory.yml").read_text()
    for written, expected in (("ssh_config", str(tmp_path / "ssh_config")), ("~/cfg", str(tmp_path / "home" / "cfg"))):
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        (tmp_path / "inventory.yml").write_text(text.replace("/etc/drctl/ssh_config", written))
        inventory, _ = read_inventory(tmp_path / "inventory.yml")
        assert inventory is not None
        plan = build_plan(
            runbook_of(tmp_path, "  - {id: a, hosts: new, run: echo}"), inventory, service="demo", version="0"
        )
        assert plan.step("a").endpoints[0].ssh_config == expected


def test_trying_a_plan_needs_no_inputs(tmp_path: Path) -> None:
    runbook = runbook_of(
        tmp_path,
        '  - {id: a, tcp: {host: "${target}", port: 1}}',
        "inputs: {target: {required: true}, n: {type: int, required: true}, t: {type: time}, other: {type: service}}\n",
    )
    plan, problems = try_plan(runbook, the_inventory(), service="demo")
    assert problems == []
    assert plan is not None
    with pytest.raises(UsageError, match="did you mean"):
        try_plan(runbook, the_inventory(), service="dmo")


def test_roles_that_a_service_has_not(tmp_path: Path) -> None:
    runbook = runbook_of(
        tmp_path, "  - {id: a, hosts: [primary, standby], run: echo}\n  - {id: b, hosts: old, run: echo}"
    )
    assert missing_roles(runbook, the_inventory(), service="small") == ["standby"]
    assert missing_roles(runbook, the_inventory(), service="demo") == []


def test_equal_documents_make_equal_plans_in_every_process() -> None:
    code = (
        "from drctl.read.documents import *; from drctl.plan.build import *; from drctl.plan.codec import *\n"
        "r, _ = read_runbook('everything.yml'); i, _ = read_inventory('inventory.yml')\n"
        "print(plan_digest(build_plan(r, i, service='demo', inputs={'ticket': 'T'}, version='0')))\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=CASES,
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (0, 1, 2)
    }
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


def test_a_plan_differs_when_a_document_does(tmp_path: Path) -> None:
    one = made(tmp_path, "  - {id: a, wait: 1s}")
    assert plan_digest(one) == plan_digest(made(tmp_path, "  - {id: a, wait: 1s}"))
    assert plan_digest(one) != plan_digest(made(tmp_path, "  - {id: a, wait: 1s}  # a comment"))
    assert one.step("a").digest == made(tmp_path, "  - {id: a, wait: 1s}  # a comment").step("a").digest


def test_scripts_for_a_linter_have_their_lines(tmp_path: Path) -> None:
    runbook = runbook_of(
        tmp_path,
        "  - id: a\n    hosts: new\n    run: |\n      echo one\n      echo two\n"
        "    unless: test -e x\n    verify:\n      run: >-\n        echo\n        three\n"
        "  - {id: b, local: {command: resize}}\n  - {id: c, local: echo four}",
    )
    lines = runbook.places.source.lines
    found = scripts_of(runbook)
    assert [(script.step, script.text) for script in found] == [
        ("a", "echo one\necho two\n"),
        ("a", "test -e x"),
        ("a", "echo three"),
        ("c", "echo four"),
    ]
    for script in found:
        assert script.text.split()[0] in lines[script.line - 1]


def test_json_of_a_plan_holds_no_secret_but_its_reference(everything: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_PASSWORD", "hunter2")
    from drctl.screens.plan import as_json_object, plain_text

    text = json.dumps(as_json_object(everything)) + plain_text(everything)
    assert "env:DEMO_PASSWORD" in text
    assert "hunter2" not in text
