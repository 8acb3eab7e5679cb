"""What a plan would need of a site that is lost: looked up step by step, before anything connects. Pure.

A host of the site is needed by the steps that run on it, a gateway by the steps whose hosts are reached through it. An
address or a name in a value, a word or a URL only says that the step speaks of the site: whether it *needs* it depends
on what it does there. A probe that wants silence from a lost primary is right; so these are shown, and refuse nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from drctl.model.inventory import Inventory
from drctl.model.messages import Notifier
from drctl.model.plan import Endpoint, Http, OnUnreachable, Plan, Shell, Step, Tcp, Variable
from drctl.model.words import OnFailure, Section

_STRAIGHT = (Section.PRECONDITIONS, Section.STEPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A path of this machine, and what it is mounted from. A path that speaks of a host says nothing."""

    path: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """What this machine knows of the ways to the plan's hosts, and of itself.

    ``gateways`` are the names and addresses on the way to a host, ``keys`` the key files and agents that open it.
    ``controller`` is this machine, ``journal`` where its journal and locks are.
    """

    gateways: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: Mapping[str, tuple[Kept, ...]] = field(default_factory=dict)
    controller: str = ""
    journal: Kept = field(default_factory=Kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A site that is assumed down, with its hosts, and the backups' locations there."""

    site: str
    hosts: Mapping[str, str]  # name: address
    locations: tuple[str, ...] = ()
    other_locations: tuple[str, ...] = ()  # where the service has copies of its backups besides
    ways: Ways = field(default_factory=Ways)

    @property
    def words(self) -> tuple[str, ...]:
        """The names and addresses of its hosts."""
        return tuple(dict.fromkeys([*self.hosts, *self.hosts.values()]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something of the lost site. ``step`` is empty for what the whole run needs.

    ``refused`` says that the run could not be carried out; else ``why`` says why it still can, or what to look at.
    """

    step: str
    section: str
    kind: Literal["host", "gateway", "key", "request", "secret", "backup", "journal", "notifier", "evidence", "mention"]
    what: str
    refused: bool
    why: str


def lost(inventory: Inventory, service: str, site: str, *, ways: Ways) -> Lost:
    """The site as the inventory knows it."""
    locations = [backup.location for backup in inventory.services[service].backups]
    return Lost(
        site=site,
        hosts={name: host.address or name for name, host in inventory.hosts.items() if host.site == site},
        locations=tuple(location for location in locations if location == site),
        other_locations=tuple(location for location in locations if location != site),
        ways=ways,
    )


def needs(plan: Plan, down: Lost) -> tuple[Need, ...]:
    """All that the plan needs of the site, in the order of its steps."""
    found = [*_of_the_run(down), *_of_the_notifiers(plan.notifiers, down), *_of_the_heads(plan.head_places, down)]
    for stage in plan.stages:
        for step in stage.steps:
            found += _of_step(step, stage.section, down)
    return tuple(found)


def _of_the_run(down: Lost) -> Iterator[Need]:
    here = down.ways.controller
    word = here if here in down.hosts else _spoken_of([down.ways.journal.source], down)
    if word:
        yield Need(
            step="",
            section="",
            kind="journal",
            what=f"the journal and the service's lock are on {word}",
            refused=True,
            why="conduct the run from a machine at another site",
        )
    for location in down.locations:
        yield Need(
            step="",
            section="",
            kind="backup",
            what=f"the copies at {location}",
            refused=False,
            why="a copy that is only in the lost site does not exist; the other locations have to do",
        )


def _of_the_notifiers(notifiers: Sequence[Notifier], down: Lost) -> Iterator[Need]:
    """Those that nobody would hear of the run through. One is made up for by another that is told as much."""
    gone = {notifier.name: _lost_with_the_site(notifier, down) for notifier in notifiers}
    for notifier in notifiers:
        if not gone[notifier.name]:
            continue
        others = [n for n in notifiers if not gone[n.name] and set(notifier.moments) <= set(n.moments)]
        why = f"{others[0].name} is told as much" if others else "nobody would hear of the run: name another one"
        what = f"the notifier {notifier.name}{gone[notifier.name]}"
        yield Need(step="", section="", kind="notifier", what=what, refused=not others, why=why)


def _lost_with_the_site(notifier: Notifier, down: Lost) -> str:
    """How it is lost, in words that follow its name; empty when it is not."""
    if notifier.site == down.site:
        return f" at {down.site}"
    word = _spoken_of([text for text in (notifier.url, *notifier.words) if text], down)
    return f", which comes from {word}" if word else ""


def _of_the_heads(places: Sequence[str], down: Lost) -> Iterator[Need]:
    for place in places:
        if word := _spoken_of([place], down):
            what = f"the place for heads {place}, which is on {word}"
            why = "the run goes on; the head of its chain is published at the other places only"
            yield Need(step="", section="", kind="evidence", what=what, refused=False, why=why)


def _of_the_copies(step: Step, section: Section, down: Lost) -> Iterator[Need]:
    """A step that picks a copy of the backups: one is left at another location, or it is no use to go on."""
    if not down.locations or "copy_location" not in {capture.name for capture in step.captures}:
        return
    told = next((v.text for v in step.variables if v.name == "location" and v.text), "")
    what = f"a copy of the backups at {', '.join(down.locations)}"
    if told in down.locations or not down.other_locations:
        yield _need(step, section, "backup", what, goes_on=step.on_failure is OnFailure.CONTINUE)
    else:
        others = told or ", ".join(down.other_locations)
        yield Need(
            step=step.id, section=section.value, kind="backup", what=what, refused=False, why=f"taken from {others}"
        )


def _of_step(step: Step, section: Section, down: Lost) -> Iterator[Need]:
    yield from _of_the_copies(step, section, down)
    for endpoint in step.endpoints:
        for kind, what in _on_the_way(endpoint, down):
            goes_on = step.on_unreachable is OnUnreachable.CONTINUE or step.on_failure is OnFailure.CONTINUE
            yield _need(step, section, kind, what, goes_on=goes_on)
    if isinstance(step.action, Http) and (word := _spoken_of([step.action.url], down)):
        yield _need(step, section, "request", f"the answer of {word}", goes_on=step.on_failure is OnFailure.CONTINUE)
    if isinstance(step.action, Tcp) and (word := _spoken_of([step.action.address], down)):
        silent = step.action.expect == "closed"
        yield _need(
            step,
            section,
            "request",
            f"{'silence' if silent else 'an answer'} of {word}",
            goes_on=silent or step.on_failure is OnFailure.CONTINUE,
        )
    for variable in _variables(step):
        if variable.secret is not None and (word := _spoken_of([variable.secret], down)):
            goes_on = step.on_failure is OnFailure.CONTINUE
            yield _need(step, section, "secret", f"{variable.name}, which comes from {word}", goes_on=goes_on)
    yield from _mentions(step, section, down)


def _on_the_way(endpoint: Endpoint, down: Lost) -> Iterator[tuple[Literal["host", "gateway", "key"], str]]:
    if endpoint.site == down.site:
        yield "host", endpoint.host
        return
    way = down.ways.gateways.get(endpoint.host, ())
    for name, address in down.hosts.items():
        if name in way or address in way:
            yield "gateway", f"{name}, the gateway to {endpoint.host}"
    for key in down.ways.keys.get(endpoint.host, ()):
        if word := _spoken_of([key.source], down):
            yield "key", f"{key.path}, which is mounted from {word}, to be let in at {endpoint.host}"


def _mentions(step: Step, section: Section, down: Lost) -> Iterator[Need]:
    places = [(f"the value {v.name}", v.text) for v in _variables(step) if v.text is not None]
    if isinstance(step.action, Shell):
        places += [("a word of its command", word) for word in step.action.words]
    seen = {name: _spoken_of([text], down) for name, text in places}
    said = [f"{name} is of {word}" for name, word in seen.items() if word]
    if said:
        why = "look whether it needs an answer from there"
        yield Need(step=step.id, section=section.value, kind="mention", what="; ".join(said), refused=False, why=why)


def _variables(step: Step) -> Iterable[Variable]:
    return (*step.variables, *(v for endpoint in step.endpoints for v in endpoint.variables))


def _spoken_of(texts: Iterable[str], down: Lost) -> str:
    """The first name or address of the site that stands in a text as a word of its own."""
    for text in texts:
        for word in down.words:
            if re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-]|\.\w)", text):
                return word
    return ""


def _need(
    step: Step,
    section: Section,
    kind: Literal["host", "gateway", "key", "request", "secret", "backup"],
    what: str,
    *,
    goes_on: bool,
) -> Need:
    if section not in _STRAIGHT:
        why = f"only in {section.value}" if not goes_on else "the runbook goes on without it"
        return Need(step=step.id, section=section.value, kind=kind, what=what, refused=False, why=why)
    why = "the runbook goes on without it" if goes_on else "the run could not get past this step"
    return Need(step=step.id, section=section.value, kind=kind, what=what, refused=not goes_on, why=why)
