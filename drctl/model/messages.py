"""Who is told of a run, and of what: values of the inventory, of plans and of events alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Moment(StrEnum):
    """What people are told of while a run goes on."""

    STARTED = "started"  # or resumed
    APPROVAL_ASKED = "approval_asked"
    APPROVAL_GIVEN = "approval_given"  # or refused, or declined
    GLASS_BROKEN = "glass_broken"  # an approval step that was passed without its approvals
    FACT_OVERRIDDEN = "fact_overridden"  # a required fact that a person vouched for
    PERSON_NEEDED = "person_needed"  # another question than an approval
    STEP_FAILED = "step_failed"  # and the runbook does not simply go on
    DEADLINE_NEAR = "deadline_near"
    SERVICE_RESTORED = "service_restored"
    ENDED = "ended"  # or paused


ALERTS = frozenset({Moment.GLASS_BROKEN, Moment.FACT_OVERRIDDEN})
"""What every notifier is told, whatever it says it wants to hear."""


class Fate(StrEnum):
    """What became of a message, as far as it is known."""

    SENT = "sent"  # handed over, and nobody knows whether it came
    DELIVERED = "delivered"  # whoever was given it took it
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifier:
    """A way to tell people. Exactly one of ``url``, ``words`` and ``path`` is set.

    ``url`` is a reference to a secret that holds an Apprise URL; ``words`` are a program and its arguments, which gets
    a line of JSON; ``path`` is a file that gets that line added. ``site`` is where what receives it stands.
    """

    name: str
    url: str | None = None
    words: tuple[str, ...] = ()
    path: str | None = None
    site: str | None = None
    moments: tuple[Moment, ...] = tuple(Moment)
    timeout_s: float = 10.0

    def hears(self, moment: Moment) -> bool:
        """Whether it is told of that."""
        return moment in self.moments or moment in ALERTS

    @property
    def way(self) -> str:
        """How, in words, without anything that is secret."""
        if self.url is not None:
            return f"the URL of {self.url}"
        return f"the command {self.words[0]}" if self.words else f"the file {self.path}"
