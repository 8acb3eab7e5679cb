"""The verbs: what ``drctl --help`` says of each, and the module that is imported when one is typed, and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from typer import Typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from drctl.cli.options import wait_for_values

# verb → (module of drctl.cli, what --help says: the first words of its own help, which a test compares)
VERBS: dict[str, tuple[str, str]] = {
    "failover": ("failover", "Fail a service over to its HA standby, with the RTO and RPO clocks running."),
    "restore": (
        "failover",
        "Restore a service from its backups when no standby can take over, or go back to a time before a mistake.",
    ),
    "switchover": (
        "failover",
        "Move a service to its other server with nothing lost, and show how long writes were refused.",
    ),
    "failback": (
        "failover",
        "After a failover: rebuild the old primary as a standby, and move the service back to it.",
    ),
    "run": ("failover", "Carry out any runbook for a service, or a plan that was saved and approved."),
    "check": (
        "failover",
        "Run the read-only steps of a runbook on the real hosts, and nothing else: would it work tonight?",
    ),
    "resume": (
        "resume",
        "Go on with a run from its journal alone: attach to what was sent, settle what is in doubt, do the rest.",
    ),
    "watch": ("elsewhere", "Follow a run live from another terminal. Read-only; Ctrl-C leaves the run alone."),
    "abort": (
        "elsewhere",
        "Give a run up: end what runs on the hosts, do what must always be done, and say what is left half done.",
    ),
    "release": (
        "holds",
        "Say which run holds a service on its hosts, or let it go there for a run that is over or dead for good.",
    ),
    "jobs": ("jobs", "List the jobs that runs have left on hosts, and remove those of runs that are over."),
    "approve": ("approve", "Approve a step of a run from another terminal, or from another machine."),
    "validate": (
        "validate",
        "Check runbooks and inventories. Nothing is connected to; exit code 3 when there is an error.",
    ),
    "plan": (
        "plan",
        "Show everything that a runbook would do for a service: hosts, scripts, values, limits. Nothing is connected.",
    ),
    "show": ("show", "Print a runbook as a page (Markdown) that a person can follow by hand when drctl cannot run."),
    "status": (
        "records",
        "How each service stands: its last run, since when it is unprotected, and what to type next.",
    ),
    "runs": ("records", "The runs in the journal, the newest first."),
    "report": ("report", "What a run came to: the verdict, RTO and RPO, every step, every decision."),
    "history": (
        "history",
        "RTO and RPO of each exercise (drills and real runs that came to their end), with the trend.",
    ),
    "schema": (
        "schema",
        "Print the JSON Schema of a runbook or of an inventory, for an editor to complete and to check.",
    ),
    "doctor": (
        "doctor",
        "Check this machine, journal, documents, notifiers, and each host of the inventory: ssh, sudo, clock, disk, "
        "tools.",
    ),
    "init": (
        "init",
        "Begin a repository: runbooks, an inventory to fill in, schemas for editors, a README, a .gitignore.",
    ),
    "backups": ("backups", "Which backups there are, and which may be trusted."),
    "drill": (
        "drill",
        "Exercise a runbook on drill targets: drctl drill failover SERVICE. And the programme: due, plan, schedule.",
    ),
    "sla": (
        "service_level",
        "Downtime of each service in a year, against the promised availability. Without a verb: show.",
    ),
    "lab": ("lab", "A real lab on this machine: seven hosts with ssh, PostgreSQL and backups."),
    "notify": ("notify", "Who is told of a run, and whether a message arrives."),
    "evidence": (
        "evidence",
        "A run's evidence in a pack that an auditor checks alone; drctl evidence RUN is drctl evidence pack RUN.",
    ),
    "findings": (
        "findings",
        "What must be better next time, who does it and by when; drctl findings is drctl findings list.",
    ),
}


class Verbs(TyperGroup):
    """All verbs. They are listed from the table above; the one that is typed becomes a command."""

    def __init__(self, **attributes: Any) -> None:
        listed = {name: TyperCommand(name=name, help=said) for name, (_, said) in VERBS.items()}
        super().__init__(**(attributes | {"commands": listed}))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options that all verbs have; typer adds those of the shell's completion at the very last."""
        wait_for_values(self, ctx)
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """The verb's name, its command, and the arguments that are its own."""
        name, listed, rest = super().resolve_command(ctx, args)
        if not name or not listed:
            return name, None, rest
        found = command(name)
        wait_for_values(found, ctx)
        return name, found, rest


def command(verb: str) -> TyperCommand | TyperGroup:
    """The command of a verb of the table, with its options; a group, when it has verbs of its own."""
    module = import_module(f"drctl.cli.{VERBS[verb][0]}")
    holder = Typer()
    if hasattr(module, "app"):
        holder.add_typer(module.app, name=verb)
    else:
        module.register(holder)
    found: TyperCommand | TyperGroup = get_group(holder).commands[verb]  # type: ignore[assignment]
    return found
