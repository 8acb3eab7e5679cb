"""Data stays in its country: in the documents, through the gateways, and on the resolved target when it is sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drctl.adapters.ssh.ways import SshRoutes
from drctl.cli.main import execute
from drctl.engine.perform import World
from drctl.engine.state import Target
from drctl.errors import DocumentError, ExitCode
from drctl.model.events import AttemptStarted, Ended, Outcome, Reason, RunStarted
from drctl.model.plan import Capture, Endpoint, Http, Plan, Step, Transfer
from drctl.model.promises import Carries, Place, Residency
from drctl.plan.build import build_plan
from drctl.plan.residency import Hop
from drctl.read.documents import read_inventory, read_runbook
from tests.support.world import Bench, endpoint, ok, plan, step

HERE = Residency(
    country="ZA",
    places=(
        Place(host="standby", address="192.0.2.1", country="ZA"),
        Place(host="jump", address="192.0.2.9", country="ZA"),
        Place(host="frankfurt", address="198.51.100.7", country="DE"),
    ),
)
SEND = Transfer(direction="put", local="a", remote="b")


class Ways:
    """The way as the test has it."""

    def __init__(self, *hops: Hop) -> None:
        self.hops = hops

    def way_to(self, endpoint: Endpoint) -> tuple[Hop, ...]:
        return self.hops


def sent(one: Step, *hops: Hop, residency: Residency | None = HERE) -> tuple[Bench, str, Reason | None]:
    """A run of that step over those hops: whether it was refused, and why."""
    bench = Bench(replace(plan(one), residency=residency))
    conductor = bench.conductor()
    world = conductor.world
    conductor.world = World(
        commands=world.commands, network=world.network, outputs=world.outputs, clock=world.clock, files=world.files,
        routes=Ways(*hops) if hops else None,
    )  # fmt: skip
    first = RunStarted(plan=bench.plan, plan_digest="d", operator="o", controller="m", pid=1, interactive=False)
    state = conductor.conduct(first)
    host = one.endpoints[0].host if one.endpoints else ""
    known = state.target(Target(one.id, host))
    assert (known.outcome is Outcome.SUCCEEDED) == (state.ended is Ended.DONE)
    return bench, known.detail, known.reason


STANDBY = Hop("standby", "192.0.2.1")


@pytest.mark.parametrize(
    ("hops", "why"),
    [
        ((STANDBY,), ""),
        ((Hop("jump", "192.0.2.9"), STANDBY), ""),
        ((Hop("jump", "203.0.113.200"), STANDBY), ""),  # known by its name
        ((Hop("frankfurt", "198.51.100.7"), STANDBY), "frankfurt (198.51.100.7) is in DE"),
        ((Hop("other-name", "198.51.100.7"), STANDBY), "other-name (198.51.100.7), which is frankfurt, is in DE"),
        ((Hop("standby", "198.51.100.7"),), "standby (198.51.100.7), which is frankfurt, is in DE"),
        ((Hop("bastion", "203.0.113.5"), STANDBY), "bastion (203.0.113.5) is no host of the inventory"),
    ],
)
@pytest.mark.parametrize("how", ["a file", "a script that says so"])
def test_what_carries_data_is_refused_on_the_resolved_way(hops: tuple[Hop, ...], why: str, how: str) -> None:
    one = step("send", action=SEND) if how == "a file" else step("send", carries=Carries())
    bench, detail, reason = sent(one, *hops)
    assert (reason is Reason.REFUSED) == bool(why)
    assert why in detail
    if why:
        assert "nothing was sent" in detail
        assert not bench.hosts.effects
        attempts = [e for e in bench.events if isinstance(e.body, AttemptStarted)]
        assert len(attempts) == 1, "a refusal does not get better by asking again"
    elif how != "a file":
        assert bench.hosts.effects == {"send": 1}


def test_what_carries_none_goes_anywhere_and_so_does_a_plan_of_before() -> None:
    abroad = Hop("frankfurt", "198.51.100.7")
    assert sent(step("look"), abroad)[2] is None
    assert sent(step("send", carries=Carries()), abroad, residency=None)[2] is None


def test_a_url_that_was_filled_while_the_run_went_on() -> None:
    for address, why in (("192.0.2.1", ""), ("198.51.100.7", "is in DE"), ("203.0.113.5", "is no host")):
        upload = step("upload", host=None, action=Http(url="https://${where}/up", method="POST"), carries=Carries())
        asks = step("asks", read_only=True, captures=(Capture(name="where"),))
        bench = Bench(replace(plan(asks, upload), residency=HERE))
        bench.hosts.scripts["asks"] = lambda _, said=address: ok(said.encode())  # type: ignore[misc]
        known = bench.run().target(Target("upload", ""))
        assert (known.reason is Reason.REFUSED) == bool(why)
        assert why in known.detail


WORLD = """inventory: places
residency: ZA
sites:
  jnb: {provider: X, country: ZA, kind: datacentre}
  fra: {provider: Y, country: DE, kind: office}
hosts:
  db: {site: jnb, address: 192.0.2.1}
  watcher: {site: fra, address: 198.51.100.7}
services:
  acacia: {title: Acacia, sla: false, roles: {primary: db, monitor: watcher}}
"""


def refused(folder: Path, steps: str) -> str:
    (folder / "inventory.yml").write_text(WORLD)
    (folder / "runbook.yml").write_text(f"runbook: r\ntitle: R\nsteps:\n{steps}\n")
    runbook, problems = read_runbook(folder / "runbook.yml")
    inventory, _ = read_inventory(folder / "inventory.yml")
    assert runbook is not None, problems
    assert inventory is not None
    try:
        made = build_plan(runbook, inventory, service="acacia", version="0")
    except DocumentError as error:
        return error.message
    assert isinstance(made, Plan)
    return ""


@pytest.mark.parametrize(
    ("step_", "why"),
    [
        ("{id: a, hosts: monitor, run: echo}", ""),  # a host that only watches may be abroad
        ("{id: a, hosts: primary, carries: data, run: dump}", ""),
        ("{id: a, hosts: monitor, carries: data, run: dump}", "4:20: steps.0.hosts: data must stay in ZA, and watcher"),
        ("{id: a, hosts: monitor, put: {source: a, destination: /b}}", "and watcher (198.51.100.7) is in DE"),
        ("{id: a, hosts: monitor, get: {source: /a, destination: b}}", "and watcher (198.51.100.7) is in DE"),
        ('{id: a, carries: data, http: {url: "https://192.0.2.1/up", method: POST}}', ""),
        ('{id: a, carries: data, http: {url: "https://example.org/up", method: POST}}', "is no host of the inventory"),
        ('{id: a, http: {url: "https://example.org/health"}}', ""),
    ],
)
def test_a_plan_that_would_carry_data_abroad_is_not_made(step_: str, why: str, tmp_path: Path) -> None:
    said = refused(tmp_path, f"  - {step_}")
    assert why in said
    assert bool(said) == bool(why)


def test_a_gateway_of_ssh_config_is_looked_at_without_connecting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "ssh_config"
    (tmp_path / "runbook.yml").write_text("runbook: r\ntitle: R\nsteps: [{id: a, hosts: primary, run: echo}]\n")
    (tmp_path / "inventory.yml").write_text(WORLD.replace("sites:", "ssh: {config: ssh_config}\nsites:"))
    cases = (
        ("", ExitCode.DONE, ""),
        ("Host db\n ProxyJump watcher\nHost watcher\n HostName 198.51.100.7\n", ExitCode.INVALID_DOCUMENT,
         "hosts.db: data must stay in ZA, and db is behind a gateway: watcher (198.51.100.7) is in DE"),
        ("Host db\n ProxyJump 203.0.113.5\n", ExitCode.DONE,
         "warning: hosts.db: data must stay in ZA, and db is behind a gateway: 203.0.113.5 is no host of the inv"),
    )  # fmt: skip
    for text, code, said in cases:
        config.write_text(text)
        assert execute(["validate", "runbook.yml", "-i", "inventory.yml"]) == code
        out = capsys.readouterr().out
        assert said in out
        assert bool(out) == bool(said)
    config.write_text(cases[1][0])
    found = SshRoutes().way_to(replace(endpoint("db"), ssh_config=str(config)))
    assert [hop.name for hop in found] == ["watcher", "db"]
