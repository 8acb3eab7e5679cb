"""Whether an evidence pack is what its signer made of what happened. All that is wrong is said, and not only the first.

Nothing in a pack is believed before it was held against something else: files against the list of sums, the list
against the signature, each event against the one before it, plan, documents, outputs and report against the events,
and the chain against the heads that were published while the run went on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from drctl import __version__
from drctl.adapters.signatures import BadSignature
from drctl.adapters.signatures import verify as verify_signature
from drctl.engine.fold import fold_all
from drctl.errors import DocumentError
from drctl.model.events import JsonObject, RunEnded, RunStarted
from drctl.plan.codec import canonical_json, from_json, plan_digest
from drctl.report import json as json_report
from drctl.report.facts import Finding
from drctl.report.pack import document_names, sums_of_outputs, texts_of
from drctl.report.pack_approvals import approvals
from drctl.report.pack_chain import Chain, read_events, readable
from drctl.report.pack_checks import Broken, Check, NotChecked, Result, checked, few
from drctl.report.pack_files import (
    ABOUT,
    DOCUMENTS,
    EVENTS,
    FINDINGS,
    FORMAT,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What the reader brings along: whose keys are trusted, and the heads that were published."""

    allowed_signers: str  # the text of such a file, as ssh-keygen(1) describes it
    identity: str = ""
    heads: tuple[str, ...] = ()  # sums, or their beginnings of 16 digits at least
    published: str | None = None  # the text of a file that heads of any runs were published to


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


def verify(pack: Path, trust: Trust) -> Verified:
    """Check a pack that was opened (``pack_files.opened``).

    Raises:
        PackError: when it is no pack, or one of a newer drctl.
        UsageError: when ssh-keygen is not here.
    """
    names = names_in(pack)
    _known_format(pack)
    chain = Chain()
    checks = [
        checked("files", lambda: _files(pack, names)),
        checked("signature", lambda: _signature(pack, trust)),
        checked("chain", lambda: read_events(pack, chain)),
        checked("plan", lambda: _plan(pack, chain)),
        checked("approvals", lambda: _approvals(chain)),
        checked("outputs", lambda: _outputs(pack, names, chain)),
        checked("report", lambda: _report(pack, chain)),
        checked("findings", lambda: _findings(pack, chain)),
        checked("pages", lambda: _pages(pack, chain)),
        checked("published heads", lambda: _heads(chain, trust)),
    ]
    ended = isinstance(of_the_run(chain.events)[-1].body, RunEnded) if chain.events else False
    return Verified(
        run_id=chain.events[0].run_id if chain.events else "",
        ongoing=not ended,
        head=chain.sums[-1] if chain.sums else "",
        checks=tuple(checks),
    )


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
            raise Broken(f"{MANIFEST} has a line that is none: {line[:100]!r}")
        listed[name] = sha256
    there = {name for name in names if name not in (MANIFEST, SIGNATURE)}
    wrong = [f"{name} is not there" for name in listed if name not in there]
    wrong += [f"{name} is not in the list" for name in sorted(there - set(listed))]
    wrong += [f"{name} was changed" for name in sorted(there & set(listed)) if sha256_of(pack / name) != listed[name]]
    if wrong:
        raise Broken(few(wrong))
    return f"{len(listed)} files are as {MANIFEST} has them"


def _signature(pack: Path, trust: Trust) -> str:
    if not (pack / SIGNATURE).is_file():
        raise Broken("the pack is not signed: anybody can have made it")
    try:
        signer = verify_signature(
            (pack / MANIFEST).read_text("utf-8", "surrogateescape"),
            (pack / SIGNATURE).read_text("ascii", "replace"),
            allowed_signers=trust.allowed_signers,
            namespace=NAMESPACE,
            identity=trust.identity,
        )
    except BadSignature as error:
        raise Broken(str(error)) from None
    return f"signed by {signer.principal}, {signer.fingerprint}"


def _plan(pack: Path, chain: Chain) -> str:
    body = readable(chain)[0].body
    assert isinstance(body, RunStarted)  # noqa: S101 # readable has looked
    plan = body.plan
    if plan_digest(plan) != body.plan_digest:
        raise Broken("the plan in the first event is not the one whose digest stands beside it")
    if (pack / PLAN).read_bytes() != canonical_json(plan) + b"\n":
        raise Broken(f"{PLAN} is not the plan of the first event")
    names = document_names(plan)
    for name, source in names:
        if sha256_of(pack / name) != source.sha256:
            raise Broken(f"{name} is not the document that the plan was made from")
    if {name for name in names_in(pack) if name.startswith(f"{DOCUMENTS}/")} != {name for name, _ in names}:
        raise Broken(f"{DOCUMENTS}/ holds documents that the plan was not made from")
    return f"{PLAN} and {len(names)} documents are those of the first event, digest {body.plan_digest}"


def _approvals(chain: Chain) -> str:
    count, wrong = approvals(readable(chain))
    if wrong:
        raise Broken(few(wrong))
    return f"{count} signed approvals are of who may, for this run and plan" if count else "no approval was signed"


def _outputs(pack: Path, names: Sequence[str], chain: Chain) -> str:
    wanted = sums_of_outputs(readable(chain))
    there = {name.removeprefix(f"{OUTPUTS}/") for name in names if name.startswith(f"{OUTPUTS}/")}
    wrong = [f"{name} is no output of this run" for name in sorted(there - set(wanted))]
    wrong += [f"{sum_} was changed" for sum_ in sorted(there) if sha256_of(pack / OUTPUTS / sum_) != sum_]
    told = set(json.loads((pack / ABOUT).read_bytes()).get("outputs_not_kept", []))
    wrong += [f"{sum_} is not there" for sum_ in sorted(set(wanted) - there - told)]
    if wrong:
        raise Broken(few(wrong))
    left = set(wanted) - there
    return f"{len(there)} outputs are what their names say" + (f"; {len(left)} were not kept" if left else "")


def _report(pack: Path, chain: Chain) -> str:
    events = readable(chain)
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
        raise Broken(f"{REPORT}.json is no report of such a run") from None
    if wrong:
        raise Broken(f"{REPORT}.json says otherwise than the events: {few(wrong)}")
    return "its verdict, clocks, objectives, circumstances and trend are those of the events"


def _findings(pack: Path, chain: Chain) -> str:
    plan = fold_all(readable(chain)[:1]).the_plan
    if not (pack / FINDINGS).is_file():
        raise NotChecked(f"there is no {FINDINGS}, as in packs of older drctls: they are what the signer says")
    try:
        told = json.loads((pack / f"{REPORT}.json").read_bytes())
        made_at = datetime.fromisoformat(told["made_at"])
        said = _findings_of(told)
    except (DocumentError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Broken(f"{REPORT}.json is no report of such a run") from None
    count, wrong = findings((pack / FINDINGS).read_bytes(), said, made_at=made_at, timezone=plan.timezone)
    if wrong:
        raise Broken(few(wrong))
    return f"the findings are those of {count} notes" if count else "there are none, and no notes of any"


def _findings_of(told: JsonObject) -> tuple[Finding, ...]:
    return tuple(from_json(Finding, finding) for finding in told["findings"])


def _pages(pack: Path, chain: Chain) -> str:
    """Every text of the pack made anew. Findings are in no event: they are taken as report.json has them."""
    events = readable(chain)
    try:
        about = json.loads((pack / ABOUT).read_bytes())
        told = json.loads((pack / f"{REPORT}.json").read_bytes())
        by = about["drctl_version"]
        if by != __version__:
            raise NotChecked(f"they were written by drctl {by}, and this one is {__version__}: compare them with that")
        summary = replace(
            summarise(events, now=datetime.fromisoformat(told["made_at"])),
            findings=_findings_of(told),
        )
        made = texts_of(summary, [str(sum_) for sum_ in about["outputs_not_kept"]])
    except (DocumentError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Broken(f"{REPORT}.json or {ABOUT} is not what such a run has") from None
    wrong = [name for name, text in made.items() if (pack / name).read_bytes() != text.encode()]
    if wrong:
        raise Broken(f"made anew from the events they are others: {few(wrong)}")
    return f"{len(made)} texts are those of the events, word for word"


def _heads(chain: Chain, trust: Trust) -> str:
    if trust.published is None and not trust.heads:
        raise NotChecked("without them nobody sees whether the signer wrote the chain anew: --heads FILE, --head SUM")
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
        raise Broken(few(wrong))
    signed = f"; {len(signers)} are signed by {', '.join(dict.fromkeys(signers))}" if signers else ""
    return f"the chain has all {len(published) + len(trust.heads)} of them{signed}"


def _has(sums: Sequence[str], head: str) -> bool:
    return any(sum_.startswith(head) for sum_ in sums)
