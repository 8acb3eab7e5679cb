"""The smaller parts of a step, as they are written → as they are carried out."""

from __future__ import annotations

from collections.abc import Mapping

from drctl.model.actions import HttpText
from drctl.model.plan import Http, Retry
from drctl.model.promises import Carries
from drctl.model.runbook import VolumeText
from drctl.plan.names import StepNames
from drctl.plan.scope import Scope
from drctl.read.link import Linked
from drctl.read.lint_conditions import captured_text
from drctl.read.lint_inputs import input_text
from drctl.read.walk import Path, Placed


def conditions(step: Linked, captured: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The values that decide whether a step runs, with the texts that they must have, as the run will compare them.

    An input of a called runbook has that call's name before its own: ``move/size``. An undo has no condition, as it
    concerns only what was begun.
    """
    if step.undoes is not None:
        return ()
    found: dict[tuple[str, str], None] = {}
    for frame, _, when in step.conditions():
        inputs = frame.document.value.inputs
        for name, text in when.items():
            if name in inputs:
                found[frame.prefix + name, input_text(inputs[name].type, text)] = None
            else:
                found[name, captured_text(captured[name], text)] = None
    return tuple(found)


def request(http: HttpText, path: Path, names: StepNames) -> Http:
    """A request with its url filled in."""
    return Http(
        url=names.text((*path, "url"), http.url),
        method=http.method,
        expect_status=http.expect.status,
        expect_json=tuple(http.expect.json_.items()),
    )


def carries(written: str | VolumeText | None, scope: Scope) -> Carries | None:
    """What a step carries; a size or a rate that the inventory does not say, or not as a number, is not known."""
    if written is None:
        return None
    if not isinstance(written, VolumeText):
        return Carries()
    return Carries(
        size=written.size or "",
        size_bytes=_number(written.size, scope),
        mb_per_s=_number(written.mb_per_s, scope),
    )


def _number(name: str | None, scope: Scope) -> float | None:
    value = scope.common(name) if name is not None else None
    try:
        number = float(value.text) if value is not None and value.text else 0.0
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


def retry_of(placed: Placed) -> Retry:
    """How often a step is tried; once unless it says."""
    retry = placed.step.retry
    if retry is None:
        return Retry()
    return Retry(attempts=retry.attempts, delay_s=retry.delay, backoff=retry.backoff, max_delay_s=retry.max_delay)
