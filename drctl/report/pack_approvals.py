"""Whether the approvals of a run are what its events say: signed by who may, for this run, this plan and this step."""

from __future__ import annotations

from collections.abc import Sequence

from drctl.adapters.signatures import BadSignature, verify
from drctl.engine.approvals import NAMESPACE, parse
from drctl.model.events import Event, PersonAnswered, RunStarted


def approvals(events: Sequence[Event]) -> tuple[int, list[str]]:
    """How many signed approvals counted in the run, and what is wrong with which of them.

    ``events`` begin with the start of the run, whose plan says who may approve.

    Raises:
        UsageError: when ssh-keygen is not here.
    """
    started = events[0].body
    assert isinstance(started, RunStarted)  # noqa: S101 # the caller has looked
    given = [
        (event, event.body)
        for event in events
        if isinstance(event.body, PersonAnswered) and event.body.answer == "approve"
    ]
    wrong = [
        f"the approval of {body.step}, event {event.sequence}: {why}"
        for event, body in given
        if (why := _objection(event.run_id, body, started))
    ]
    return len(given), wrong


def _objection(run_id: str, body: PersonAnswered, started: RunStarted) -> str:
    if started.plan.allowed_signers is None:
        return "the plan names nobody who may approve"
    try:
        said = parse(body.statement)
        signer = verify(
            body.statement,
            body.signature,
            allowed_signers=started.plan.allowed_signers.text,
            namespace=NAMESPACE,
        )
    except BadSignature as error:
        return str(error)
    except ValueError as error:
        return f"what was signed is no approval: {error}"
    if signer.fingerprint != body.fingerprint:
        return f"it was signed with {signer.fingerprint}, and the event says {body.fingerprint}"
    if (said.run, said.step, said.plan) != (run_id, body.step, started.plan_digest):
        return f"it is for the step {said.step} of the run {said.run} with the plan {said.plan}"
    return ""
