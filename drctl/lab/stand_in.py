"""The stand-in: hosts without power or data for the demo service's drills, and the service that names them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from drctl.lab.topology import DRILL_DATABASES, DRILL_EDGE, INITIAL_PRIMARY, INITIAL_STANDBY, LOGIN_USER, slot_name

Command = Callable[..., list[str]]


def stand_in(service: str, real: dict[str, Any], *, health_url: str, command: Command) -> dict[str, Any]:
    """The stand-in of a service of the inventory: the same in all but its hosts; ``command`` makes a verb of the lab.

    What it may only look at are its backups, the witnesses, and the service's own monitor and two servers.
    """
    real = deepcopy(real)  # the same list twice would be written as an alias
    primary, standby = DRILL_DATABASES
    hosts = {"primary": primary, "standby": standby, "app": DRILL_EDGE}
    power = {
        f"power_{state}_{role}": command("power", state, host)
        for state in ("on", "off")
        for role, host in hosts.items()
    }
    return {
        "title": f"Drills of {real['title']}",
        "drill_of": service,
        "sla": False,
        "roles": {
            **real["roles"],
            **hosts,
            "monitor": DRILL_EDGE,
            "production_monitor": real["roles"]["monitor"],
            "production_primary": INITIAL_PRIMARY,
            "production_standby": INITIAL_STANDBY,
        },
        "vars": {
            **real["vars"],
            "health_url": health_url,
            "primary_slot": slot_name(primary),
            "standby_slot": slot_name(standby),
            "acknowledged_log": f"/home/{LOGIN_USER}/acknowledged.tsv",
            "production_acknowledged_log": real["vars"]["acknowledged_log"],
        },
        "commands": {
            **real["commands"],
            **power,
            "resize_standby": command("resize", standby, "standard"),
            "shrink_standby": command("resize", standby, "micro"),
        },
        "backups": real["backups"],
    }
