"""OpenSSH's configuration, read as OpenSSH reads it: Include, Match and ProxyJump, with a real gateway of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from drctl.adapters.commands import Commands
from drctl.adapters.redact import Redactor
from drctl.adapters.secrets import SecretResolver
from drctl.adapters.ssh.client import client_argv
from drctl.adapters.ssh.hosts import route_to
from drctl.adapters.transfer import HostFiles
from drctl.engine.ports import CommandResult, Ending, ShellCommand
from drctl.model.plan import Endpoint, Transfer
from drctl.plan.build import build_plan
from drctl.read.documents import read_inventory, read_runbook
from tests.contract.ear import Ear
from tests.contract.sshd import PATIENCE_S, SSHD, Sshd


@dataclass
class Pair:
    """A host, and the gateway before it: two servers with keys of their own."""

    host: Sshd
    gateway: Sshd
    home: Path
    commands: Commands

    @property
    def config(self) -> Path:
        return self.home / "config"

    @property
    def endpoint(self) -> Endpoint:
        """As an inventory has it that says nothing but a name."""
        return Endpoint(host="inner", site="s", country="ZA", address="", port=0, user="", ssh_config=str(self.config))

    def block(self, server: Sshd) -> str:
        """How a server is reached, in ssh_config's words, without the line that says for whom this is."""
        return (
            f"  HostName 127.0.0.1\n  Port {server.port}\n  IdentityFile {server.user_key}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {server.known_hosts}\n  GlobalKnownHostsFile none\n"
        )

    def hello(self, endpoint: Endpoint | None = None) -> tuple[CommandResult, bytes]:
        """Which of the two we speak to, and where it says that we come from."""
        ear = Ear()
        command = ShellCommand(script='printf "%s %s\\n" "$HOME" "${SSH_CONNECTION%% *}"')
        result = self.commands.probe(endpoint or self.endpoint, command, timeout_s=PATIENCE_S, output=ear)
        return result, ear.out

    def connections_of(self, server: Sshd) -> int:
        """How often somebody was let in there."""
        return (server.directory / "sshd.log").read_text().count("Accepted publickey")

    def assert_inner(self, endpoint: Endpoint | None = None, *, through: bool) -> None:
        before = self.connections_of(self.gateway)
        result, said = self.hello(endpoint)
        assert result.exit_code == 0, result.detail
        assert said.split()[0] == str(self.host.home).encode()
        assert (self.connections_of(self.gateway) > before) is through


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    if SSHD is None:
        pytest.skip("OpenSSH's sshd is not installed")
    servers = []
    for name in ("inner", "gateway"):
        directory = tmp_path / name
        directory.mkdir()
        servers.append(Sshd(directory, name=name))
        servers[-1].start()
    home = tmp_path / "dot-ssh"
    home.mkdir(mode=0o700)
    commands = Commands(SecretResolver(Redactor()))
    yield Pair(host=servers[0], gateway=servers[1], home=home, commands=commands)
    commands.close()
    for server in servers:
        server.stop()


def test_a_gateway_has_keys_users_and_known_hosts_of_its_own(pair: Pair) -> None:
    pair.config.write_text(
        f"Host inner\n  ProxyJump gateway\n{pair.block(pair.host)}Host gateway\n{pair.block(pair.gateway)}"
    )
    pair.assert_inner(through=True)


def test_the_gateways_key_is_held_against_the_gateways_file(pair: Pair) -> None:
    pair.config.write_text(
        f"Host inner\n  ProxyJump gateway\n{pair.block(pair.host)}Host gateway\n{pair.block(pair.gateway)}"
    )
    pair.gateway.known_hosts.write_text(pair.host.known_hosts.read_text().replace(*_ports(pair)))
    result, _ = pair.hello()
    assert result.ending is Ending.REFUSED
    assert "gateway" in result.detail
    assert "has changed" in result.detail
    assert pair.connections_of(pair.host) == 0


def test_included_files_and_patterns_are_read(pair: Pair) -> None:
    parts = pair.home / "config.d"
    parts.mkdir()
    (parts / "10-inner.conf").write_text(f"Host inner\n  ProxyJump gateway\n{pair.block(pair.host)}")
    (parts / "20-gateway.conf").write_text(f"Host gate*\n{pair.block(pair.gateway)}")
    (parts / "ignored").write_text("Host inner\n  Port 1\n")
    pair.config.write_text(f"Include {parts}/*.conf\nHost inner\n  Port 1\n")
    pair.assert_inner(through=True)


def test_an_include_within_a_host_counts_for_that_host_only(pair: Pair) -> None:
    jump = pair.home / "jump"
    jump.write_text("ProxyJump gateway\n")
    pair.config.write_text(
        f"Host elsewhere\n  Include {jump}\nHost inner elsewhere\n{pair.block(pair.host)}"
        f"Host gateway\n{pair.block(pair.gateway)}"
    )
    pair.assert_inner(through=False)
    pair.assert_inner(replace(pair.endpoint, host="elsewhere"), through=True)


@pytest.mark.parametrize(
    ("match", "through"),
    [
        ('Match host inner exec "test -e {flag}"', True),
        ('Match host inner exec "test ! -e {flag}"', False),
        ("Match originalhost inner", True),
        ("Match host 127.0.0.1 originalhost inner", False),  # no HostName has been read by then
        ("Match originalhost inner user nobody-of-that-name", False),
        ("Match !originalhost gateway", True),
    ],
)
def test_match_decides_as_openssh_does(pair: Pair, match: str, through: bool) -> None:
    flag = pair.home / "flag"
    flag.touch()
    pair.config.write_text(
        f"{match.format(flag=flag)}\n  ProxyJump gateway\n"
        f"Host inner\n{pair.block(pair.host)}Host gateway\n{pair.block(pair.gateway)}"
    )
    pair.assert_inner(through=through)


def test_match_final_sees_what_came_of_the_names(pair: Pair) -> None:
    """A second reading, in which Match host is held against the address."""
    pair.config.write_text(
        f"Host inner\n{pair.block(pair.host)}Host gateway\n{pair.block(pair.gateway)}"
        "Match final host 127.0.0.1 originalhost inner\n  ProxyJump gateway\n"
    )
    pair.assert_inner(through=True)


def test_match_user_sees_the_inventorys_user(pair: Pair) -> None:
    import pwd

    user = pwd.getpwuid(os.geteuid()).pw_name
    pair.config.write_text(
        f"Match originalhost inner user {user}\n  ProxyJump gateway\nHost inner\n  User nobody-of-that-name\n"
        f"{pair.block(pair.host)}Host gateway\n{pair.block(pair.gateway)}"
    )
    pair.assert_inner(replace(pair.endpoint, user=user), through=True)


def test_a_host_without_an_address_has_that_of_the_configuration(pair: Pair) -> None:
    """A plan has the host's name there; HostName, and not a name server, says where that is."""
    pair.config.write_text(f"Host inner\n{pair.block(pair.host)}")
    endpoint = replace(pair.endpoint, address="inner")
    pair.assert_inner(endpoint, through=False)
    assert not any("HostName" in word for word in client_argv(endpoint))


def test_an_inventory_without_a_port_leaves_it_to_the_configuration(pair: Pair) -> None:
    """From the inventory's text to the server: the plan says no port, and Port of ssh_config is the one that counts."""
    pair.config.write_text(f"Host inner\n{pair.block(pair.host)}")
    (pair.home / "inventory.yml").write_text(
        "inventory: test\nresidency: ZA\nssh: {config: config}\n"
        "sites: {s: {provider: P, country: ZA, kind: office}}\nhosts: {inner: {site: s}}\n"
        "services: {demo: {title: Demo, roles: {primary: inner}}}\n"
    )
    (pair.home / "look.yml").write_text(
        "runbook: look\ntitle: Look\nsteps:\n  - {id: look, hosts: primary, read_only: true, run: hostname}\n"
    )
    documents = [str(pair.home / name) for name in ("look.yml", "inventory.yml")]
    runbook, inventory = read_runbook(documents[0])[0], read_inventory(documents[1])[0]
    assert runbook is not None
    assert inventory is not None
    plan = build_plan(runbook, inventory, service="demo", version="0")
    (endpoint,) = plan.step("look").endpoints
    assert endpoint.port == 0
    pair.assert_inner(endpoint, through=False)
    assert "-p" not in client_argv(endpoint)


def test_a_jump_through_a_jump(pair: Pair) -> None:
    pair.config.write_text(
        f"Host inner\n  ProxyJump middle\n{pair.block(pair.host)}"
        f"Host middle\n  ProxyJump gateway\n{pair.block(pair.gateway)}Host gateway\n{pair.block(pair.gateway)}"
    )
    before = pair.connections_of(pair.gateway)
    result, said = pair.hello()
    assert result.exit_code == 0, result.detail
    assert said.split()[0] == str(pair.host.home).encode()
    assert pair.connections_of(pair.gateway) == before + 2


@pytest.mark.parametrize("jump", ["none", ""])
def test_no_jump_is_no_jump(pair: Pair, jump: str) -> None:
    """The first value counts, and "none" is one: it keeps a later "Host *" from being asked."""
    first = f"Host inner\n  ProxyJump {jump}\n" if jump else ""
    pair.config.write_text(
        f"{first}Host inner\n{pair.block(pair.host)}Host gateway\n{pair.block(pair.gateway)}"
        "Host *\n  ProxyJump gateway\n"
    )
    pair.assert_inner(through=not jump)


def test_a_file_goes_through_the_gateway_too(pair: Pair, tmp_path: Path) -> None:
    pair.config.write_text(
        f"Host inner\n  ProxyJump gateway\n{pair.block(pair.host)}Host gateway\n{pair.block(pair.gateway)}"
    )
    (tmp_path / "file").write_bytes(b"content")
    order = Transfer(direction="put", local=str(tmp_path / "file"), remote="arrived")
    ear = Ear()
    result = HostFiles(pair.commands).transfer(pair.endpoint, order, become=None, timeout_s=PATIENCE_S, output=ear)
    assert result.exit_code == 0, (result, ear.err)
    assert (pair.host.home / "arrived").read_bytes() == b"content"
    # The control connection and the client for the bytes.
    assert pair.connections_of(pair.gateway) == pair.connections_of(pair.host) == 2


def test_the_route_is_the_one_that_openssh_takes(pair: Pair) -> None:
    """What drctl makes of a configuration with everything in it, beside what ssh itself does with it."""
    included = pair.home / "included"
    included.write_text(f'Match originalhost inner exec "true"\n  ProxyJump gateway\n{pair.block(pair.host)}')
    pair.config.write_text(f"Include {included}\nHost gateway\n{pair.block(pair.gateway)}Host *\n  Port 1\n")
    before = pair.connections_of(pair.gateway)
    done = subprocess.run(
        [*client_argv(pair.endpoint), "inner", 'echo "$HOME"'], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str(pair.host.home), done.stderr
    assert pair.connections_of(pair.gateway) == before + 1
    route = route_to(pair.endpoint)
    assert (route.address, route.port, route.identities) == ("127.0.0.1", pair.host.port, (str(pair.host.user_key),))
    assert route.through is not None
    assert (route.through.port, route.through.files) == (pair.gateway.port, (str(pair.gateway.known_hosts),))
    pair.assert_inner(through=True)


def _ports(pair: Pair) -> tuple[str, str]:
    return str(pair.host.port), str(pair.gateway.port)
