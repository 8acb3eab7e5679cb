"""What a plan needs of a site that is assumed down, for a person and for a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drctl.model.events import JsonObject
from drctl.plan.assume_down import Need
from drctl.plan.codec import to_json
from drctl.report.harmless import one_line


def assumption_text(found: Sequence[Need], *, site: str, plan: str) -> str:
    """A line for each need, what refuses first, and the verdict."""
    return "\n".join(_lines(found, site=site, plan=plan)) + "\n"


def assumption_json(found: Sequence[Need], *, site: str, plan: str) -> JsonObject:
    """The same for programs."""
    return {
        "type": "assume_down",
        "site": site,
        "plan": plan,
        "refused": any(need.refused for need in found),
        "needs": to_json(tuple(found)),
    }


def _lines(found: Sequence[Need], *, site: str, plan: str) -> Iterator[str]:
    refused = [need for need in found if need.refused]
    yield f"ASSUME DOWN {site}: {plan}"
    for title, needs in (
        ("it could not be carried out, because of", refused),
        ("needed, and the run goes on all the same", [n for n in found if not n.refused and n.kind != "mention"]),
        ("spoken of", [n for n in found if n.kind == "mention"]),
    ):
        if needs:
            yield f"  {title}:"
            width = max(len(need.step or "the run") for need in needs)
            yield from (f"    {need.step or 'the run':<{width}}  {one_line(need.what)}: {need.why}" for need in needs)
    if refused:
        yield f"REFUSED: {len(refused)} {'need' if len(refused) == 1 else 'needs'} of {site} cannot be met"
    else:
        yield f"nothing that it cannot do without is at {site}"
