"""The inventory of the running lab: the same document that a real service has."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import yaml

from drctl.lab import loopback, ssh, tiers
from drctl.lab.edge import health_url
from drctl.lab.stand_in import stand_in
from drctl.lab.topology import (
    ACKNOWLEDGED_LOG,
    COPIES,
    DATABASE,
    DATABASE_HOSTS,
    DRILL_EDGE,
    DRILL_HOSTS,
    HOSTS,
    INITIAL_PRIMARY,
    INITIAL_STANDBY,
    PGDATA,
    POSTGRESQL_BIN,
    REPOSITORY,
    REPOSITORY_HOST,
    SITES,
    SIZES,
    STANZA,
    Settings,
    slot_name,
)

SERVICE = "taskflow-demo"
_HEADER = "# Made by `drctl lab up`, which overwrites it. Everything in it is real as long as the lab is up.\n"


def lab_command(settings: Settings, *words: str) -> list[str]:
    """The words that call this very drctl for this very lab, from any directory."""
    return ["env", *settings.environment_words(), sys.executable, "-m", "drctl", "lab", *words]


def _backup(location: str, host: str) -> dict[str, str]:
    return {"location": location, "host": host, "kind": "pgbackrest", "stanza": STANZA}


def inventory(settings: Settings, system_identifier: str) -> dict[str, Any]:
    """The document as values."""
    primary, standby = INITIAL_PRIMARY, INITIAL_STANDBY
    programs = "" if settings.loopback else "/opt/taskflow/bin/"  # there they are on the host's PATH

    def seen(path: str) -> str:
        return _moved(settings, primary, path)

    document: dict[str, Any] = {
        "inventory": settings.name,
        "residency": "ZA",
        "timezone": "Africa/Johannesburg",
        "objectives": {"rto": "4h", "rpo": "24h"},
        "backup_schedule": {"at": "02:00", "keep": "7d", "regions": 2, "physical": True},
        "ssh": {"config": str(ssh.config_path(settings))},
        "sites": {
            site.name: {"provider": site.provider, "city": site.city, "country": site.country, "kind": site.kind}
            for site in SITES.values()
        },
        "hosts": {
            host.name: {
                "site": host.site,
                "address": settings.address(host.name),
                "port": settings.ssh_port,
                "user": settings.login_user,
                "groups": [host.group],
                **_own_values(settings, host.name),
            }
            for host in HOSTS.values()
            if not (settings.loopback and host.name in DRILL_HOSTS)
        },
        "services": {
            SERVICE: {
                "title": "TaskFlow demo client",
                "tier": "standard",
                "sla": True,
                "roles": {
                    "primary": primary,
                    "standby": standby,
                    "backup": REPOSITORY_HOST,
                    "backup_copy": list(COPIES.values()),
                    "app": "edge",
                    "monitor": "operator",
                    "witness": ["edge", "cloudprox"],
                },
                "vars": {
                    "database": DATABASE,
                    "pgdata": seen(PGDATA),
                    "pgbin": seen(POSTGRESQL_BIN),
                    "stanza": STANZA,
                    "repository": REPOSITORY,
                    "health_url": health_url(settings),
                    "system_identifier": system_identifier,
                    "replication_user": "replicator",
                    "primary_slot": slot_name(primary),
                    "standby_slot": slot_name(standby),
                    "acknowledged_log": _moved(settings, "operator", ACKNOWLEDGED_LOG),
                    "standard_memory_mb": SIZES["standard"].memory_mb,
                },
                "commands": {
                    "power_off_primary": lab_command(settings, "power", "off", primary),
                    "power_on_primary": lab_command(settings, "power", "on", primary),
                    "power_off_standby": lab_command(settings, "power", "off", standby),
                    "power_on_standby": lab_command(settings, "power", "on", standby),
                    # Xneelo's server is as big as it will ever be.
                    "resize_primary": ["true"],
                    "shrink_primary": ["true"],
                    "resize_standby": lab_command(settings, "resize", standby, "standard"),
                    "shrink_standby": lab_command(settings, "resize", standby, "micro"),
                    # On the role app, with the new address appended.
                    "repoint_app": [f"{programs}repoint"],
                    # Before a planned move: new sessions are refused, and those that there are end; and back again.
                    "drain_app": [f"{programs}repoint", "--drain"],
                    "resume_app": [f"{programs}repoint", "--resume"],
                    # On a database host: the fence over SSH, for when the power cannot be switched.
                    "disable_database": [f"{programs}database", "disable"],
                    "enable_database": [f"{programs}database", "enable"],
                    "start_database": [f"{programs}database", "start"],
                    "stop_database": [f"{programs}database", "stop"],
                    # On the role backup: the nightly job, expiry and replication.
                    "freeze_backups": [f"{programs}backups", "freeze"],
                    "unfreeze_backups": [f"{programs}backups", "unfreeze"],
                    "backups_frozen": [f"{programs}backups", "status"],
                    "replicate_backups": [f"{programs}replicate-backups"],
                    "acknowledged": lab_command(settings, "acknowledged"),
                },
                "backups": []
                if settings.loopback
                else [
                    _backup(REPOSITORY_HOST, REPOSITORY_HOST),
                    *({**_backup(location, host), "replica_of": REPOSITORY_HOST} for location, host in COPIES.items()),
                ],
            }
        },
    }
    if not settings.loopback:
        services = document["services"]
        services[f"{SERVICE}-drill"] = stand_in(
            SERVICE,
            services[SERVICE],
            health_url=f"http://{settings.address(DRILL_EDGE)}/health",
            command=lambda *words: lab_command(settings, *words),
        )
    return document


def _moved(settings: Settings, host: str, path: str) -> str:
    """A path of a host, as a script on that host has to say it."""
    return loopback.relocated(settings, host, path) if settings.loopback else path


def _own_values(settings: Settings, host: str) -> dict[str, Any]:
    """What differs from host to host: where all hosts share the machine's files, the place of their own."""
    own = settings.loopback and host in DATABASE_HOSTS
    return {"vars": {"pgdata": loopback.pgdata(settings, host)}} if own else {}


def inventory_text(settings: Settings, system_identifier: str) -> str:
    """The document as YAML."""
    text: str = yaml.safe_dump(
        inventory(settings, system_identifier), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
    )
    return _HEADER + text


def default_path(settings: Settings, directory: Path) -> Path:
    """``inventories/NAME.yml`` below a directory that has that folder for us, else in the lab's own directory."""
    folder = directory / "inventories"
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        return settings.directory / "inventory.yml"
    return folder / ("lab.yml" if settings.name == "lab" else f"lab.{settings.name}.yml")


def write_inventory(path: Path, text: str) -> None:
    """Write the document. Under sudo it belongs to the person who typed it, like the rest of their folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    owner, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if tiers.is_real_root() and owner.isdigit() and group.isdigit():
        os.chown(path, int(owner), int(group))
