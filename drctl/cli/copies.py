"""What ``drctl backups`` gathers: the locations' answers, what was verified and restored before, and the exposure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from drctl.cli.settings import Settings
from drctl.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from drctl.adapters.clock import SystemClock
    from drctl.adapters.commands import Commands
    from drctl.adapters.copies import Place
    from drctl.adapters.kept import KeptFiles
    from drctl.backups.copies import Copy, Restored, Seen
    from drctl.backups.exposed import Archiver
    from drctl.backups.schedule import Promises
    from drctl.model.events import Event
    from drctl.model.exposure import Exposure
    from drctl.model.inventory import Inventory
    from drctl.model.plan import Endpoint

_RUNS_LOOKED_AT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked: a service, its locations, and its primary (None when it stands at a lost site)."""

    service: str
    inventory: Inventory
    places: tuple[Place, ...]
    primary: Endpoint | None
    pgbin: str
    what_if: bool  # only a part was asked, or a site was assumed to be lost: the answer is not kept

    @property
    def owner(self) -> str:
        """Whose backups they are: for a stand-in those of the service that it stands in for."""
        return self.inventory.services[self.service].drill_of or self.service


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The locations as they answered, their copies, judged, and the exposure that follows."""

    now: datetime
    seen: tuple[Seen, ...]
    copies: tuple[Copy, ...]
    exposure: Exposure | None
    archiver: Archiver | None = None


def asked(service: str, inventory: Path | None, *, location: str, lost: Sequence[str]) -> Question:
    """Understand the question; nothing is connected.

    Raises:
        UsageError: when the service, the location or a site is not in the inventory.
        DocumentError: when the inventory is not valid.
    """
    from drctl.adapters.copies import Place
    from drctl.backups.places import locations
    from drctl.plan.build import known_service, ssh_config_of
    from drctl.plan.hosts import HostWords
    from drctl.read.diagnostics import raise_on_problems
    from drctl.read.documents import read_inventory
    from drctl.read.find import find_inventory

    document, problems = read_inventory(find_inventory(inventory))
    raise_on_problems(problems)
    if document is None:  # pragma: no cover - absent only when there are errors, which were raised
        raise AssertionError("a document without an error is missing")
    world = document.value
    known_service(document, service)
    for site in lost:
        _known("site", site, world.sites)
    found = locations(world, service, frozenset(lost))
    if location:
        _known("location of its backups", location, [p.name for p in found])
    words = HostWords(inventory=world, service=service, ssh_config=ssh_config_of(document))
    pgbin = world.services[service].vars.get("pgbin")
    primaries = [p for p in world.services[service].hosts_of("primary") if world.hosts[p].site not in lost]
    return Question(
        service=service,
        inventory=world,
        places=tuple(
            Place(
                location=one,
                endpoint=words.endpoint(one.host, ()) if one.host is not None else None,
                pgbin=pgbin if isinstance(pgbin, str) else "",
            )
            for one in found
            if location in ("", one.name)
        ),
        primary=words.endpoint(primaries[0], ()) if primaries else None,
        pgbin=pgbin if isinstance(pgbin, str) else "",
        what_if=bool(location or lost),
    )


def _known(what: str, name: str, known: Iterable[str]) -> None:
    from drctl.read.diagnostics import quoted
    from drctl.read.suggest import did_you_mean, listed

    names = list(known)
    if name not in names:
        raise UsageError(
            f"there is no {what} {quoted(name)}{did_you_mean(name, names)}",
            state="nothing was connected to",
            hint=f"there is: {listed(names)}",
        )


def promises_of(question: Question) -> Promises:
    """What the service's copies are held against."""
    from drctl.backups.places import schedule_of
    from drctl.backups.schedule import Promises

    world, service = question.inventory, question.inventory.services[question.service]
    rpo_s = service.objectives.rpo if service.objectives.rpo is not None else world.objectives.rpo
    return Promises(
        schedule=schedule_of(world, question.service),
        rpo_s=rpo_s,
        residency=world.residency,
        primary_sites=_primary_sites(question),
        timezone=world.timezone,
    )


def _primary_sites(question: Question) -> frozenset[str]:
    world = question.inventory
    return frozenset(world.hosts[name].site for name in world.services[question.service].hosts_of("primary"))


def gathered(
    settings: Settings, question: Question, *, verify_timeout_s: float | None = None, all_facts: bool = False
) -> Gathered:
    """Ask the locations, and judge what they hold; verify it first when ``verify_timeout_s`` is given.

    With ``all_facts`` the primary's archiver and the journal are asked too, and the exposure is worked out and kept.

    Raises:
        JournalError: when what was found cannot be kept.
    """
    from drctl.adapters.clock import SystemClock
    from drctl.adapters.commands import Commands
    from drctl.adapters.copies import ask_archiver, look
    from drctl.adapters.kept import KeptFiles
    from drctl.adapters.redact import Redactor
    from drctl.adapters.secrets import SecretResolver
    from drctl.backups.exposed import exposure

    clock, kept = SystemClock(), KeptFiles(settings.state_dir / "backups", question.owner)
    with closing(Commands(SecretResolver(Redactor()))) as commands, ThreadPoolExecutor(max_workers=1) as beside:
        asking = beside.submit(ask_archiver, commands, question.primary) if all_facts else None
        seen = look(commands, question.places, now=clock.now)
        if verify_timeout_s is not None:
            _verify(commands, question.places, seen, kept, clock, verify_timeout_s)
        archiver = asking.result() if asking else None
    tested = _tested(settings, question) if all_facts else {}
    copies = _judged(kept, seen, tested)
    if not all_facts:
        return Gathered(now=clock.now(), seen=seen, copies=copies, exposure=None)
    found = exposure(seen, copies, archiver, primary_sites=_primary_sites(question), now=clock.now())
    if not question.what_if:
        KeptFiles(settings.state_dir / "backups", question.service).keep_exposure(found)
    return Gathered(now=clock.now(), seen=seen, copies=copies, exposure=found, archiver=archiver)


def _verify(
    commands: Commands,
    places: Sequence[Place],
    seen: Sequence[Seen],
    kept: KeptFiles,
    clock: SystemClock,
    timeout_s: float,
) -> None:
    """Verify every location that answered, all at once, and keep what was found of each as soon as it is known."""
    from drctl.adapters.copies import VERIFY_HOW, verify
    from drctl.backups.copies import outcomes

    def one(place: Place, found: Seen) -> None:
        begun = clock.monotonic()
        typer.echo(f"{place.location.name}: verifying ...", err=True)
        verification = verify(commands, place, timeout_s=timeout_s)
        kept.add_verified(outcomes(found, verification, at=clock.now(), how=VERIFY_HOW))
        said = verification.problem or ("no error" if verification.status == "ok" else "ERRORS were found")
        typer.echo(f"{place.location.name}: {said}, after {clock.monotonic() - begun:.1f} s", err=True)

    asked_for = [(place, found) for place, found in zip(places, seen, strict=True) if found.stanza is not None]
    with ThreadPoolExecutor(max_workers=max(1, len(asked_for))) as pool:
        for future in [pool.submit(one, place, found) for place, found in asked_for]:
            future.result()


def _judged(kept: KeptFiles, seen: Sequence[Seen], tested: dict[tuple[str, str], Restored]) -> tuple[Copy, ...]:
    from drctl.backups.copies import judge

    verified = kept.verified()
    copies: list[Copy] = []
    for place in seen:
        name = place.location.name
        mine = {label: one for (where, label), one in verified.items() if where == name}
        restored = {label: one for (where, label), one in tested.items() if where == name}
        copies += judge(place, mine, restored)
    return tuple(copies)


def _tested(settings: Settings, question: Question) -> dict[tuple[str, str], Restored]:
    """The newest run that ended well and had restored a copy, by location and label; what the journal says.

    A drill on a stand-in restores the copies of the service that it stands in for.
    """
    from itertools import islice

    from drctl.backups.copies import Restored
    from drctl.model.events import Ended, RunEnded

    services, owner = question.inventory.services, question.owner
    names = {owner, *(name for name, one in services.items() if one.drill_of == owner)}
    found: dict[tuple[str, str], Restored] = {}
    with closing(settings.journal()) as journal:
        heads = [h for h in islice(journal.heads(), _RUNS_LOOKED_AT) if h.service in names]
        for head in heads:
            if not (isinstance(head.last.body, RunEnded) and head.last.body.ended is Ended.DONE):
                continue
            copy, mode = restored_copy(journal.events(head.run_id))
            if all(copy) and copy not in found:
                found[copy] = Restored(location=copy[0], label=copy[1], at=head.last.at, run_id=head.run_id, mode=mode)
    return found


def restored_copy(events: Iterable[Event]) -> tuple[tuple[str, str], str]:
    """Location and label of the copy that a run restored last, empty when none, and the run's mode.

    A failover may pick a copy only to know what a restore would take: what counts is a choice in a runbook that
    restores, or in the fallback.
    """
    from drctl.model.events import AttemptFinished, RunStarted
    from drctl.model.plan import Mode
    from drctl.model.words import Section

    values: dict[str, str] = {}
    mode, counts = Mode.PLAN, set[str]()
    for event in events:
        match event.body:
            case RunStarted(plan=plan):
                mode = plan.mode
                section = None if "restore" in plan.runbook else Section.FALLBACK
                counts = {step.id for step in plan.steps(section)}
            case AttemptFinished() as body if body.step in counts:
                values |= body.captured
    if mode not in (Mode.DRILL, Mode.REAL):
        return ("", ""), mode.value
    return (values.get("copy_location", ""), values.get("copy_label", "")), mode.value
