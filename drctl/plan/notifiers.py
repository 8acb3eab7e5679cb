"""Who is told of a run, as the inventory says it → as the run does it."""

from __future__ import annotations

from collections.abc import Callable

from drctl.model.inventory import Inventory, NotifierText
from drctl.model.messages import Moment, Notifier


def notifiers_of(inventory: Inventory, beside: Callable[[str], str]) -> tuple[Notifier, ...]:
    """All of them, in order. ``beside`` makes a path that is beside the inventory one that holds anywhere."""
    return tuple(_notifier(written, beside) for written in inventory.notify)


def _notifier(written: NotifierText, beside: Callable[[str], str]) -> Notifier:
    return Notifier(
        name=written.name,
        url=written.url.secret if written.url else None,
        words=tuple(written.command or ()),
        path=beside(written.file) if written.file else None,
        site=written.site,
        moments=tuple(Moment) if written.on is None else tuple(m for m in Moment if m.value in written.on),
        timeout_s=written.timeout,
    )
