"""Plans that were saved, and plans of runs, beside what the documents say now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from drctl import __version__
from drctl.errors import DocumentError, DrctlError, UsageError

if TYPE_CHECKING:
    from drctl.cli.settings import Settings
    from drctl.model.plan import Mode, Plan
    from drctl.plan.compare import Comparison

_UNTOUCHED = "nothing was connected to and nothing was changed"


def load(path: Path) -> Plan:
    """The plan in a file that ``drctl plan -o`` wrote.

    Raises:
        UsageError: when the file cannot be read.
        DocumentError: when it is no saved plan, or not as it was saved.
    """
    from drctl.plan.saved import parse_saved

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        hint = "to save a plan: drctl plan RUNBOOK SERVICE -o plan.json"
        raise UsageError(f"{path} cannot be read: {why}", state=_UNTOUCHED, hint=hint) from None
    return parse_saved(text, str(path))[0]


def fresh(path: Path, *, mode: Mode) -> Plan:
    """The plan in a file, to be carried out in that mode, when its documents are still what they were.

    Raises:
        UsageError: when the file cannot be read.
        DocumentError: when it is no saved plan, or the runbook, the inventory or what they make has changed since.
    """
    from drctl.plan.saved import in_mode
    from drctl.screens.comparison import comparison_text

    saved = load(path)
    again = f"to look at what would run now, and save it: drctl plan {saved.runbook} {saved.service} -o {path}"
    try:
        found = with_now(saved)
    except DrctlError as error:
        raise DocumentError(
            f"the plan in {path} cannot be made any more: {error.message}",
            where=error.where,
            state=_UNTOUCHED,
            hint=error.hint or again,
        ) from None
    if not found.same:
        difference = comparison_text(found, before=f"the plan in {path}", after="the documents now")
        raise DocumentError(f"the plan in {path} is stale\n{difference}".rstrip(), state=_UNTOUCHED, hint=again)
    return in_mode(saved, mode)


def with_now(plan: Plan) -> Comparison:
    """What the plan's own documents, read again, would make of the same order.

    Raises:
        DrctlError: when they make no plan at all any more.
    """
    from drctl.cli.plan import make
    from drctl.plan.compare import compare

    declared = {v.name: v.text for v in plan.inputs if v.text and v.name != "service" and "/" not in v.name}
    now = make(
        runbook=plan.runbook_source.path,
        service=plan.service,
        inventory=Path(plan.inventory_source.path),
        inputs=declared,
        mode=plan.mode,
        version=__version__,
    )
    return compare(plan, now)


def of_run(settings: Settings, part: str) -> tuple[str, Plan]:
    """The run of that id, or of that end of one, and the plan that it carried out.

    Raises:
        JournalError: when there is no such run.
    """
    from drctl.cli.open_runs import state_of

    journal = settings.journal()
    try:
        run_id = journal.find(part)
        return run_id, state_of(journal, run_id).the_plan
    finally:
        journal.close()
