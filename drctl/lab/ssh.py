"""Keys, configuration and known hosts, as a careful operator would have them: every host key known beforehand."""

from __future__ import annotations

import subprocess
from pathlib import Path

from drctl.lab.commands import run
from drctl.lab.state import write_atomically
from drctl.lab.topology import HOSTS, Settings


def key_path(settings: Settings) -> Path:
    """The operator's private key."""
    return settings.directory / "ssh" / "operator"


def config_path(settings: Settings) -> Path:
    """The ssh configuration that the inventory names."""
    return settings.directory / "ssh_config"


def host_key_path(settings: Settings, host: str) -> Path:
    """A host's private key, on that host's own disk."""
    return settings.disk(host, "/etc/ssh/ssh_host_ed25519_key")


def new_key(path: Path, comment: str) -> None:
    """Make a pair of keys without a passphrase."""
    path.parent.mkdir(parents=True, exist_ok=True)
    run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
        what=f"make the key {comment}",
    )


def make_keys(settings: Settings) -> None:
    """Make the operator's key and every host's own, and the two files that ssh reads. The disks must be there."""
    new_key(key_path(settings), f"operator@{settings.name}")
    known = []
    for host in HOSTS:
        new_key(host_key_path(settings, host), host)
        known.append(known_hosts_line(settings, host))
    known_hosts = settings.directory / "known_hosts"
    write_atomically(known_hosts, "".join(known))
    sections = [f"Host {host} {settings.address(host)}\n    HostName {settings.address(host)}\n" for host in HOSTS]
    write_atomically(
        config_path(settings),
        "# Made by `drctl lab up`. Strict: a host key that is not in the known hosts is refused.\n"
        + "".join(sections)
        + f"Host *\n    User {settings.login_user}\n    Port {settings.ssh_port}\n"
        f"    IdentityFile {key_path(settings)}\n    IdentitiesOnly yes\n"
        f"    UserKnownHostsFile {known_hosts}\n    GlobalKnownHostsFile /dev/null\n"
        "    StrictHostKeyChecking yes\n    UpdateHostKeys no\n    PasswordAuthentication no\n"
        "    ConnectTimeout 5\n    ServerAliveInterval 5\n    ServerAliveCountMax 3\n    LogLevel ERROR\n",
    )


def known_hosts_line(settings: Settings, host: str) -> str:
    """A host's public key, as a file of known hosts has it."""
    public = " ".join(host_key_path(settings, host).with_suffix(".pub").read_text().split()[:2])
    names = [host, settings.address(host)]
    if settings.ssh_port != 22:
        names = [f"[{name}]:{settings.ssh_port}" for name in names]
    return f"{','.join(names)} {public}\n"


def ssh_words(settings: Settings, host: str, *options: str) -> list[str]:
    """The words of a real ssh to a host; a command may follow them."""
    # "--": what follows the host is the command, even when it begins with a dash.
    return ["ssh", "-F", str(config_path(settings)), *options, "--", host]


def answers(settings: Settings, host: str, *, through: list[str]) -> bool:
    """Whether a real login succeeds now. ``through`` are words in front, such as nsenter into a namespace."""
    words = ssh_words(settings, host, "-o", "BatchMode=yes", "-o", "ConnectTimeout=2")
    try:
        done = subprocess.run(
            [*through, *words, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=6, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
