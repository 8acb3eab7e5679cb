"""The backups of the lab: what the repository's host needs for its nightly job and for its copies elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from drctl.errors import LabError
from drctl.lab import ssh
from drctl.lab.disk import Disk
from drctl.lab.host import Host
from drctl.lab.state import write_atomically
from drctl.lab.topology import COPIES, REPOSITORY_HOST, Settings

SETTINGS_DIRECTORY = "/etc/taskflow/backups"
NIGHTLY = "/opt/taskflow/bin/nightly-backup"
REPLICATE = "/opt/taskflow/bin/replicate-backups"
_BACKUPS = "/opt/taskflow/bin/backups"
_HISTORY = "history.json"
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


def refuse_when_frozen(repository: Host) -> None:
    """Raise LabError when the backups are frozen."""
    done = repository.execute([_BACKUPS, "status"], user="postgres", check=False)
    if done.returncode == 0:
        raise LabError(
            f"the backups are {done.stdout.strip()}", state="nothing was changed", hint=_unfreeze(repository)
        )


def _unfreeze(repository: Host) -> str:
    return f"type: drctl lab ssh {repository.name} {_BACKUPS} unfreeze"


def run_nightly(repository: Host, *, within: float = 900.0) -> str:
    """Run the nightly job to its end, at most so many seconds; what it said.

    Raises LabError when it failed, or refused to begin because the backups are frozen.
    """
    return _run(repository, NIGHTLY, within)


def replicate(repository: Host, *, within: float = 900.0) -> str:
    """Bring all copies up to date; what was said. Raises LabError as :func:`run_nightly` does."""
    return _run(repository, REPLICATE, within)


def _run(repository: Host, program: str, within: float) -> str:
    done = repository.execute([program], user="postgres", timeout=within, check=False)
    said = (done.stderr.strip() or done.stdout.strip())[-800:]
    if done.returncode == FROZEN:
        raise LabError(said, where=repository.name, hint=_unfreeze(repository))
    if done.returncode != 0:
        name = program.rpartition("/")[2]
        raise LabError(f"{name} ended with exit code {done.returncode}: {said}", where=repository.name)
    return done.stdout.rstrip()


def remember_history(settings: Settings, labels: Sequence[str]) -> None:
    """Keep which backups were made with an injected clock, for ``lab status`` to say so."""
    write_atomically(settings.directory / _HISTORY, json.dumps(list(labels)) + "\n")


def history(settings: Settings) -> tuple[str, ...]:
    """The labels of the backups that were made with an injected clock."""
    try:
        return tuple(json.loads((settings.directory / _HISTORY).read_text()))
    except FileNotFoundError:
        return ()
