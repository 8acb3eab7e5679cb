"""Heads of chains that were published while runs went on, as an auditor brings them along."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from drctl.adapters.heads import NAMESPACE, head_text
from drctl.adapters.signatures import verify
from drctl.errors import UsageError

__all__ = ["NAMESPACE", "Head", "published_heads", "signer_of", "usable_head"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A head as it was published, with its signature when it has one."""

    events: int
    sha256: str
    signature: str


def published_heads(text: str, run_id: str) -> list[Head]:
    """The heads of one run; lines that are no heads are passed over."""
    found = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
            if row["run_id"] == run_id:
                signature = str(row.get("signature", ""))
                found.append(Head(events=int(row["events"]), sha256=str(row["head"]), signature=signature))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return found


def signer_of(head: Head, run_id: str, *, allowed_signers: str) -> str:
    """Who signed a head.

    Raises:
        BadSignature: when it is nobody of the allowed signers, or another head was signed.
    """
    text = head_text(run_id, head.events, head.sha256)
    return verify(text, head.signature, allowed_signers=allowed_signers, namespace=NAMESPACE).principal


def usable_head(text: str) -> str:
    """A head as a person types it, or reads it out of a notification.

    Raises:
        UsageError: when it is no sha256, nor 16 digits of one.
    """
    head = text.strip().lower()
    if not re.fullmatch("[0-9a-f]{16,64}", head):
        raise UsageError(f"{text!r} is no head of a chain", hint="give its 64 digits, or the first 16 at least")
    return head
