"""The evidence pack: a run's events, plan, documents, outputs and reports, with one list of sums that is signed.

``events.jsonl`` holds, line by line, exactly the text that the chain's sha256 are over: the sum of a line without its
newline is the next line's ``previous``. So ``sha256sum``, ``ssh-keygen`` and ten lines of Python check all of it.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drctl import __version__
from drctl.adapters.journal import JournalFile
from drctl.adapters.ledger import Ledger, line_of
from drctl.adapters.outputs import OutputStore
from drctl.adapters.signatures import sign
from drctl.engine.fold import fold_all
from drctl.errors import DrctlError, UsageError
from drctl.model.events import AttemptFinished, Event
from drctl.model.plan import Plan, Source
from drctl.model.units import format_instant
from drctl.plan.codec import canonical_json
from drctl.report import html, markdown, pack_readme
from drctl.report import json as json_report
from drctl.report.corrective import notes_of, with_findings
from drctl.report.facts import Summary
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
    README,
    REPORT,
    SIGNATURE,
    is_tar,
    names_in,
    sha256_of,
    write_tar,
)
from drctl.report.summary import summarise


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """All that a state directory keeps."""

    journal: JournalFile
    outputs: OutputStore
    ledger: Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What was written, and what the reader must know of it."""

    path: str
    run_id: str
    events: int
    head: str
    signed: bool
    ongoing: bool
    missing: tuple[str, ...]  # sums of outputs that were not kept
    manifest_sha256: str


def pack(kept: Kept, run_id: str, *, target: Path, key: Path | None, now: datetime) -> Packed:
    """Write the evidence of a run to a directory or a tar file that is not there yet.

    Raises:
        UsageError: when something is there already, or there is no such key.
        JournalError: when the journal cannot be read, or its chain is broken.
        DrctlError: when it cannot be written or signed. Then nothing of it is left behind.
    """
    if target.exists() or target.is_symlink():
        raise UsageError(
            f"{target} is there already", state="nothing was written", hint="name another place with -o DIR_OR_TAR"
        )
    ledger, outputs = kept.ledger, kept.outputs
    events = tuple(kept.journal.events(run_id))
    lines = list(kept.journal.lines(run_id))[: len(events)]
    name = re.sub(r"(\.tar|\.tar\.gz|\.tgz)\Z", "", target.name)
    try:
        with tempfile.TemporaryDirectory(prefix=".drctl-evidence-", dir=target.parent) as place:
            room = Path(place) / name
            room.mkdir(mode=0o700)
            summary = with_findings(summarise(events, now=now), ledger)
            _write(room / EVENTS, b"".join(line + b"\n" for line in lines))
            missing = _outputs(room, events, outputs)
            _documents(room, fold_all(events).the_plan)
            for file, text in texts_of(summary, missing).items():
                _write(room / file, text.encode())
            _write(room / FINDINGS, b"".join(line_of(note) + b"\n" for note in notes_of(summary.findings, ledger)))
            _write(room / HEAD, f"{summary.chain.events} {summary.chain.head}\n".encode())
            _manifest(room)
            if key is not None:
                signature = sign((room / MANIFEST).read_text(), key=key, namespace=NAMESPACE)
                _write(room / SIGNATURE, signature.encode())
            sums = sha256_of(room / MANIFEST)
            if is_tar(target):
                write_tar(room, Path(place) / target.name, at_s=events[-1].at.timestamp())
                (Path(place) / target.name).chmod(0o600)
                (Path(place) / target.name).rename(target)
            else:
                room.rename(target)
    except OSError as error:
        raise DrctlError(
            f"the evidence pack cannot be written: {error.strerror}", where=str(error.filename or target),
            state="nothing of it is left behind", hint="free some space, or name another place with -o DIR_OR_TAR",
        ) from None  # fmt: skip
    return Packed(
        path=str(target),
        run_id=run_id,
        events=len(events),
        head=events[-1].sha256,
        signed=key is not None,
        ongoing=summary.ongoing,
        missing=missing,
        manifest_sha256=sums,
    )


def document_names(plan: Plan) -> tuple[tuple[str, Source], ...]:
    """The plan's documents under the names that they have in a pack."""
    sources = (plan.runbook_source, *plan.called_sources, plan.inventory_source)
    return tuple(
        (f"{DOCUMENTS}/{number}-{re.sub('[^A-Za-z0-9._-]', '_', Path(source.path).name)}", source)
        for number, source in enumerate(sources, start=1)
    )


def sums_of_outputs(events: Sequence[Event]) -> dict[str, int]:
    """The sha256 and length of every output that the events speak of, those of sensitive steps left out."""
    plan = fold_all(events[:1]).the_plan
    sensitive = {step.id for step in plan.steps() if step.sensitive}
    return {
        output.sha256: output.bytes
        for event in events
        if isinstance(event.body, AttemptFinished) and event.body.step not in sensitive
        for output in (event.body.output, event.body.errors)
        if output is not None and output.bytes
    }


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def _outputs(room: Path, events: Sequence[Event], outputs: OutputStore) -> tuple[str, ...]:
    missing = []
    (room / OUTPUTS).mkdir()
    for sha256 in sums_of_outputs(events):
        kept = outputs.path(sha256)
        if kept.is_file() and sha256_of(kept) == sha256:
            shutil.copyfile(kept, room / OUTPUTS / sha256)
        else:
            missing.append(sha256)
    return tuple(missing)


def _documents(room: Path, plan: Plan) -> None:
    _write(room / PLAN, canonical_json(plan) + b"\n")
    for name, source in document_names(plan):
        _write(room / name, source.text.encode())


def texts_of(summary: Summary, missing: Sequence[str]) -> dict[str, str]:
    """All that a pack says in words, by file: what is in it, how to check it, and the report in its formats.

    Equal summaries make equal texts, so whoever checks a pack makes them anew. ``missing`` are the sums of outputs
    that were not kept.
    """
    about = {
        "format": FORMAT,
        "run_id": summary.run_id,
        "mode": summary.mode.value,
        "headline": summary.headline,
        "ongoing": summary.ongoing,
        "made_at": format_instant(summary.made_at),
        "drctl_version": __version__,
        "outputs_not_kept": list(missing),
    }
    return {
        f"{REPORT}.json": json_report.render(summary),
        f"{REPORT}.html": html.render(summary),
        f"{REPORT}.md": markdown.render(summary),
        README: pack_readme.render(summary, missing=missing),
        ABOUT: json.dumps(about, indent=2, sort_keys=True) + "\n",
    }


def _manifest(room: Path) -> None:
    """One line a file, as ``sha256sum`` writes and reads it."""
    _write(room / MANIFEST, "".join(_sums(room)).encode())


def _sums(room: Path) -> Iterator[str]:
    for name in names_in(room):
        yield f"{sha256_of(room / name)}  {name}\n"
