"""Whether an evidence pack is what its signer made of what happened. All that is wrong is said, and not only the first.

Nothing in a pack is believed before it was held against something else: files against the list of sums, the list
against the signature, each event against the one before it, plan, documents, outputs and report against the events,
and the chain against the heads that were published while the run went on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from drctl import __version__
from drctl.adapters.chain import FIRST_PREVIOUS, body_of
from drctl.adapters.signatures import BadSignature
from drctl.adapters.signatures import verify as verify_signature
from drctl.engine.fold import fold_all
from drctl.errors import DocumentError
from drctl.model.events import Event, JsonObject, RunEnded, RunStarted
from drctl.plan.codec import canonical_json, from_json, plan_digest
from drctl.report import json as json_report
from drctl.report.facts import Finding
from drctl.report.pack import document_names, sums_of_outputs, texts_of
from drctl.report.pack_approvals import approvals
from drctl.report.pack_files import (
    ABOUT,
    DOCUMENTS,
    EVENTS,
    FINDINGS,
    FORMAT,
    HEAD,
    MANIFEST,
    NAMESPACE,
    OUTPUTS,
    PLAN,
    REPORT,
    SIGNATURE,
    PackError,
    names_in,
    safe_name,
    sha256_of,
)
from drctl.report.pack_findings import findings
from drctl.report.pack_heads import NAMESPACE as NAMESPACE_OF_HEADS
from drctl.report.pack_heads import published_heads, signer_of
from drctl.report.summary import summarise
from drctl.report.told import of_the_run

# What a report says of its run whatever drctl wrote it.
_TOLD = ("run_id", "mode", "ended", "exit_code", "plan_digest", "chain", "clock")
_TOLD_SINCE = ("exercise", "trend", "repository", "host_clocks")  # reports of older drctls do not have them
_TOLD_OF_OBJECTIVES = ("target_s", "actual_s", "verdict")


class Result(StrEnum):
    """How a check ended."""

    HOLDS = "holds"
    BROKEN = "broken"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    result: Result
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What the reader brings along: whose keys are trusted, and the heads that were published."""

    allowed_signers: str  # the text of such a file, as ssh-keygen(1) describes it
    identity: str = ""
    heads: tuple[str, ...] = ()  # sums, or their beginnings of 16 digits at least
    published: str | None = None  # the text of a file that heads of any runs were published to


@dataclass(slots=True)
class _Chain:
    """The events as far as they could be read, and the sums of all of them."""

    events: list[Event] = field(default_factory=list)
    sums: list[str] = field(default_factory=list)
    unreadable: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What became of the checks. ``run_id`` and ``ongoing`` are as the events say."""

    run_id: str
    ongoing: bool
    head: str
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        return not any(check.result is Result.BROKEN for check in self.checks)


class _Broken(Exception):
    """A check that does not hold, and why."""


class _NotChecked(Exception):
    """A check that could not be made, and why."""


def verify(pack: Path, trust: Trust) -> Verified:
    """Check a pack that was opened (``pack_files.opened``).

    Raises:
        PackError: when it is no pack, or one of a newer drctl.
        UsageError: when ssh-keygen is not here.
    """
    names = names_in(pack)
    _known_format(pack)
    chain = _Chain()
    checks = [
        _checked("files", lambda: _files(pack, names)),
        _checked("signature", lambda: _signature(pack, trust)),
        _checked("chain", lambda: _events(pack, chain)),
        _checked("plan", lambda: _plan(pack, chain)),
        _checked("approvals", lambda: _approvals(chain)),
        _checked("outputs", lambda: _outputs(pack, names, chain)),
        _checked("report", lambda: _report(pack, chain)),
        _checked("findings", lambda: _findings(pack, chain)),
        _checked("pages", lambda: _pages(pack, chain)),
        _checked("published heads", lambda: _heads(chain, trust)),
    ]
    ended = isinstance(of_the_run(chain.events)[-1].body, RunEnded) if chain.events else False
    return Verified(
        run_id=chain.events[0].run_id if chain.events else "",
        ongoing=not ended,
        head=chain.sums[-1] if chain.sums else "",
        checks=tuple(checks),
    )


def _checked(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name=name, result=Result.HOLDS, text=check())
    except _Broken as error:
        return Check(name=name, result=Result.BROKEN, text=str(error))
    except _NotChecked as error:
        return Check(name=name, result=Result.NOT_CHECKED, text=str(error))
    except OSError as error:
        return Check(name=name, result=Result.BROKEN, text=f"{Path(str(error.filename)).name}: {error.strerror}")


def _known_format(pack: Path) -> None:
    if not (pack / EVENTS).is_file() or not (pack / MANIFEST).is_file():
        raise PackError(f"this is no evidence pack: it has no {EVENTS} or no {MANIFEST}", where=str(pack))
    try:
        about = json.loads((pack / ABOUT).read_bytes())
        found = int(about["format"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise PackError(f"this is no evidence pack: its {ABOUT} cannot be read", where=str(pack)) from None
    if found > FORMAT:
        raise PackError(
            f"the pack has format {found}, made by drctl {about.get('drctl_version')}; this drctl reads up to {FORMAT}",
            where=str(pack),
            hint="use a newer drctl, or the commands in the pack's README.md",
        )


def _files(pack: Path, names: Sequence[str]) -> str:
    listed: dict[str, str] = {}
    for line in (pack / MANIFEST).read_text("utf-8", "replace").splitlines():
        sha256, gap, name = line[:64], line[64:66], line[66:]
        if not (re.fullmatch("[0-9a-f]{64}", sha256) and gap == "  " and safe_name(name)) or name in listed:
            raise _Broken(f"{MANIFEST} has a line that is none: {line[:100]!r}")
        listed[name] = sha256
    there = {name for name in names if name not in (MANIFEST, SIGNATURE)}
    wrong = [f"{name} is not there" for name in listed if name not in there]
    wrong += [f"{name} is not in the list" for name in sorted(there - set(listed))]
    wrong += [f"{name} was changed" for name in sorted(there & set(listed)) if sha256_of(pack / name) != listed[name]]
    if wrong:
        raise _Broken(_few(wrong))
    return f"{len(listed)} files are as {MANIFEST} has them"


def _signature(pack: Path, trust: Trust) -> str:
    if not (pack / SIGNATURE).is_file():
        raise _Broken("the pack is not signed: anybody can have made it")
    try:
        signer = verify_signature(
            (pack / MANIFEST).read_text("utf-8", "surrogateescape"),
            (pack / SIGNATURE).read_text("ascii", "replace"),
            allowed_signers=trust.allowed_signers,
            namespace=NAMESPACE,
            identity=trust.identity,
        )
    except BadSignature as error:
        raise _Broken(str(error)) from None
    return f"signed by {signer.principal}, {signer.fingerprint}"


def _events(pack: Path, chain: _Chain) -> str:
    """Walk the chain. What follows a broken link is not believed."""
    previous = FIRST_PREVIOUS
    with (pack / EVENTS).open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                raise _Broken(f"event {number} is torn: the file ends in the middle of it")
            row = _row(line)
            if row is None:
                raise _Broken(f"event {number} is not readable")
            if (row["sequence"], row["previous"]) != (number, previous):
                raise _Broken(f"event {number} is not in its place: one before it was changed, added or taken out")
            previous = hashlib.sha256(line.removesuffix(b"\n")).hexdigest()
            chain.sums.append(previous)
            _read(chain, row, previous)
    told = (pack / HEAD).read_text("utf-8", "replace").split()
    if told != [str(len(chain.sums)), previous]:
        raise _Broken(f"{HEAD} says {' '.join(told)[:80]}, and the events end with {len(chain.sums)} {previous}")
    return f"{len(chain.sums)} events, head {previous}"


def _row(line: bytes) -> JsonObject | None:
    try:
        row = json.loads(line)
        if isinstance(row, dict) and {"run_id", "sequence", "at", "body", "previous"} == set(row):
            return row
    except (ValueError, RecursionError):
        pass
    return None


def _read(chain: _Chain, row: JsonObject, sha256: str) -> None:
    """Make an event of it; a type that this drctl does not know breaks no chain."""
    try:
        event = Event(
            run_id=str(row["run_id"]),
            sequence=int(row["sequence"]),
            at=datetime.fromisoformat(row["at"]),
            body=body_of(json.dumps(row["body"])),
            previous=row["previous"],
            sha256=sha256,
        )
    except (DocumentError, KeyError, TypeError, ValueError, RecursionError):
        chain.unreadable = chain.unreadable or f"event {row['sequence']} is of a kind that this drctl does not know"
        return
    if chain.events and event.run_id != chain.events[0].run_id:
        raise _Broken(f"event {event.sequence} is of another run: {event.run_id}")
    chain.events.append(event)


def _readable(chain: _Chain) -> Sequence[Event]:
    if chain.unreadable:
        raise _NotChecked(f"{chain.unreadable}: use a newer drctl")
    if not chain.events or not isinstance(chain.events[0].body, RunStarted):
        raise _Broken("the events do not begin with the start of a run")
    return chain.events


def _plan(pack: Path, chain: _Chain) -> str:
    body = _readable(chain)[0].body
    assert isinstance(body, RunStarted)  # noqa: S101 # _readable has looked
    plan = body.plan
    if plan_digest(plan) != body.plan_digest:
        raise _Broken("the plan in the first event is not the one whose digest stands beside it")
    if (pack / PLAN).read_bytes() != canonical_json(plan) + b"\n":
        raise _Broken(f"{PLAN} is not the plan of the first event")
    names = document_names(plan)
    for name, source in names:
        if sha256_of(pack / name) != source.sha256:
            raise _Broken(f"{name} is not the document that the plan was made from")
    if {name for name in names_in(pack) if name.startswith(f"{DOCUMENTS}/")} != {name for name, _ in names}:
        raise _Broken(f"{DOCUMENTS}/ holds documents that the plan was not made from")
    return f"{PLAN} and {len(names)} documents are those of the first event, digest {body.plan_digest}"


def _approvals(chain: _Chain) -> str:
    count, wrong = approvals(_readable(chain))
    if wrong:
        raise _Broken(_few(wrong))
    return f"{count} signed approvals are of who may, for this run and plan" if count else "no approval was signed"


def _outputs(pack: Path, names: Sequence[str], chain: _Chain) -> str:
    wanted = sums_of_outputs(_readable(chain))
    there = {name.removeprefix(f"{OUTPUTS}/") for name in names if name.startswith(f"{OUTPUTS}/")}
    wrong = [f"{name} is no output of this run" for name in sorted(there - set(wanted))]
    wrong += [f"{sum_} was changed" for sum_ in sorted(there) if sha256_of(pack / OUTPUTS / sum_) != sum_]
    told = set(json.loads((pack / ABOUT).read_bytes()).get("outputs_not_kept", []))
    wrong += [f"{sum_} is not there" for sum_ in sorted(set(wanted) - there - told)]
    if wrong:
        raise _Broken(_few(wrong))
    left = set(wanted) - there
    return f"{len(there)} outputs are what their names say" + (f"; {len(left)} were not kept" if left else "")


def _report(pack: Path, chain: _Chain) -> str:
    events = _readable(chain)
    text = (pack / f"{REPORT}.json").read_bytes()
    try:
        told = json.loads(text)
        now = datetime.fromisoformat(told["made_at"])
        made = json_report.as_object(summarise(events, now=now))
        wrong = [key for key in _TOLD if told.get(key) != made[key]]
        wrong += [key for key in _TOLD_SINCE if key in told and told[key] != made[key]]
        wrong += [
            f"{name} {key}" for name in ("rto", "rpo") for key in _TOLD_OF_OBJECTIVES
            if told[name].get(key) != made[name][key]
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _Broken(f"{REPORT}.json is no report of such a run") from None
    if wrong:
        raise _Broken(f"{REPORT}.json says otherwise than the events: {_few(wrong)}")
    return "its verdict, clocks, objectives, circumstances and trend are those of the events"


def _findings(pack: Path, chain: _Chain) -> str:
    plan = fold_all(_readable(chain)[:1]).the_plan
    if not (pack / FINDINGS).is_file():
        raise _NotChecked(f"there is no {FINDINGS}, as in packs of older drctls: they are what the signer says")
    try:
        told = json.loads((pack / f"{REPORT}.json").read_bytes())
        made_at = datetime.fromisoformat(told["made_at"])
        said = _findings_of(told)
    except (DocumentError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _Broken(f"{REPORT}.json is no report of such a run") from None
    count, wrong = findings((pack / FINDINGS).read_bytes(), said, made_at=made_at, timezone=plan.timezone)
    if wrong:
        raise _Broken(_few(wrong))
    return f"the findings are those of {count} notes" if count else "there are none, and no notes of any"


def _findings_of(told: JsonObject) -> tuple[Finding, ...]:
    return tuple(from_json(Finding, finding) for finding in told["findings"])


def _pages(pack: Path, chain: _Chain) -> str:
    """Every text of the pack made anew. Findings are in no event: they are taken as report.json has them."""
    events = _readable(chain)
    try:
        about = json.loads((pack / ABOUT).read_bytes())
        told = json.loads((pack / f"{REPORT}.json").read_bytes())
        by = about["drctl_version"]
        if by != __version__:
            raise _NotChecked(f"they were written by drctl {by}, and this one is {__version__}: compare them with that")
        summary = replace(
            summarise(events, now=datetime.fromisoformat(told["made_at"])),
            findings=_findings_of(told),
        )
        made = texts_of(summary, [str(sum_) for sum_ in about["outputs_not_kept"]])
    except (DocumentError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _Broken(f"{REPORT}.json or {ABOUT} is not what such a run has") from None
    wrong = [name for name, text in made.items() if (pack / name).read_bytes() != text.encode()]
    if wrong:
        raise _Broken(f"made anew from the events they are others: {_few(wrong)}")
    return f"{len(made)} texts are those of the events, word for word"


def _heads(chain: _Chain, trust: Trust) -> str:
    if trust.published is None and not trust.heads:
        raise _NotChecked("without them nobody sees whether the signer wrote the chain anew: --heads FILE, --head SUM")
    wrong = [f"{head} is no head of this chain" for head in trust.heads if not _has(chain.sums, head)]
    run_id = chain.events[0].run_id if chain.events else ""
    published = published_heads(trust.published or "", run_id)
    signers: list[str] = []
    for head in published:
        count = head.events
        if count > len(chain.sums):
            wrong.append(f"a head over {count} events was published, and there are {len(chain.sums)}: the tail was cut")
        elif chain.sums[count - 1 : count] != [head.sha256]:
            wrong.append(f"the published head over {count} events is another: the chain was written anew")
        if head.signature:
            try:
                signers.append(signer_of(head, run_id, allowed_signers=trust.allowed_signers))
            except BadSignature as error:
                wrong.append(f"the published head over {count} events ({NAMESPACE_OF_HEADS}): {error}")
    if trust.published is not None and not published:
        wrong.append("no head of this run was published there")
    if wrong:
        raise _Broken(_few(wrong))
    signed = f"; {len(signers)} are signed by {', '.join(dict.fromkeys(signers))}" if signers else ""
    return f"the chain has all {len(published) + len(trust.heads)} of them{signed}"


def _has(sums: Sequence[str], head: str) -> bool:
    return any(sum_.startswith(head) for sum_ in sums)


def _few(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - 5} more" if len(texts) > 5 else ""
    return "; ".join(texts[:5]) + more
