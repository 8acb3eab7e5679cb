"""How a host is reached: OpenSSH's own reading of its configuration, and the inventory on top of it."""

from __future__ import annotations

import contextlib
import getpass
from dataclasses import replace
from pathlib import Path

import pytest

from drctl.adapters.ssh.hosts import route_to
from drctl.adapters.ssh.trust import preferred_key_types
from drctl.adapters.transport import Refused
from drctl.model.plan import Endpoint


def endpoint(config: Path, **more: object) -> Endpoint:
    plain = Endpoint(host="db1", site="jnb", country="ZA", address="", port=0, user="", ssh_config=str(config))
    return replace(plain, **more)  # type: ignore[arg-type]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config"


def test_the_hosts_name_finds_its_block(config: Path, tmp_path: Path) -> None:
    included = tmp_path / "more"
    included.write_text("Host db*\n  Port 2022\n  User postgres\n")
    config.write_text(f"Include {included}\nHost db1\n  HostName 10.1.2.3\n  ConnectTimeout 7\n  IdentitiesOnly yes\n")
    route = route_to(endpoint(config))
    assert (route.address, route.port, route.user) == ("10.1.2.3", 2022, "postgres")
    assert (route.connect_timeout_s, route.identities_only, route.key_name) == (7.0, True, "[10.1.2.3]:2022")


def test_the_inventory_wins(config: Path) -> None:
    config.write_text("Host *\n  HostName 10.1.2.3\n  Port 2022\n  User postgres\n")
    route = route_to(endpoint(config, address="192.0.2.7", port=22, user="drctl"))
    assert (route.address, route.port, route.user, route.key_name) == ("192.0.2.7", 22, "drctl", "192.0.2.7")


def test_an_empty_configuration_is_openssh_as_it_comes(config: Path) -> None:
    config.touch()
    route = route_to(endpoint(config))
    assert (route.address, route.port, route.user) == ("db1", 22, getpass.getuser())
    assert route.connect_timeout_s == 10.0
    assert route.through is None
    assert str(Path.home() / ".ssh" / "id_ed25519") in route.identities


def test_paths_are_expanded(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_blank = tmp_path / "known hosts"
    with_blank.touch()
    monkeypatch.setenv("KEYS", "/keys")
    config.write_text(
        f"Host db1\n  IdentityFile ~/.ssh/%n_%r\n  IdentityFile ${{KEYS}}/a\n  User u\n"
        f'  UserKnownHostsFile /first "{with_blank}" /last\n  GlobalKnownHostsFile none\n'
    )
    route = route_to(endpoint(config))
    assert route.identities == (str(Path.home() / ".ssh" / "db1_u"), "/keys/a")
    assert route.files == ("/first", str(with_blank), "/last")


def test_gateways_come_in_their_order(config: Path) -> None:
    config.write_text(
        "Host db1\n  ProxyJump ops@first:2201,second\n"
        "Host first\n  HostName 192.0.2.1\nHost second\n  HostKeyAlias two\n"
    )
    route = route_to(endpoint(config))
    assert route.through is not None
    assert (route.through.name, route.through.key_name) == ("second", "two")
    assert route.through.through is not None
    first = route.through.through
    assert (first.name, first.address, first.port, first.user) == ("first", "192.0.2.1", 2201, "ops")
    assert first.through is None


def test_a_gateway_meant_for_all_is_not_its_own_gateway(config: Path) -> None:
    config.write_text("Host bastion\n  Port 2200\nHost *\n  ProxyJump bastion\n")
    route = route_to(endpoint(config))
    assert route.through is not None
    assert route.through.name == "bastion"
    assert route.through.through is None


def test_gateways_in_a_circle_are_refused(config: Path) -> None:
    config.write_text("Host db1\n  ProxyJump a\nHost a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
    with pytest.raises(Refused, match="leads back to itself"):
        route_to(endpoint(config))


def test_a_proxy_command_is_expanded(config: Path) -> None:
    config.write_text("Host db1\n  HostName 10.0.0.1\n  ProxyCommand connect %n %h:%p %r 100%%\n  User u\n")
    assert route_to(endpoint(config)).proxy_command == "connect db1 10.0.0.1:22 u 100%"


@pytest.mark.parametrize("text", ["Host db1\n  NoSuchWord x\n", "Host db1\n  Port many\n"])
def test_what_openssh_cannot_read_is_refused_in_its_words(config: Path, text: str) -> None:
    config.write_text(text)
    with pytest.raises(Refused, match="ssh configuration of db1"):
        route_to(endpoint(config))


@pytest.mark.parametrize("name", ["-oProxyCommand=touch pwned", "a b", "$(touch pwned)", "`x`"])
def test_a_name_is_never_an_option_or_a_command(config: Path, name: str, tmp_path: Path) -> None:
    config.touch()
    with contextlib.suppress(Refused):
        route_to(endpoint(config, host=name, address="127.0.0.1"))
    assert not (tmp_path / "pwned").exists()
    assert not Path("pwned").exists()


RSA = "AAAAB3NzaC1yc2EAAAADAQABAAAAgQ=="


def test_known_types_come_first_and_rsa_is_asked_for_by_sha2(config: Path, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text(f"db1 ssh-rsa {RSA}\nbroken\ndb1 ssh-rsa !!!\n")
    config.write_text(f"Host db1\n  UserKnownHostsFile {known}\n")
    route = route_to(endpoint(config))
    assert [(key.type, key.file, key.line) for key in route.keys] == [("ssh-rsa", str(known), 1)]
    offered = ("ssh-ed25519", "rsa-sha2-256", "rsa-sha2-512")
    assert preferred_key_types(route, offered) == ("rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519")
