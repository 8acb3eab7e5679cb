"""``drctl doctor``: is everything there that a run at 3 a.m. will need? Read-only."""

from __future__ import annotations

import json as jsonlib
import re
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.begin import Inventory
from drctl.cli.settings import Settings
from drctl.errors import DrctlError, ExitCode
from drctl.report.harmless import one_line

if TYPE_CHECKING:
    from drctl.adapters.commands import Commands
    from drctl.model.plan import Endpoint
    from drctl.plan.build import InventoryDocument

DISK_LIMIT_PERCENT = 90

# One line for each thing; what is printed is data, and is parsed as such.
_PROBE = r"""
printf 'disk %s\n' "$(df -P / "$HOME" | awk '
    NR > 1 { sub("%", "", $5); if ($5 + 0 > full) full = $5 }
    END { print full }')"
if sudo -n true 2>/dev/null; then echo 'sudo yes'; else echo 'sudo no'; fi
for tool in sh awk mkdir mv sync setsid; do command -v "$tool" >/dev/null || printf 'missing %s\n' "$tool"; done
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    good: bool
    what: str
    hint: str = ""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor")(doctor)


def doctor(
    context: typer.Context,
    inventory: Inventory = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Look at this machine only.")] = False,
) -> int:
    """Check this machine, journal, documents, notifiers, and each host of the inventory: ssh, sudo, clock, disk, tools.

    Nothing is changed anywhere. Exit code 1 when something would be missing at 3 a.m.

    Example: drctl doctor --inventory inventories/lab.yml
    """
    findings = [*_this_machine(context.obj), *_documents(inventory)]
    if not offline:
        findings += _hosts(inventory)
    if json:
        typer.echo(jsonlib.dumps([asdict(f) for f in findings], indent=2))
    else:
        wide = max(len(finding.subject) for finding in findings)
        for finding in findings:
            typer.echo(f"{'ok' if finding.good else 'NOT OK':7} {finding.subject:{wide}} {one_line(finding.what)}")
            if finding.hint and not finding.good:
                typer.echo(f"{'':7} {'':{wide}} next: {finding.hint}")
    return ExitCode.DONE if all(f.good for f in findings) else ExitCode.STEP_FAILED


def _this_machine(settings: Settings) -> Iterator[Finding]:
    yield Finding("python", sys.version_info >= (3, 11), sys.version.split()[0])
    ssh = shutil.which("ssh")
    yield Finding("ssh", ssh is not None, ssh or "not found", "apt-get install openssh-client")
    try:
        settings.journal().close()
        yield Finding("journal", True, str(settings.state_dir / "journal.db"))
        used = shutil.disk_usage(settings.state_dir)
        full = round(100 * used.used / max(1, used.used + used.free))
        yield Finding(
            "journal's disk", full < DISK_LIMIT_PERCENT, f"{full} % full", f"free some space for {settings.state_dir}"
        )
    except DrctlError as error:
        yield Finding("journal", False, error.message, error.hint)
    yield Finding("lab (optional)", True, _lab_here(settings))


def _lab_here(settings: Settings) -> str:
    from drctl.lab import tiers
    from drctl.lab.prerequisites import missing_of_loopback, missing_prerequisites

    missing = ", ".join(item.what for item in missing_prerequisites(settings.state_dir))
    if not missing:
        return f"tier {tiers.tier()}: all there"
    if not missing_of_loopback():
        return f"tier {tiers.LOOPBACK}: all there; for the tier {tiers.tier()} is missing: {missing}"
    return f"missing: {missing}"


def _documents(inventory: Path | None) -> Iterator[Finding]:
    from drctl.read.diagnostics import errors
    from drctl.read.documents import read_inventory, read_runbook
    from drctl.read.find import RUNBOOKS, documents_in, find_inventory

    for path in documents_in(RUNBOOKS):
        problems = errors(read_runbook(path)[1])
        yield Finding(path.stem, not problems, f"{len(problems)} problems", f"drctl validate {path}")
    try:
        path = find_inventory(inventory)
    except DrctlError as error:
        yield Finding("inventory", False, error.message, error.hint)
        return
    document, found = read_inventory(path)
    problems = errors(found)
    yield Finding("inventory", not problems, f"{path}: {len(problems)} problems", f"drctl validate {path}")
    if document is not None:
        yield from _notifiers(document)


def _notifiers(inventory: InventoryDocument) -> Iterator[Finding]:
    """Whether each could be told; nothing is sent."""
    from drctl.cli.notify import looked_at
    from drctl.model.messages import Fate
    from drctl.plan.build import notifiers_in

    for notifier in notifiers_in(inventory):
        found = looked_at(notifier)
        what = found.detail or f"{notifier.way}; whether it arrives says drctl notify test {notifier.name}"
        hint = f"drctl notify test {notifier.name} --inventory {inventory.file}"
        yield Finding(f"notifier {notifier.name}", found.fate is Fate.DELIVERED, what, hint)


def _hosts(inventory: Path | None) -> list[Finding]:
    from drctl.adapters.commands import Commands
    from drctl.adapters.redact import Redactor
    from drctl.adapters.secrets import SecretResolver
    from drctl.plan.build import ssh_config_of
    from drctl.plan.hosts import HostWords
    from drctl.read.documents import read_inventory
    from drctl.read.find import find_inventory

    try:
        document = read_inventory(find_inventory(inventory))[0]
    except DrctlError:
        return []  # said by _documents
    if document is None:
        return []
    from drctl.plan.drill import drill_targets

    services = document.value.services
    of_drills = frozenset(host for name in services for host in drill_targets(document.value, name))
    words = HostWords(inventory=document.value, service="", ssh_config=ssh_config_of(document))
    endpoints = [words.endpoint(name, ()) for name in document.value.hosts]
    commands = Commands(SecretResolver(Redactor()))
    try:
        with ThreadPoolExecutor(max_workers=16) as pool:
            found = list(pool.map(lambda endpoint: _host(commands, endpoint), endpoints))
            return [_off_until_a_drill(f) if f.subject in of_drills and not f.good else f for f in found]
    finally:
        commands.close()


def _off_until_a_drill(finding: Finding) -> Finding:
    """A drill's own host may be off: a drill begins with giving it its power, and no recovery needs it."""
    return Finding(finding.subject, True, f"a drill's host, off or not ready now: {finding.what}")


def _host(commands: Commands, endpoint: Endpoint) -> Finding:
    from drctl.adapters.clock import SystemClock
    from drctl.adapters.clocks import host_clock
    from drctl.engine.ports import Ending, ShellCommand
    from drctl.model.circumstances import CLOCK_LIMIT_S
    from drctl.report.by_hand import ssh_line

    kept: list[bytes] = []
    clock = host_clock(commands, endpoint, SystemClock(), timeout_s=20)
    result = commands.probe(
        endpoint, ShellCommand(script=_PROBE), timeout_s=20, output=lambda stream, data: kept.append(data)
    )
    if result.ending is not Ending.FINISHED:
        return Finding(endpoint.host, False, f"{result.ending}: {result.detail}", f"{ssh_line(endpoint)} true")
    told = [line.split(" ", 1) for line in b"".join(kept).decode("utf-8", "replace").splitlines() if " " in line]
    facts = {name: value for name, value in told if name != "missing"}
    problems = [f"{value} is missing" for name, value in told if name == "missing"]
    full = _number(facts.get("disk", ""))
    clock_says, disk_says = "?", "?"
    if clock.offset_s is None:
        problems.append("its clock cannot be read")
    else:
        clock_says = f"{clock.offset_s:+.2f} s"
        if abs(clock.offset_s) > CLOCK_LIMIT_S:
            problems.append(f"its clock is {clock.offset_s:+.1f} s off")
    if full is None:
        problems.append("how full its disk is cannot be read")
    else:
        disk_says = f"{full:.0f} %"
        if full >= DISK_LIMIT_PERCENT:
            problems.append(f"its disk is {full:.0f} % full")
    if facts.get("sudo") != "yes":
        problems.append("sudo asks for a password")
    what = f"reached; clock {clock_says}; disk {disk_says}; sudo {facts.get('sudo', '?')}"
    return Finding(endpoint.host, not problems, "; ".join([what, *problems]), ssh_line(endpoint))


def _number(text: str) -> float | None:
    """The number that it begins with: not every ``date`` knows parts of a second."""
    found = re.match(r"\d+(\.\d*)?", text)
    return float(found.group()) if found else None
