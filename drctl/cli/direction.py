"""Which way a recovery goes, when nobody says it: from the server that takes the writes to the other one.

A runbook that works in both directions has inputs of type role with the defaults ``primary`` and ``standby``. They are
right as long as the service stands as the inventory has it. When it stands the other way round, each such input that
was not given is the other role.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from drctl.errors import DrctlError, ExitCode, JournalError

if TYPE_CHECKING:
    from drctl.adapters.servers import Said
    from drctl.cli.settings import Settings
    from drctl.engine.standing import Move, Server, Standing
    from drctl.model.inventory import Inventory
    from drctl.model.runbook import Runbook
    from drctl.plan.build import InventoryDocument

HOME, AWAY = "primary", "standby"
_OTHER = {HOME: AWAY, AWAY: HOME}


def has_two(runbook: Runbook, inventory: Inventory, service: str) -> bool:
    """Whether it works in both directions, for this service. A stand-in for drills stands as it is written."""
    one = inventory.services.get(service)
    if one is None or one.drill_of is not None or not {HOME, AWAY} <= one.roles.keys():
        return False
    return {HOME, AWAY} <= {declared.default for declared in runbook.inputs.values() if declared.type == "role"}


def given_by_hand(inputs: Mapping[str, str]) -> bool | None:
    """Whether the ends that were given are the other way round; None when neither was given."""
    if not {"from", "to"} & inputs.keys():
        return None
    return inputs.get("from") == AWAY or inputs.get("to") == HOME


def completed(runbook: Runbook, given: Mapping[str, str], *, turned: bool) -> dict[str, str]:
    """The inputs, with the roles that nobody gave when the service stands the other way round."""
    if not turned:
        return dict(given)
    roles = {
        name: _OTHER[declared.default]
        for name, declared in runbook.inputs.items()
        if declared.type == "role" and declared.default in _OTHER
    }
    return {**roles, **given}


def in_the_journal(settings: Settings, inventory: Inventory, service: str) -> Standing:
    """How the service stands by this machine's journal; nothing is connected."""
    return _standing(settings, inventory, service, {})


def on_the_servers(settings: Settings, inventory: InventoryDocument, service: str) -> Standing:
    """How the service stands: the journal, and both servers are asked.

    Raises:
        Contradiction: when they do not agree.
    """
    from drctl.adapters.commands import Commands
    from drctl.adapters.redact import Redactor
    from drctl.adapters.secrets import SecretResolver
    from drctl.adapters.servers import Asked, ask
    from drctl.plan.build import ssh_config_of
    from drctl.plan.hosts import HostWords

    words = HostWords(inventory=inventory.value, service=service, ssh_config=ssh_config_of(inventory))

    def server(host: str) -> Asked:
        own, common = inventory.value.hosts[host].vars, inventory.value.services[service].vars
        pgdata = own.get("pgdata", common.get("pgdata"))
        return Asked(endpoint=words.endpoint(host, ()), pgdata=pgdata if isinstance(pgdata, str) else "")

    commands = Commands(SecretResolver(Redactor()))
    try:
        answers = ask(commands, {role: server(words.hosts(role)[0]) for role in (HOME, AWAY)})
    finally:
        commands.close()
    return _standing(settings, inventory.value, service, answers)


def sentence(found: Standing, service: str) -> str:
    """Which way it goes, and why."""
    ends = f"from {found.primary.host} ({found.primary.role}) to {found.standby.host} ({found.standby.role})"
    mend = f"; its data may be whole, and only room is missing: drctl run release-wal {service}"
    return f"{service} goes {ends}: {'; '.join(found.because)}{mend if found.primary.no_room else ''}"


def refused(service: str, runbook: str, why: str) -> DrctlError:
    """What is said when a person has to find out which way it goes."""
    by_hand = "--to ROLE" if runbook == "failover" else "--input from=ROLE --input to=ROLE"
    return DrctlError(
        f"which way {service} goes is not certain: {why}",
        state="nothing was changed",
        hint="find out which server has the clients' last writes. If the other one takes writes too, keep what is "
        f"needed of it and stop its database. Then say the way: drctl {runbook} {service} {by_hand}, where ROLE is "
        f"{HOME} or {AWAY}",
        exit_code=ExitCode.NO_GO,
    )


def _standing(settings: Settings, inventory: Inventory, service: str, answers: Mapping[str, Said]) -> Standing:
    from drctl.adapters.servers import Said
    from drctl.engine.standing import Server, standing

    def server(role: str) -> Server:
        said, host = answers.get(role, Said()), inventory.services[service].hosts_of(role)[0]
        return Server(role=role, host=host, in_recovery=said.in_recovery, why=said.why, no_room=said.no_room)

    home, away = server(HOME), server(AWAY)
    move = next(_moves(settings, service, home, away), None)
    return standing(home, away, move, timezone=inventory.timezone)


def _moves(settings: Settings, service: str, *servers: Server) -> Iterator[Move]:
    """What the journal's runs promoted, the newest first. One that cannot be read may have moved the service."""
    from drctl.engine.fold import fold_all
    from drctl.engine.standing import Move, last_move
    from drctl.model.plan import Mode

    if not settings.journal_path.exists():
        return  # to look at a plan makes no journal
    journal = settings.journal()
    try:
        for head in journal.heads():
            if head.service != service or head.mode not in (Mode.REAL, Mode.DRILL):
                continue
            try:
                found = last_move(fold_all(journal.events(head.run_id)), {server.host for server in servers})
            except JournalError:
                found = Move(run_id=head.run_id, host="", at=None, certain=False)
            if found is not None:
                yield found
    finally:
        journal.close()
