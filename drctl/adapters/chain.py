"""The lines of a journal: what an event is written as, and the text that its sha256 is over.

``docs/reference/journal.md`` has the format.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints

from drctl.model.events import Body
from drctl.plan.codec import from_json

FIRST_PREVIOUS = "0" * 64
_KINDS: dict[str, type[Body]] = {get_type_hints(kind)["type"].__args__[0]: kind for kind in get_args(Body)}


def text_of(instant: datetime) -> str:
    """An instant as the journal writes it."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def canonical(value: object) -> str:
    """JSON that is the same for the same value: sorted keys, no blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def body_of(text: str) -> Body:
    """The event's body from its JSON.

    Raises:
        DocumentError, KeyError, TypeError, ValueError: when it is of no known type, or not of that type's form.
    """
    data = json.loads(text)
    return from_json(_KINDS[data["type"]], data)


def chained(*, run_id: str, sequence: int, at: str, body: str, previous: str) -> bytes:
    """The text that an event's sha256 is over, on one line: canonical JSON, as ``body`` must be already."""
    before, after = canonical({"at": at}), canonical({"previous": previous, "run_id": run_id, "sequence": sequence})
    return f'{before[:-1]},"body":{body},{after[1:]}'.encode("utf-8", "surrogatepass")


def digest_of(*, run_id: str, sequence: int, at: str, body: str, previous: str) -> str:
    """The sha256 that an event must carry; ``body`` is its canonical JSON."""
    line = chained(run_id=run_id, sequence=sequence, at=at, body=body, previous=previous)
    return hashlib.sha256(line).hexdigest()


def redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """The JSON value with every text in it redacted."""
    match value:
        case str():
            return redact(value)
        case list():
            return [redacted(v, redact) for v in value]
        case dict():
            return {k: redacted(v, redact) for k, v in value.items()}
        case _:
            return value
