"""The backups of the lab: what the repository's host needs for its nightly job and for its copies elsewhere."""

from __future__ import annotations

from pathlib import Path

from drctl.errors import LabError
from drctl.lab import ssh
from drctl.lab.disk import Disk
from drctl.lab.host import Host
from drctl.lab.topology import COPIES, REPOSITORY_HOST, Settings

SETTINGS_DIRECTORY = "/etc/taskflow/backups"
NIGHTLY = "/opt/taskflow/bin/nightly-backup"
FROZEN = 75
_KEY = "/var/lib/postgresql/.ssh/replication"


def _key_path(settings: Settings) -> Path:
    return settings.disk(REPOSITORY_HOST, _KEY)


def make_key(settings: Settings) -> None:
    """The key with which the repository's host reaches its copies, and nothing else. The disks must be there."""
    ssh.new_key(_key_path(settings), f"replication@{REPOSITORY_HOST}")


def write_replication(disk: Disk) -> None:
    """What a host needs to send, or to take, a copy of the repository. The host keys must have been made."""
    settings = disk.settings
    public = _key_path(settings).with_suffix(".pub").read_text()
    if disk.spec.name == REPOSITORY_HOST:
        disk.write_for_postgres(_KEY, _key_path(settings).read_text())
        known = "".join(ssh.known_hosts_line(settings, host) for host in COPIES.values())
        copies = "".join(f"{location} {host}\n" for location, host in COPIES.items())
        for name, text in (("known_hosts", known), ("copies", copies), ("ssh_config", _ssh_config())):
            disk.write_for_postgres(f"{SETTINGS_DIRECTORY}/{name}", text, mode=0o644)
        disk.own_by_postgres(SETTINGS_DIRECTORY, 0o755)
    elif disk.spec.name in COPIES.values():
        allowed = f'restrict,from="{settings.address(REPOSITORY_HOST)}" {public}'
        disk.write_for_postgres("/var/lib/postgresql/.ssh/authorized_keys", allowed)
    else:
        return
    disk.own_by_postgres("/var/lib/postgresql/.ssh", 0o700)


def _ssh_config() -> str:
    return (
        f"Host *\n    User postgres\n    IdentityFile {_KEY}\n    IdentitiesOnly yes\n    BatchMode yes\n"
        f"    UserKnownHostsFile {SETTINGS_DIRECTORY}/known_hosts\n    GlobalKnownHostsFile /dev/null\n"
        "    StrictHostKeyChecking yes\n    UpdateHostKeys no\n    ConnectTimeout 5\n"
        "    ServerAliveInterval 5\n    ServerAliveCountMax 3\n    LogLevel ERROR\n"
    )


def run_nightly(repository: Host, *, within: float = 900.0) -> str:
    """Run the nightly job to its end, at most so many seconds; what it said.

    Raises LabError when it failed, or refused to begin because the backups are frozen.
    """
    done = repository.execute([NIGHTLY], user="postgres", timeout=within, check=False)
    if done.returncode == FROZEN:
        raise LabError(
            done.stderr.strip(),
            where=repository.name,
            hint=f"type: drctl lab ssh {repository.name} /opt/taskflow/bin/backups unfreeze",
        )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-800:]
        raise LabError(f"the nightly job ended with exit code {done.returncode}: {said}", where=repository.name)
    return done.stdout.rstrip()
