"""What a way to a shell must do: take a text on standard input, and give back bytes and a status.

``local.py`` and ``ssh/`` are the two ways. What is sent, and what the answers mean, is the same for both: ``job.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from drctl.engine.ports import Stream

Take = Callable[[Stream, bytes], None]

LINGER_S = 2.0
"""How long output is waited for, in seconds, after the shell itself has ended and something else holds its pipes."""

_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?\Z")


class NotSent(Exception):
    """Nothing was sent. The message is one sentence for people."""


class Unreachable(NotSent):
    """There is no connection."""


class Refused(NotSent):
    """There is somebody, and the answer is no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """How the shell ended: its exit status, or None when that is not known; ``detail`` says why not."""

    status: int | None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """After ``timeout_s`` seconds ``overdue`` is called, once, and the exchange goes on for ``linger_s`` at most."""

    timeout_s: float
    overdue: Callable[[], None]
    linger_s: float = 10.0


class Transport(Protocol):
    """A way to ``sh`` as a user of one machine. Usable from several threads at once."""

    @property
    def label(self) -> str:
        """What people call the machine."""
        ...

    def exchange(self, text: bytes, *, become: str | None, take: Take, limit: Limit) -> Exchanged:
        """Start ``sh -s`` (as ``become``), send the text, hand its output on until it ends.

        Raises:
            Unreachable: no connection; nothing was sent.
            Refused: host key, authentication or the like; nothing was sent.
        """
        ...


def shell_argv(become: str | None, login: str) -> list[str]:
    """The shell that takes the text. ``-n``: a password that sudo asks for would be waited for all night.

    Raises:
        Refused: when ``become`` cannot be a user's name.
    """
    if become is None or become == login:
        return ["sh", "-s"]
    if not _USER.match(become):
        raise Refused(f"{become!r} cannot be the name of a user: nothing was sent")
    return ["sudo", "-n", "-H", "-u", become, "--", "sh", "-s"]
