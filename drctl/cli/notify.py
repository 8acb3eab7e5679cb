"""``drctl notify``: does a message arrive, before anybody needs it to?"""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.begin import Inventory
from drctl.errors import DocumentError, ExitCode, UsageError

if TYPE_CHECKING:
    from drctl.adapters.deliver import Deliverer, Delivery
    from drctl.model.messages import Notifier
    from drctl.plan.build import InventoryDocument

app = typer.Typer(help="Who is told of a run, and whether a message arrives.", no_args_is_help=True)


@app.command("test")
def send_test(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NOTIFIER]...", help="Which of them; else all of the inventory.")
    ] = None,
    inventory: Inventory = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Send a message that says TEST to each notifier, once, and say what became of it.

    Exit code 1 when one of them is not known to have arrived.

    Example: drctl notify test pager --inventory inventories/example.yml
    """
    from drctl.model.messages import Fate

    chosen = _chosen(_document(inventory), names or [])
    with ThreadPoolExecutor(max_workers=16) as pool:
        found = list(pool.map(_sent, chosen))
    if json:
        rows = [
            {"notifier": notifier.name, "fate": delivery.fate.value, "detail": delivery.detail}
            for notifier, delivery in zip(chosen, found, strict=True)
        ]
        typer.echo(jsonlib.dumps(rows, indent=2))
    else:
        for notifier, delivery in zip(chosen, found, strict=True):
            fate = delivery.fate.value if delivery.fate is Fate.DELIVERED else delivery.fate.value.upper()
            typer.echo(f"{fate:<10} {notifier.name:<20} {delivery.detail or notifier.way}")
    return ExitCode.DONE if all(d.fate is Fate.DELIVERED for d in found) else ExitCode.STEP_FAILED


def looked_at(notifier: Notifier) -> Delivery:
    """Whether the notifier looks as if it could be told; nothing is sent."""
    return _deliverer().could(notifier, left_s=_within(notifier))


def _within(notifier: Notifier) -> Callable[[], float]:
    import time

    until_s = time.monotonic() + notifier.timeout_s
    return lambda: until_s - time.monotonic()


def _deliverer() -> Deliverer:
    import os

    from drctl.adapters.deliver import Deliverer
    from drctl.adapters.redact import Redactor
    from drctl.adapters.secrets import SecretResolver

    redactor = Redactor()
    return Deliverer(SecretResolver(redactor), redactor=redactor, environ=os.environ)


def _document(inventory: Path | None) -> InventoryDocument:
    from drctl.read.documents import read_inventory
    from drctl.read.find import find_inventory

    path = find_inventory(inventory)
    document, problems = read_inventory(path)
    if document is None:
        raise DocumentError(f"{path} has {len(problems)} problems", hint=f"drctl validate {path}")
    return document


def _chosen(document: InventoryDocument, names: list[str]) -> list[Notifier]:
    from drctl.plan.build import notifiers_in
    from drctl.read.suggest import did_you_mean, listed

    known = {notifier.name: notifier for notifier in notifiers_in(document)}
    if not known:
        raise UsageError(f"{document.file} names no notifier", state="nothing was sent", hint="add one below notify:")
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no notifier {name!r}{did_you_mean(name, known)}",
                state="nothing was sent",
                hint=f"notifiers: {listed(list(known))}",
            )
    return [known[name] for name in names] if names else list(known.values())


def _sent(notifier: Notifier) -> Delivery:
    from drctl.adapters.clock import SystemClock
    from drctl.cli.settings import operator
    from drctl.engine.messages import Message
    from drctl.model.messages import Moment

    made = Message(
        moment=Moment.STARTED,
        title="TEST: a message of drctl, and no outage",
        text=f"TEST: sent by {operator()} to see whether {notifier.name} arrives. Nothing is to be done.",
        run_id="",
        service="",
        mode="test",
        events=0,
        head="",
    )
    return _deliverer().deliver(notifier, made, at=SystemClock().now(), left_s=_within(notifier))
