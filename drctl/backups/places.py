"""Where an inventory says that copies of a service's backups are."""

from __future__ import annotations

from collections.abc import Set

from drctl.backups.copies import Location
from drctl.model.inventory import BackupSchedule, Inventory


def locations(inventory: Inventory, service: str, lost: Set[str] = frozenset()) -> tuple[Location, ...]:
    """The locations in the order of the inventory; those at a site in ``lost`` are marked so.

    Raises:
        KeyError: when there is no such service.
    """
    found = []
    for backup in inventory.services[service].backups:
        site = inventory.sites[backup.location]
        found.append(
            Location(
                name=backup.location,
                site_kind=site.kind,
                country=site.country,
                region=site.city or backup.location,
                kind=backup.kind,
                host=backup.host,
                stanza=backup.stanza or service,
                segment_mb=backup.wal_segment_mb,
                offline=backup.offline,
                replica_of=backup.replica_of,
                lost=backup.location in lost,
            )
        )
    return tuple(found)


def schedule_of(inventory: Inventory, service: str) -> BackupSchedule | None:
    """What was promised of the service's backups: its own schedule, else everyone's."""
    return inventory.services[service].backup_schedule or inventory.backup_schedule
