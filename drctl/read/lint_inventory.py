"""Rules between the parts of an inventory: what is named must be there, and data stays where it must."""

from __future__ import annotations

import re
from collections.abc import Iterator

from drctl.model.inventory import DRILL_ROLE, WITHOUT_DATA, Inventory, SecretValue, Service
from drctl.read.diagnostics import Diagnostic, Severity, quoted
from drctl.read.document import Document, Places
from drctl.read.suggest import did_you_mean, listed
from drctl.read.walk import Path

_LOOKS_SECRET = re.compile(r"(^|_)(password|passwd|secret|token|passphrase|api_key|apikey)($|_)")


def lint_inventory(document: Document[Inventory], complete: bool = True) -> list[Diagnostic]:
    """All problems that the inventory has by itself; what names refer to is left out when it is not complete."""
    inventory, places = document.value, document.places
    found = [*_timezone(inventory, places), *_open_secrets(inventory, places)]
    found += _one_way_each(inventory, places)
    if not complete:
        return found
    found += [*_notifiers(inventory, places), *_hosts(inventory, places), *_drill_targets(inventory, places)]
    for name, service in inventory.services.items():
        path: Path = ("services", name)
        found += [*_references(inventory, service, path, places), *_residency(inventory, service, path, places)]
        found += [*_promises(inventory, service, path, places), *_commands(service, path, places)]
    return found


def _timezone(inventory: Inventory, places: Places) -> Iterator[Diagnostic]:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(inventory.timezone)
    except (KeyError, ValueError, OSError):
        meant = did_you_mean(inventory.timezone, available_timezones())
        yield places.problem(
            ("timezone",),
            f"{quoted(inventory.timezone)} is not a time zone that this machine knows{meant}",
            hint="write it as Africa/Johannesburg",
        )


def _hosts(inventory: Inventory, places: Places) -> Iterator[Diagnostic]:
    first: dict[tuple[str, int | None], str] = {}
    for name, host in inventory.hosts.items():
        path: Path = ("hosts", name)
        if host.site not in inventory.sites:
            yield _unknown("site", host.site, inventory.sites, (*path, "site"), places)
        reached = (host.address or name, host.port)
        if reached in first:
            yield places.problem(
                (*path, "address"),
                f"{reached[0]}{f' port {host.port}' if host.port else ''} is the address of {first[reached]} too",
                severity=Severity.WARNING,
                hint="two names for one machine make a failover look safer than it is",
            )
        first.setdefault(reached, name)


def _one_way_each(inventory: Inventory, places: Places) -> Iterator[Diagnostic]:
    for number, notifier in enumerate(inventory.notify):
        given = [name for name in ("url", "command", "file") if getattr(notifier, name) is not None]
        if len(given) != 1:
            said = f"{listed(given)} are {len(given)}" if given else "here is none"
            yield places.problem(("notify", number), f"a notifier has exactly one of url, command and file; {said}")


def _notifiers(inventory: Inventory, places: Places) -> Iterator[Diagnostic]:
    names: set[str] = set()
    for number, notifier in enumerate(inventory.notify):
        path: Path = ("notify", number)
        if notifier.name in names:
            yield places.problem((*path, "name"), f"there is a notifier {quoted(notifier.name)} already")
        names.add(notifier.name)
        if notifier.site is not None and notifier.site not in inventory.sites:
            yield _unknown("site", notifier.site, inventory.sites, (*path, "site"), places)


def _references(inventory: Inventory, service: Service, path: Path, places: Places) -> Iterator[Diagnostic]:
    for role, hosts in service.roles.items():
        for number, host in enumerate([hosts] if isinstance(hosts, str) else hosts):
            if host not in inventory.hosts:
                where: Path = (*path, "roles", role) if isinstance(hosts, str) else (*path, "roles", role, number)
                yield _unknown("host", host, inventory.hosts, where, places)
    if "primary" not in service.roles:
        yield places.problem((*path, "roles"), 'the role "primary" is missing: where does the service run?', key=True)
    for number, backup in enumerate(service.backups):
        where = (*path, "backups", number)
        if backup.location not in inventory.sites:
            yield _unknown("site", backup.location, inventory.sites, (*where, "location"), places)
        if backup.host is None:
            continue
        if backup.host not in inventory.hosts:
            yield _unknown("host", backup.host, inventory.hosts, (*where, "host"), places)
        elif backup.location in inventory.sites and inventory.hosts[backup.host].site != backup.location:
            site = inventory.hosts[backup.host].site
            yield places.problem((*where, "host"), f"{backup.host} stands at {site}, not at {backup.location}")
    yield from _replicas(service, path, places)


def _replicas(service: Service, path: Path, places: Places) -> Iterator[Diagnostic]:
    """A copy is a copy of something: of a location of the same service, and at last of one that is no copy."""
    source_of = {backup.location: backup.replica_of for backup in service.backups}
    for number, backup in enumerate(service.backups):
        if backup.replica_of is None:
            continue
        where: Path = (*path, "backups", number, "replica_of")
        if backup.replica_of not in source_of:
            yield _unknown("backup location", backup.replica_of, source_of, where, places)
            continue
        passed = [backup.location]
        at: str | None = backup.replica_of
        while at is not None and at not in passed:
            passed.append(at)
            at = source_of.get(at)
        if at == backup.location:
            yield places.problem(
                where,
                f"goes round in a circle: {' is a copy of '.join([*passed, at])}",
                hint="the location that the backup itself writes is a copy of none",
            )


def _drill_targets(inventory: Inventory, places: Places) -> Iterator[Diagnostic]:
    """A host that a drill may change serves nobody else: whatever it had would be lost in the next drill."""
    serving: dict[str, str] = {}
    for name, service in inventory.services.items():
        for role in service.roles:
            if service.drill_of is None and not role.startswith(DRILL_ROLE) and role not in WITHOUT_DATA:
                for host in service.hosts_of(role):
                    serving.setdefault(host, f"{role} of {name}")
    for name, service in inventory.services.items():
        path: Path = ("services", name)
        if service.drill_of is not None:
            real = inventory.services.get(service.drill_of)
            if real is None or real.drill_of is not None or service.drill_of == name:
                known = {n: s for n, s in inventory.services.items() if s.drill_of is None and n != name}
                yield _unknown("service", service.drill_of, known, (*path, "drill_of"), places)
            if service.sla and "sla" in service.given:
                message = "is for drills, and nobody was promised anything about it: leave it out, or say false"
                yield places.problem((*path, "sla"), message, key=True)
        for role in service.roles:
            # What else a stand-in names, the backups for one, is only read: the plan of a drill is held to that.
            if role not in ("primary", "standby", "app") if service.drill_of else not role.startswith(DRILL_ROLE):
                continue
            for host in service.hosts_of(role):
                if host in serving and role not in WITHOUT_DATA:
                    message = f"{host} is a drill target here, and it is {serving[host]}: a drill would change it"
                    yield places.problem((*path, "roles", role), message, hint="a drill target serves nobody else")


def _residency(inventory: Inventory, service: Service, path: Path, places: Places) -> Iterator[Diagnostic]:
    """The country of every site that holds data; a host that only watches holds none."""
    for role, hosts in service.roles.items():
        if role in WITHOUT_DATA:
            continue
        for number, name in enumerate([hosts] if isinstance(hosts, str) else hosts):
            host = inventory.hosts.get(name)
            where: Path = (*path, "roles", role) if isinstance(hosts, str) else (*path, "roles", role, number)
            if host is not None:
                yield from _abroad(inventory, host.site, f"{name} holds data as {role}", where, places)
    for number, backup in enumerate(service.backups):
        where = (*path, "backups", number, "location")
        yield from _abroad(inventory, backup.location, "a copy of the backups is there", where, places)


def _abroad(inventory: Inventory, site: str, why: str, where: Path, places: Places) -> Iterator[Diagnostic]:
    found = inventory.sites.get(site)
    if found is not None and found.country != inventory.residency:
        line = places.of(("sites", site, "country")).line
        yield places.problem(
            where,
            f"data must stay in {inventory.residency}, and {site} is in {found.country} (line {line}): {why}",
        )


def _promises(inventory: Inventory, service: Service, path: Path, places: Places) -> Iterator[Diagnostic]:
    def sites_of(role: str) -> set[str]:
        return {inventory.hosts[name].site for name in service.hosts_of(role) if name in inventory.hosts}

    primary = sites_of("primary")
    on_premises = sorted(
        site for site in primary if site in inventory.sites and inventory.sites[site].kind == "premises"
    )
    if service.sla and on_premises:
        yield places.problem(
            (*path, "sla") if "sla" in service.given else path,
            f"a service on the client's own premises ({listed(on_premises)}) is outside the SLA: say sla: false",
            key=True,
        )
    if not service.sla or on_premises or service.drill_of is not None:
        return
    if not sites_of("standby") - primary:
        yield places.problem(
            (*path, "roles", "standby"),
            "is under the SLA, and has no standby at another site than its primary",
            severity=Severity.WARNING,
            hint="without one, losing the site means a restore from yesterday's backup",
        )
    elsewhere = {backup.location for backup in service.backups} - primary
    if len(elsewhere) < 2:
        yield places.problem(
            (*path, "backups"),
            "is under the SLA, and its backups are at fewer than two places besides its primary's site "
            f"({listed(elsewhere)})",
            severity=Severity.WARNING,
            hint="a copy that is only in the lost data centre does not exist",
        )


def _commands(service: Service, path: Path, places: Places) -> Iterator[Diagnostic]:
    for name, words in service.commands.items():
        for number, word in enumerate(words):
            if "${" in word:
                yield places.problem(
                    (*path, "commands", name, number),
                    "nothing is filled in here: an inventory's command is constant",
                    hint="give what changes in the runbook: run: {command: NAME, arguments: [...]}",
                )


def _open_secrets(inventory: Inventory, places: Places) -> Iterator[Diagnostic]:
    holders: list[tuple[Path, dict[str, str | SecretValue]]] = [
        *((("hosts", name, "vars"), host.vars) for name, host in inventory.hosts.items()),
        *((("services", name, "vars"), service.vars) for name, service in inventory.services.items()),
    ]
    for path, values in holders:
        for name, value in values.items():
            if isinstance(value, str) and value and _LOOKS_SECRET.search(name):
                problem = places.problem(
                    (*path, name),
                    "looks like a secret that is written out: it will be in the journal and in reports",
                    key=True,
                    severity=Severity.WARNING,
                    hint=f'{name}: {{secret: "env:NAME"}}, or file:/path, or command:program argument',
                )
                yield problem


def _unknown(what: str, name: str, known: dict[str, object] | object, where: Path, places: Places) -> Diagnostic:
    names = list(known) if isinstance(known, dict) else []
    return places.problem(
        where, f"there is no {what} {quoted(name)}{did_you_mean(name, names)}", hint=f"{what}s: {listed(names)}"
    )
