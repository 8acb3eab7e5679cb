"""The forecast of a plan, from this machine's journal."""

from __future__ import annotations

from drctl.cli.settings import Settings
from drctl.errors import DrctlError
from drctl.model.events import ForecastMade
from drctl.model.plan import Plan


def forecast_of(settings: Settings, plan: Plan) -> ForecastMade | None:
    """What is to be expected of a run of this plan; None when the journal cannot be read."""
    from drctl.adapters.history import history
    from drctl.model.words import Mark

    if not any(step.mark is Mark.SERVICE_RESTORED for step in plan.steps()):
        return None  # nothing is restored by it
    from drctl.engine.forecast import History, forecast

    if not settings.journal_path.exists():
        return forecast(plan, History())  # to look at a plan makes no journal
    try:
        journal = settings.journal()
    except DrctlError:
        return None
    try:
        return forecast(plan, history(journal, plan.drill_of or plan.service))
    except DrctlError:
        return None
    finally:
        journal.close()
