"""Files to and from hosts."""

from __future__ import annotations

from drctl.engine.ports import CommandResult, Ending, OutputSink
from drctl.model.plan import Endpoint, Transfer


class HostFiles:
    """The engine's ``Files`` port."""

    def transfer(
        self, endpoint: Endpoint, order: Transfer, *, become: str | None, timeout_s: float, output: OutputSink
    ) -> CommandResult:
        """See ``Files.transfer``."""
        return CommandResult(ending=Ending.REFUSED, detail="transfers are not built yet: nothing was sent")
