"""The application's door and the monitor: what the edge and the operator's host run, and what they remember."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

from drctl.errors import LabError
from drctl.lab.commands import wait_until
from drctl.lab.database import Passwords
from drctl.lab.disk import Disk, shipped_text
from drctl.lab.host import Host
from drctl.lab.topology import DRILL_DATABASES, DRILL_EDGE, INITIAL_PRIMARY, LOAD_LOG, Settings


def write_edge(disk: Disk, passwords: Passwords) -> None:
    """HAProxy in front of the application, and in front of the first primary."""
    first = DRILL_DATABASES[0] if disk.spec.name == DRILL_EDGE else INITIAL_PRIMARY
    address = disk.settings.address(first)
    disk.write("/etc/haproxy/haproxy.cfg", shipped_text("haproxy.cfg").replace("ADDRESS", address))
    disk.write_for_taskflow("/var/lib/taskflow/.pgpass", f"127.0.0.1:6432:*:taskflow:{passwords.taskflow}\n")


def health_url(settings: Settings) -> str:
    """Where the application says whether it can write."""
    return f"{settings.door}/health"


def health(settings: Settings, *, timeout: float = 4.0) -> dict[str, object]:
    """Ask the application, from this machine, the way drctl does. Raises LabError unless it answers 200."""
    try:
        # No proxy of the machine's: the lab's addresses mean nothing to it.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(health_url(settings), timeout=timeout) as response:
            answer: dict[str, object] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        reason = error.read(400).decode(errors="replace").strip()
        raise LabError(f"the application cannot write: {error.code} {reason}", where=health_url(settings)) from error
    except (OSError, ValueError) as error:
        raise LabError(f"the application does not answer: {error}", where=health_url(settings)) from error


def wait_healthy(settings: Settings, *, within: float = 20.0) -> None:
    """Wait until the application writes a row; ``within`` is in seconds. Raises LabError with the last reason."""
    last: list[LabError] = []

    def healthy() -> bool:
        try:
            health(settings)
        except LabError as error:
            last[:] = [error]
            return False
        return True

    if not wait_until(healthy, within=within, every=0.1):
        raise last[0]


def target(edge: Host) -> str:
    """The address of the database server that the application's sessions go to."""
    return edge.execute(["/opt/taskflow/bin/repoint", "--show"], timeout=10).stdout.strip()


@dataclass(frozen=True)
class LoadResult:
    """How many rows were asked for, and how many of them were acknowledged."""

    asked: int
    acknowledged: int


def load_words(seconds: float, rate: float) -> list[str]:
    """The monitor's words for a bounded, faster writer with a log of its own."""
    words = ["/opt/taskflow/bin/heartbeat", "--seconds", f"{seconds:g}", "--rate", f"{rate:g}"]
    return [*words, "--log", LOAD_LOG, "--failures", LOAD_LOG.replace("acknowledged", "failures")]


def load(operator: Host, *, seconds: float, rate: float) -> LoadResult:
    """Write ``rate`` rows a second for so many seconds, and wait for the end."""
    done = operator.execute(load_words(seconds, rate), user="taskflow", timeout=seconds + 30)
    return LoadResult(**json.loads(done.stdout))


def start_load(operator: Host, *, seconds: float, rate: float) -> None:
    """The same without waiting: it ends by itself."""
    operator.start(load_words(seconds, rate), user="taskflow", log="/var/log/taskflow/load.log")
