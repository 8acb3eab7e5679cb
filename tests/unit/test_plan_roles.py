"""Inputs that are roles: in hosts, values, commands and called runbooks."""

from __future__ import annotations

from pathlib import Path

import pytest

from drctl.errors import DocumentError, UsageError
from drctl.model.plan import Shell, Tcp
from drctl.plan.build import InventoryDocument, build_plan, missing_roles
from drctl.read.documents import read_inventory
from tests.support.plans import CASES, runbook_of, values

ROLES = "inputs:\n  from: {type: role, default: primary}\n  to: {type: role, default: standby}\n"
MOVE = """
  - id: point
    hosts: to
    run: point "$from_address" "$to_slot" "$from"
    name: From ${from_host} to ${to_host}
  - {id: resize, local: {command: resize_to}}
  - {id: open, tcp: {host: to, port: 5432}}
"""


def with_slots(tmp_path: Path) -> InventoryDocument:
    text = (CASES / "inventory.yml").read_text()
    text = text.replace(
        "      version: 15.10\n", "      version: 15.10\n      primary_slot: p\n      standby_slot: s\n"
    )
    text = text.replace("      resize: [", "      resize_primary: ['true']\n      resize_standby: [")
    (tmp_path / "inventory.yml").write_text(text)
    inventory, problems = read_inventory(tmp_path / "inventory.yml")
    assert inventory is not None, problems
    return inventory


@pytest.mark.parametrize(
    ("inputs", "host", "address", "slot", "command"),
    [
        ({}, "new", "192.0.2.1", "s", "resize_standby"),
        ({"from": "standby", "to": "primary"}, "old", "192.0.2.2", "p", "resize_primary"),
    ],
)
def test_an_input_of_type_role_is_that_role_in_hosts_values_and_commands(
    inputs: dict[str, str], host: str, address: str, slot: str, command: str, tmp_path: Path
) -> None:
    plan = build_plan(
        runbook_of(tmp_path, MOVE, ROLES), with_slots(tmp_path), service="demo", inputs=inputs, version="0"
    )
    assert [endpoint.host for endpoint in plan.step("point").endpoints] == [host]
    assert values(plan, "point") == {"from": inputs.get("from", "primary"), "from_address": address, "to_slot": slot}
    assert host in plan.step("point").name
    resize = plan.step("resize").action
    assert isinstance(resize, Shell)
    assert resize.command == command
    door = plan.step("open").action
    assert isinstance(door, Tcp)
    assert door.address == ("192.0.2.2" if host == "new" else "192.0.2.1")


def test_a_called_runbook_has_roles_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "move.yml").write_text(f"runbook: move\ntitle: Move\n{ROLES}steps:\n{MOVE}\n")
    call = "  - {id: back, runbook: {name: move, inputs: {from: '${to}', to: '${from}'}}}"
    plan = build_plan(runbook_of(tmp_path, call, ROLES), with_slots(tmp_path), service="demo", version="0")
    assert [endpoint.host for endpoint in plan.step("back/point").endpoints] == ["old"]
    assert values(plan, "back/point")["to_slot"] == "p"


def test_a_role_that_the_service_has_not_is_said(tmp_path: Path) -> None:
    runbook = runbook_of(tmp_path, MOVE, ROLES)
    with pytest.raises(UsageError, match='the input "to": the service has no role "standy"'):
        build_plan(runbook, with_slots(tmp_path), service="demo", inputs={"to": "standy"}, version="0")
    assert missing_roles(runbook, with_slots(tmp_path), service="small") == ["standby"]
    head = ROLES.replace("  to:", "  standby:")
    steps = "  - {id: a, hosts: standby, run: echo}"
    with pytest.raises(DocumentError) as caught:
        build_plan(runbook_of(tmp_path, steps, head), with_slots(tmp_path), service="demo", version="0")
    assert "is a role of demo already: choose another" in str(caught.value)
