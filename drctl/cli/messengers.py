"""Who hears of a run while it goes on: the notifiers and the places for heads, and what is left of both at its end."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from drctl.errors import DrctlError
from drctl.model.plan import Mode, Plan
from drctl.report.harmless import visible

if TYPE_CHECKING:
    from drctl.adapters.heads import HeadPublisher
    from drctl.adapters.notify import Notifications
    from drctl.adapters.redact import Redactor
    from drctl.adapters.secrets import SecretResolver
    from drctl.engine.conduct import Conductor


def add_notifications(
    conductor: Conductor, plan: Plan, *, secrets: SecretResolver, redactor: Redactor
) -> Notifications | None:
    """Have the plan's notifiers hear of the run; None when nobody is told.

    ``conductor`` has the run as it was before this process. A check is no news: nobody is told of one.
    """
    if not plan.notifiers or plan.mode not in (Mode.DRILL, Mode.REAL):
        return None
    from drctl.adapters.deliver import Deliverer
    from drctl.adapters.notify import Notifications

    found = Notifications(
        plan.notifiers,
        Deliverer(secrets, redactor=redactor, environ=os.environ).deliver,
        tell=conductor.inbox.put,
        known=conductor.state,
        now=conductor.world.clock.now,
        clean=lambda text: visible(redactor.clean_text(text)),
    )
    conductor.listeners.append(found)
    return found


def close_notifications(conductor: Conductor, notifications: Notifications | None) -> None:
    """Give what is not delivered yet a limited time, and write down what became of it. The run is over by now."""
    if notifications is None or conductor.state.ended is None:
        return
    try:
        if waiting := notifications.waiting():
            names = ", ".join(waiting)
            sys.stderr.write(f"the run is over; its last messages go to {names}, Ctrl-C leaves them\n")
        notifications.close()
        conductor.afterwards()
    except KeyboardInterrupt:
        sys.stderr.write("left: what became of the last messages is not known\n")
    except DrctlError as error:
        sys.stderr.write(f"warning: what became of the last messages was not written down: {visible(error.message)}\n")


def say_unpublished(heads: HeadPublisher) -> None:
    """What could not be published once the last event was written."""
    for problem in heads.close():
        sys.stderr.write(f"warning: the head of the chain was {visible(problem)}\n")
