"""Hands one message to a service that Apprise knows. It runs as a process of its own, so that it can be ended.

Everything comes on standard input as JSON, the URL too: other users of this machine can read a process's arguments.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

# The search path comes with the order: a program in one file has none that a new interpreter would know.
PROGRAM = (
    "import json, sys; order = json.load(sys.stdin); sys.path[:] = order['path']; "
    "from drctl.adapters.apprise_child import main; main(order)"
)
_WHY = re.compile(r"\[Errno -?\d+\] ([A-Za-z ]+)|(timed out)")


def main(order: dict[str, Any]) -> None:
    """Do it, and write the answer on standard output: ``delivered``, and ``why`` when it was not."""
    delivered, why = _send(order)
    sys.stdout.write(json.dumps({"delivered": delivered, "why": why}) + "\n")


def _send(order: dict[str, Any]) -> tuple[bool, str]:
    try:
        import apprise
    except ImportError:
        return False, "apprise is not installed: pip install 'drctl[notify]'"
    logging.getLogger(apprise.LOGGER_NAME).setLevel(logging.DEBUG)  # else the system's word for it is not kept
    service = apprise.Apprise()
    if not service.add(order["url"]):
        return False, "apprise does not know such a URL"
    if "text" not in order:
        return True, ""  # it was only asked whether it could
    result = service.notify(
        title=order["title"],
        body=order["text"],
        notify_type=order["kind"],
        body_format=apprise.NotifyFormat.TEXT.value,
        log_level=logging.DEBUG,
    )
    return bool(result), "" if result else _why([(str(entry.level), entry.message) for entry in result.logs()])


def _why(logged: list[tuple[str, str]]) -> str:
    """What it warned of, and the system's own word for it, which it says for debugging only."""
    warned = [message for level, message in logged if level in ("WARNING", "ERROR", "CRITICAL")]
    found = next((match for _, message in logged if (match := _WHY.search(message))), None)
    said = " ".join(warned[-1:]) or "the service refused it"
    return f"{said} ({(found[1] or found[2]).strip()})" if found else said
