"""systemd units for the programme of exercises."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_SERVICE = """\
[Unit]
Description=Is a disaster-recovery drill due?
Documentation=man:systemd.timer(5)

[Service]
Type=oneshot
ExecStart={program} drill due --inventory {inventory}
"""
_TIMER = """\
[Unit]
Description=Look whether a disaster-recovery drill is due

[Timer]
OnCalendar={when}
Persistent=true

[Install]
WantedBy=timers.target
"""


def units(program: str, inventory: Path, when: str) -> Mapping[str, str]:
    """The units' texts by their names. The service fails when a drill is due, so whatever watches units sees it."""
    words = {"program": _word(program), "inventory": _word(str(inventory))}
    return {
        "drctl-drill-due.service": _SERVICE.format(**words),
        "drctl-drill-due.timer": _TIMER.format(when=when.replace("%", "%%")),
    }


def _word(text: str) -> str:
    """A word of ExecStart as systemd.service(5) quotes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != text or " " in text else text
