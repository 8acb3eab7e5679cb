"""``drctl evidence``: a run's evidence in a signed pack, and the check of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli import completion
from drctl.cli.default_verb import DefaultVerb
from drctl.cli.settings import Settings
from drctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from drctl.report.pack import Packed
    from drctl.report.pack_check import Trust, Verified

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class _PackUnlessSaid(DefaultVerb):
    default = "pack"


app = typer.Typer(
    cls=_PackUnlessSaid,
    help="A run's evidence in a pack that an auditor checks alone; drctl evidence RUN is drctl evidence pack RUN.",
)


@app.command("pack")
def pack(
    context: typer.Context,
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]", help="The run's id, or its end; else the newest.", autocompletion=completion.runs
        ),
    ] = "",
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR_OR_TAR", help="A new directory, .tar or .tar.gz.")
    ] = "",
    key: Annotated[
        str, typer.Option("--key", metavar="SSHKEY", envvar="DRCTL_EVIDENCE_KEY", help="The SSH key that signs it.")
    ] = "",
    json: Json = False,
) -> int:
    """Write the evidence of a run: events, plan, documents, outputs and reports, with one signed list of their sums.

    Examples:

      drctl evidence 4f2a --key ~/.ssh/id_ed25519

      drctl evidence 4f2a -o evidence.tar --key ~/.ssh/id_ed25519
    """
    from drctl.adapters.clock import SystemClock
    from drctl.adapters.outputs import OutputStore
    from drctl.report.pack import Kept
    from drctl.report.pack import pack as write

    settings: Settings = context.obj
    journal = settings.journal()
    try:
        run_id = journal.find(run or None)
        packed = write(
            Kept(journal=journal, outputs=OutputStore(settings.outputs), ledger=settings.ledger()),
            run_id,
            target=Path(output or f"evidence-{run_id}").expanduser(),
            key=Path(key).expanduser() if key else None,
            now=SystemClock().now(),
        )
    finally:
        journal.close()
    typer.echo(_packed_json(packed) if json else packed.path)
    for line in _warnings(packed):
        typer.echo(line, err=True)
    return ExitCode.DONE


@app.command("verify")
def verify(
    pack: Annotated[str, typer.Argument(metavar="PACK", help="The directory or the tar file.")],
    allowed_signers: Annotated[
        str, typer.Option("--allowed-signers", metavar="FILE", help="Whose keys you trust, as ssh-keygen reads it.")
    ],
    identity: Annotated[
        str, typer.Option("--identity", metavar="NAME", help="Who must have signed; else anyone of the file.")
    ] = "",
    heads: Annotated[
        str, typer.Option("--heads", metavar="FILE", help="Where heads were published while the run went on.")
    ] = "",
    head: Annotated[
        list[str] | None, typer.Option("--head", metavar="SUM", help="A head that you know, as from a notification.")
    ] = None,
    json: Json = False,
) -> int:
    """Check a pack: every file, the signature, the chain of events, and whether plan, outputs and report fit them.

    Exit code 9 says that something does not hold; each check is listed.

    Example: drctl evidence verify evidence.tar --allowed-signers auditors/allowed_signers --heads heads.jsonl
    """
    from drctl.report import pack_check
    from drctl.report.pack_files import opened

    with opened(Path(pack).expanduser()) as room:
        found = pack_check.verify(room, _trust(allowed_signers, identity, heads, tuple(head or ())))
    typer.echo(_verified_json(found) if json else _verified_text(found))
    return ExitCode.DONE if found.holds else ExitCode.EVIDENCE_BROKEN


def _trust(allowed_signers: str, identity: str, heads: str, head: tuple[str, ...]) -> Trust:
    from drctl.report.pack_check import Trust
    from drctl.report.pack_heads import usable_head

    return Trust(
        allowed_signers=_text_of("allowed signers", allowed_signers),
        identity=identity,
        heads=tuple(usable_head(text) for text in head),
        published=_text_of("published heads", heads) if heads else None,
    )


def _text_of(what: str, path: str) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8", "replace")
    except OSError as error:
        raise UsageError(
            f"the {what} {path} cannot be read: {error.strerror}", hint="drctl evidence verify --help"
        ) from None


def _warnings(packed: Packed) -> list[str]:
    said = []
    if packed.ongoing:
        said.append("warning: THE RUN IS NOT OVER: the pack holds its events up to now, and no more")
    if not packed.signed:
        said.append("warning: it is not signed, so that anybody can have made it; drctl evidence RUN --key SSHKEY")
    if packed.missing:
        said.append(
            f"warning: {len(packed.missing)} outputs are not on the disk any more; their sums are in the events"
        )
    said.append(f"{packed.events} events, head {packed.head}; to check it, read {packed.path}/README.md or type")
    said.append(f"drctl evidence verify {packed.path} --allowed-signers FILE")
    return said


def _packed_json(packed: Packed) -> str:
    import json

    from drctl.plan.codec import to_json

    return json.dumps(to_json(packed), sort_keys=True)


def _verified_text(found: Verified) -> str:
    from drctl.report.harmless import one_line
    from drctl.report.pack_checks import Result

    words = {Result.HOLDS: "holds", Result.BROKEN: "BROKEN", Result.NOT_CHECKED: "not checked"}
    lines = [f"{words[c.result]:<12} {c.name:<16} {one_line(c.text)}" for c in found.checks]
    if found.ongoing:
        lines.append("THE RUN IS NOT OVER in these events: it went on after the pack was made, or drctl died")
    said = "the evidence holds" if found.holds else "THE EVIDENCE DOES NOT HOLD"
    return "\n".join([*lines, f"{said}: {one_line(found.run_id) or 'no run'}"])


def _verified_json(found: Verified) -> str:
    import json

    from drctl.plan.codec import to_json

    return json.dumps({**to_json(found), "holds": found.holds}, sort_keys=True)
