"""Inventories of Ansible's: what ansible-inventory writes becomes drctl's, and what is missing is named."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drctl.errors import DocumentError, UsageError
from drctl.model.inventory import Inventory
from drctl.read import text
from drctl.read.diagnostics import Diagnostic, Severity, errors, raise_on_problems, render_all
from drctl.read.document import Document
from drctl.read.documents import Library, read_inventory
from drctl.read.find import documents_in, find_inventory

CASE = Path(__file__).parents[1] / "cases" / "ansible" / "inventory.json"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def listing() -> dict[str, Any]:
    """The case, to be changed: ``ansible-inventory -i hosts.ini --list`` of the files beside it."""
    found: dict[str, Any] = json.loads(CASE.read_text())
    return found


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Any], tuple[Document[Inventory] | None, list[Diagnostic]]]:
    """Read a value as a file in JSON."""

    def reader(value: Any) -> tuple[Document[Inventory] | None, list[Diagnostic]]:
        path = tmp_path / "listing.json"
        path.write_text(json.dumps(value, indent=4))
        return read_inventory(path)

    return reader


def hostvars(listing: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = listing["_meta"]["hostvars"][name]
    return found


def sound(document: Document[Inventory] | None, problems: list[Diagnostic]) -> Inventory:
    assert document is not None, render_all(problems)
    return document.value


def test_the_case_is_an_inventory() -> None:
    found = sound(*read_inventory(CASE))
    assert (found.inventory, found.residency, found.timezone) == ("acacia", "ZA", "Africa/Johannesburg")
    assert list(found.sites) == ["cpt", "jnb", "store"]
    db1 = found.hosts["db1"]
    assert (db1.site, db1.address, db1.port, db1.user) == ("jnb", "192.0.2.21", 2222, "drctl")
    assert db1.groups == ["db-servers", "jnb"]
    assert db1.vars == {"mtu": "1500"}
    proxy = found.hosts["proxy"]
    assert (proxy.site, proxy.address, proxy.port, proxy.user) == ("cpt", "203.0.113.20", None, "ops")
    acacia = found.services["acacia"]
    assert acacia.hosts_of("witness") == ["proxy"]
    assert acacia.vars == {"pgdata": "/var/lib/postgresql/15/main", "port": "5432"}
    assert found.objectives.rto == 4 * 3600


def test_what_is_left_out_is_said_once() -> None:
    _, problems = read_inventory(CASE)
    assert [problem.severity for problem in problems] == [Severity.WARNING]
    assert "packages (a list or a mapping)" in problems[0].message
    assert "proxy_url" not in problems[0].message


def test_a_host_without_a_site_is_named_with_what_to_add(listing: Any, read: Any) -> None:
    del hostvars(listing, "db1")["drctl_site"]
    del hostvars(listing, "proxy")["drctl_site"]
    document, problems = read(listing)
    assert document is None
    said = errors(problems)
    assert [problem.message for problem in said] == [
        "db1 has no variable drctl_site",
        "proxy has no variable drctl_site",
    ]
    assert "host_vars/db1.yml" in said[0].hint
    assert "cpt, jnb and store" in said[0].hint
    assert said[0].source_line.strip() == '"db1": {'


def test_a_host_that_has_no_variables_at_all_is_named(listing: Any, read: Any) -> None:
    listing["edge"]["hosts"].append("lonely")
    assert [problem.message for problem in errors(read(listing)[1])] == ["lonely has no variable drctl_site"]


def test_a_host_that_is_none_of_drctls_is_left_out(listing: Any, read: Any) -> None:
    listing["edge"]["hosts"].append("printer")
    listing["_meta"]["hostvars"]["printer"] = {"drctl_ignore": True, "ansible_connection": "winrm"}
    assert list(sound(*read(listing)).hosts) == ["db1", "db2", "proxy"]


def test_without_drctls_variable_an_example_is_given(listing: Any, read: Any) -> None:
    for values in listing["_meta"]["hostvars"].values():
        del values["drctl_inventory"]
    document, (problem,) = read(listing)
    assert document is None
    assert "drctl_inventory" in problem.message
    assert "group_vars/all.yml" in problem.hint
    # The example itself must be one that works.
    import yaml

    example = yaml.safe_load(problem.hint.partition("\n")[2])
    for values in listing["_meta"]["hostvars"].values():
        values.update(example, drctl_site="jnb")
    sound(*read(listing))


def test_a_variable_that_is_not_the_same_for_all_is_named(listing: Any, read: Any) -> None:
    hostvars(listing, "db2")["drctl_inventory"]["residency"] = "IE"
    (problem,) = read(listing)[1]
    assert problem.message == "drctl_inventory of db2 is not that of db1"


@pytest.mark.parametrize(
    ("change", "message", "line"),
    [
        (lambda i: i["sites"]["jnb"].update(country="South Africa"), "sites.jnb.country", '"country": "South Africa"'),
        (lambda i: i["sites"].pop("store"), 'there is no site "store"', '"location": "store"'),
        (
            lambda i: i["services"]["acacia"]["roles"].update(primary="db9"),
            'there is no host "db9"',
            '"primary": "db9"',
        ),
        (lambda i: i["sites"]["cpt"].update(country="IE"), "db2 holds data as standby", '"standby": "db2"'),
        (lambda i: i.update(residence="ZA"), "residence", '"residence": "ZA"'),
        (lambda i: i.update(timezone=None), "has no value", '"timezone": null'),
        (lambda i: i.update(hosts={}), "they are those of Ansible", '"hosts": {}'),
    ],
)
def test_rules_of_inventories_hold_with_places_in_the_json(
    listing: Any, read: Any, change: Change, message: str, line: str
) -> None:
    # One and the same for all hosts, as it is in the group all.
    about = hostvars(listing, "db1")["drctl_inventory"]
    change(about)
    for values in listing["_meta"]["hostvars"].values():
        values["drctl_inventory"] = copy.deepcopy(about)
    document, problems = read(listing)
    assert document is None
    found = [problem for problem in errors(problems) if message in problem.message]
    assert found, render_all(problems)
    assert line in found[0].source_line


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ansible_host", "{{ inventory_hostname }}.example", "ansible_host of db1 holds a template"),
        ("drctl_site", "{{ dc }}", "drctl_site of db1 holds a template"),
        ("ansible_host", "-oProxyCommand=x", "hosts.db1.address"),
        ("ansible_port", "many", "hosts.db1.port"),
        ("ansible_user", "a b", "hosts.db1.user"),
        ("drctl_site", "durban", 'there is no site "durban"'),
        ("drctl_sites", "jnb", 'no variable "drctl_sites" (did you mean "drctl_site"?)'),
        ("ansible_connection", "winrm", 'db1 is reached by "winrm"'),
    ],
)
def test_a_wrong_variable_is_named_where_it_stands(
    listing: Any, read: Any, variable: str, value: str, message: str
) -> None:
    hostvars(listing, "db1")[variable] = value
    document, problems = read(listing)
    assert document is None
    found = [problem for problem in errors(problems) if message in problem.message]
    assert found, render_all(problems)
    assert f'"{variable}": "{value}"' in found[0].source_line


def test_no_secret_gets_into_what_a_plan_carries(listing: Any, read: Any) -> None:
    hostvars(listing, "db1").update(
        db_password="hunter2-in-the-clear",
        ansible_become_password="hunter3-in-the-clear",
        vaulted={"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256 hunter4"},
        later="{{ lookup('env', 'X') }}",
        Mixed="x",
        reference={"secret": "env:DB_PASSWORD"},
        port="5433",
    )
    document, problems = read(listing)
    found = sound(document, problems)
    assert set(found.hosts["db1"].vars) == {"mtu", "reference", "port"}
    assert document is not None
    assert "hunter" not in document.source.text
    assert "hunter" not in render_all(problems)
    for name in ("db_password (looks like a secret)", "vaulted (a vaulted value)", "later (a template)", "Mixed"):
        assert name in render_all(problems)


def test_a_way_that_only_ansible_knows_is_said(listing: Any, read: Any) -> None:
    hostvars(listing, "db1")["ansible_ssh_common_args"] = "-J bastion"
    assert "ansible_ssh_common_args (drctl reads ssh_config" in render_all(read(listing)[1])


def test_groups_of_groups_reach_their_hosts(listing: Any, read: Any) -> None:
    listing["all"]["children"].append("South_Africa")
    listing["South_Africa"] = {"children": ["jnb", "cpt", "South_Africa"]}
    found = sound(*read(listing))
    assert all("south-africa" in host.groups for host in found.hosts.values())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"all": {"vars": {"a": 1}}, "_meta": {"hostvars": {}}}, "--export"),
        ({"all": {"hosts": {"db1": {"ansible_host": "192.0.2.1"}}}}, "Ansible's own"),
        ({"_meta": {"hostvars": {}}, "all": {}}, "no host has the variable drctl_inventory"),
        ({"_meta": {"hostvars": {"a": {"drctl_inventory": []}}}}, "is not a mapping"),
        ({"_meta": {"hostvars": {"a": 5}}}, "no host has"),
        ({"_meta": {"hostvars": []}}, "Ansible's own"),
        ({"_meta": None}, "Ansible's own"),
    ],
)
def test_what_is_not_such_a_list_is_refused(read: Any, value: Any, message: str) -> None:
    document, problems = read(value)
    assert document is None
    assert message in render_all(problems)


def test_what_drctl_itself_writes_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(
        json.dumps(
            {
                "inventory": "own",
                "residency": "ZA",
                "sites": {"jnb": {"provider": "x", "country": "ZA", "kind": "cloud"}},
                "hosts": {"db1": {"site": "jnb"}},
            }
        )
    )
    assert sound(*read_inventory(path)).inventory == "own"


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Give something on standard input."""
    text._standard_input.cache_clear()

    def give(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    yield give
    text._standard_input.cache_clear()


def test_standard_input_may_be_asked_for_twice(standard_input: Callable[[bytes], None]) -> None:
    standard_input(CASE.read_bytes())
    path = find_inventory("-", environ={})
    assert Library().kind_of(path) == "inventory"
    assert sound(*read_inventory(path)).inventory == "acacia"


def test_standard_input_has_a_limit_too(standard_input: Callable[[bytes], None]) -> None:
    standard_input(b" " * (text.MAX_BYTES + 1))
    document, (problem,) = read_inventory("-")
    assert document is None
    assert "1 MiB" in problem.message
    assert "--limit" in problem.hint


def test_what_is_wrong_on_standard_input_has_a_next_command_that_can_be_typed(
    standard_input: Callable[[bytes], None],
) -> None:
    """``drctl validate -`` would wait for a runbook to be typed."""
    standard_input(b'{"_meta": {"hostvars": {}}}')
    _, problems = read_inventory("-")
    with pytest.raises(DocumentError) as refused:
        raise_on_problems(problems)
    assert refused.value.hint == "correct what comes on standard input, then the same command again"


def test_json_is_found_among_inventories(tmp_path: Path) -> None:
    inventories, runbooks = tmp_path / "inventories", tmp_path / "runbooks"
    for directory in (inventories, runbooks):
        directory.mkdir()
        (directory / "sites.json").write_text("{}")
    assert documents_in(inventories) == [inventories / "sites.json"]
    assert documents_in(runbooks) == []
    assert find_inventory(environ={}, directory=inventories) == inventories / "sites.json"
    assert find_inventory("sites", environ={}, directory=inventories) == inventories / "sites.json"
    with pytest.raises(UsageError, match="no file"):
        find_inventory("other.json", environ={}, directory=inventories)
