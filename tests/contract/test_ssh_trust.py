"""Over SSH: who is let in, who is refused, and what is said about it; nothing is ever run on a host that is refused."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drctl.adapters.commands import Commands
from drctl.adapters.redact import Redactor
from drctl.adapters.secrets import SecretResolver
from drctl.adapters.ssh.connection import Timings
from drctl.adapters.ssh.runner import SshTransport
from drctl.engine.ports import CommandResult, Ending, ShellCommand
from drctl.model.plan import Endpoint
from tests.contract.ear import Ear
from tests.contract.sshd import Sshd, make_key

QUICK = Timings(connect_s=3, banner_s=2, auth_s=5, channel_s=5, pulse_s=0.2, silence_s=2)


@pytest.fixture
def commands() -> Iterator[Commands]:
    runner = Commands(SecretResolver(Redactor()), connect=lambda endpoint: SshTransport(endpoint, timings=QUICK))
    yield runner
    runner.close()


def hello(
    commands: Commands, endpoint: Endpoint, script: str = "echo hello", **more: object
) -> tuple[CommandResult, Ear]:
    ear = Ear()
    command = ShellCommand(script=script, **more)  # type: ignore[arg-type]
    return commands.probe(endpoint, command, timeout_s=20, output=ear), ear


def assert_hello(commands: Commands, endpoint: Endpoint) -> None:
    result, ear = hello(commands, endpoint)
    assert (result.exit_code, ear.out) == (0, b"hello\n"), result.detail


def test_an_unknown_host_key_is_refused(commands: Commands, sshd: Sshd) -> None:
    sshd.known_hosts.write_text("")
    result, ear = hello(commands, sshd.endpoint)
    assert result.ending is Ending.REFUSED
    assert ear.out == b""
    assert "not known" in result.detail
    assert "nothing was sent" in result.detail
    assert str(sshd.known_hosts) in result.detail
    assert f"ssh-keyscan -p {sshd.port} 127.0.0.1" in result.detail
    assert fingerprint(sshd.host_keys[0]) in result.detail
    assert sshd.known_hosts.read_text() == ""


def test_a_changed_host_key_is_refused(commands: Commands, sshd: Sshd, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    sshd.known_hosts.write_text(
        f"# a comment\nelse.where {sshd.public(other)}\n[127.0.0.1]:{sshd.port} {sshd.public(other)}\n"
    )
    result, _ = hello(commands, sshd.endpoint)
    assert result.ending is Ending.REFUSED
    assert "has changed" in result.detail
    assert f"{sshd.known_hosts}:3" in result.detail
    assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}'" in result.detail


@pytest.mark.parametrize("word", ["no", "accept-new", "off"])
def test_the_configuration_cannot_turn_the_check_off(commands: Commands, sshd: Sshd, word: str) -> None:
    sshd.known_hosts.write_text("")
    sshd.write_config(f"  StrictHostKeyChecking {word}")
    assert hello(commands, sshd.endpoint)[0].ending is Ending.REFUSED


def test_a_host_that_becomes_known_is_let_in_without_a_new_runner(commands: Commands, sshd: Sshd) -> None:
    known = sshd.known_hosts.read_text()
    sshd.known_hosts.write_text("")
    assert hello(commands, sshd.endpoint)[0].ending is Ending.REFUSED
    sshd.known_hosts.write_text(known)
    assert_hello(commands, sshd.endpoint)


def test_hashed_names_work(commands: Commands, sshd: Sshd) -> None:
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(sshd.known_hosts)], check=True, capture_output=True)
    assert sshd.known_hosts.read_text().startswith("|1|")
    assert_hello(commands, sshd.endpoint)


def test_a_second_key_of_the_same_type_is_known_too(commands: Commands, sshd: Sshd, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    name = f"[127.0.0.1]:{sshd.port}"
    sshd.known_hosts.write_text(f"{name} {sshd.public(other)}\n{name} {sshd.public(sshd.host_keys[0])}\n")
    assert_hello(commands, sshd.endpoint)


def test_the_name_without_the_port_is_enough(commands: Commands, sshd: Sshd) -> None:
    sshd.known_hosts.write_text(f"127.0.0.* {sshd.public(sshd.host_keys[0])}\n")
    assert_hello(commands, sshd.endpoint)


def test_an_alias_for_the_key_is_honoured(commands: Commands, sshd: Sshd) -> None:
    sshd.known_hosts.write_text(f"the-alias {sshd.public(sshd.host_keys[0])}\n")
    sshd.write_config("  HostKeyAlias the-alias")
    assert_hello(commands, sshd.endpoint)


def test_a_revoked_key_is_refused_even_when_it_is_known(commands: Commands, sshd: Sshd) -> None:
    with sshd.known_hosts.open("a") as file:
        file.write(f"@revoked * {sshd.public(sshd.host_keys[0])}\n")
    result, _ = hello(commands, sshd.endpoint)
    assert result.ending is Ending.REFUSED
    assert f"revoked ({sshd.known_hosts}:2)" in result.detail


def test_an_authority_is_no_key_and_does_not_stand_in_the_way(commands: Commands, sshd: Sshd, tmp_path: Path) -> None:
    authority = f"@cert-authority * {sshd.public(make_key(tmp_path / 'ca'))}\n"
    known = sshd.known_hosts.read_text()
    sshd.known_hosts.write_text(authority + known)
    assert_hello(commands, sshd.endpoint)
    commands.close()
    sshd.known_hosts.write_text(authority)
    result, _ = hello(commands, sshd.endpoint)
    assert result.ending is Ending.REFUSED
    assert "authority" in result.detail


def test_a_host_that_is_listed_with_its_rsa_key_only_is_let_in(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    server = Sshd(tmp_path / "many", host_key_types=("ed25519", "ecdsa", "rsa"))
    server.start()
    try:
        for key in server.host_keys:
            server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {server.public(key)}\n")
            assert_hello(commands, server.endpoint)
            commands.close()
    finally:
        server.stop()


def test_a_key_that_the_host_does_not_take_is_refused(commands: Commands, sshd: Sshd, tmp_path: Path) -> None:
    sshd.write_config(key=make_key(tmp_path / "wrong"))
    result, _ = hello(commands, sshd.endpoint)
    assert result.ending is Ending.REFUSED
    assert "none of the 1 keys" in result.detail
    assert "nothing was sent" in result.detail


def test_no_key_at_all_is_said(commands: Commands, sshd: Sshd, tmp_path: Path) -> None:
    sshd.write_config(key=tmp_path / "absent")
    result, _ = hello(commands, sshd.endpoint)
    assert result.ending is Ending.REFUSED
    assert "offered no key" in result.detail


def test_a_key_with_a_passphrase_that_nobody_gives_is_named(commands: Commands, sshd: Sshd, tmp_path: Path) -> None:
    locked = make_key(tmp_path / "locked", passphrase="a long one")
    sshd.write_config(key=locked)
    result, _ = hello(commands, sshd.endpoint)
    assert result.ending is Ending.REFUSED
    assert f"ssh-add {locked}" in result.detail


def test_the_agent_holds_the_key(commands: Commands, sshd: Sshd, tmp_path: Path) -> None:
    path = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.PIPE)
    try:
        assert agent.stdout is not None
        agent.stdout.readline()
        subprocess.run(["ssh-add", "-q", str(sshd.user_key)], env={"SSH_AUTH_SOCK": str(path)}, check=True)
        sshd.user_key.unlink()  # its .pub stays: it says which of the agent's keys is meant
        sshd.write_config(f"  IdentityAgent {path}")
        assert_hello(commands, sshd.endpoint)
    finally:
        agent.kill()
        agent.communicate()


def test_the_configuration_is_read_as_openssh_reads_it(commands: Commands, sshd: Sshd, tmp_path: Path) -> None:
    included = tmp_path / "included"
    included.write_text(sshd.config.read_text())
    sshd.config.write_text(f"Include {included}\n")
    assert_hello(commands, sshd.endpoint)


def test_the_inventory_wins_over_the_configuration(commands: Commands, sshd: Sshd) -> None:
    sshd.write_config("  HostName 127.9.9.9\n  Port 1\n  User nobody-of-that-name")
    assert_hello(commands, replace(sshd.endpoint, user=current_user()))


def test_a_configuration_that_is_not_there_is_said(commands: Commands, sshd: Sshd) -> None:
    result, _ = hello(commands, replace(sshd.endpoint, ssh_config="/nonexistent/config"))
    assert result.ending is Ending.REFUSED
    assert "/nonexistent/config" in result.detail


@pytest.mark.parametrize("kind", ["jump", "command"])
def test_a_gateway_is_passed_through(commands: Commands, sshd: Sshd, kind: str) -> None:
    if kind == "jump":
        sshd.write_config("  ProxyJump gateway")
        add_gateway(sshd)
    else:
        sshd.write_config(f"  ProxyCommand ssh -F {sshd.config} -W %h:%p gateway")
        add_gateway(sshd)
    assert_hello(commands, sshd.endpoint)


def test_two_gateways_and_one_that_is_meant_for_all(commands: Commands, sshd: Sshd) -> None:
    sshd.write_config("  ProxyJump gateway,second")
    add_gateway(sshd)
    with sshd.config.open("a") as file:
        file.write(f"Host second\n  HostName 127.0.0.1\n  Port {sshd.port}\n  IdentityFile {sshd.user_key}\n")
        file.write(f"  UserKnownHostsFile {sshd.known_hosts}\nHost *\n  ProxyJump gateway\n")
    assert_hello(commands, sshd.endpoint)


def test_a_gateway_with_an_unknown_key_is_refused(commands: Commands, sshd: Sshd, tmp_path: Path) -> None:
    sshd.write_config("  ProxyJump gateway")
    empty = tmp_path / "empty"
    empty.touch()
    add_gateway(sshd, known_hosts=empty)
    result, _ = hello(commands, sshd.endpoint)
    assert result.ending is Ending.REFUSED
    assert "gateway" in result.detail
    assert "not known" in result.detail


def add_gateway(sshd: Sshd, known_hosts: Path | None = None) -> None:
    with sshd.config.open("a") as file:
        file.write(
            f"Host gateway\n  HostName 127.0.0.1\n  Port {sshd.port}\n  IdentityFile {sshd.user_key}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {known_hosts or sshd.known_hosts}\n"
        )


def test_nobody_there_is_unreachable(commands: Commands, sshd: Sshd) -> None:
    sshd.stop()
    result, _ = hello(commands, sshd.endpoint)
    assert result.ending is Ending.UNREACHABLE
    assert "nothing was sent" in result.detail


def test_a_name_that_nobody_knows_is_unreachable(commands: Commands, sshd: Sshd) -> None:
    result, _ = hello(commands, replace(sshd.endpoint, address="no-such-host.invalid"))
    assert result.ending is Ending.UNREACHABLE
    assert "no-such-host.invalid" in result.detail


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["says nothing", "is no SSH server"])
def test_who_does_not_speak_ssh_is_unreachable(commands: Commands, sshd: Sshd, says: bytes) -> None:
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            try:
                while True:
                    connection, _ = server.accept()
                    taken.append(connection)
                    connection.sendall(says)
                    if says:
                        connection.close()
            except OSError:
                return

        thread = threading.Thread(target=answer)
        thread.start()
        result, _ = hello(commands, replace(sshd.endpoint, port=server.getsockname()[1]))
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    for connection in taken:
        connection.close()
    assert result.ending is Ending.UNREACHABLE
    assert "nothing was sent" in result.detail


def fingerprint(key: Path) -> str:
    public = key.with_name(f"{key.name}.pub")
    return subprocess.run(
        ["ssh-keygen", "-lf", str(public)], capture_output=True, text=True, check=True
    ).stdout.split()[1]


def current_user() -> str:
    import getpass

    return getpass.getuser()
