"""The first process of a host of the loopback tier: starts the host's services, keeps those running that have to, and
takes over whatever loses its parent, so that all of the host is in one tree. It ends when it is killed.

usage: init.py HOST.JSON
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None, use_errno=True)


def end_with_parent() -> None:
    """Runs in a child: a host whose first process was killed by somebody else leaves no service behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(service: "dict[str, Any]") -> int:
    with open(service["log"], "ab") as log:
        child = subprocess.Popen(
            service["argv"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            preexec_fn=end_with_parent,  # noqa: PLW1509 (there are no threads)
        )
    return child.pid


def wait_for(address: str, port: int) -> None:
    while True:
        with socket.socket() as one:
            if one.connect_ex((address, port)) == 0:
                return
        time.sleep(0.01)


def main() -> None:
    place = Path(sys.argv[1])
    host = json.loads(place.read_text())
    if LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1) != 0:
        raise SystemExit(f"this kernel lets no process take over orphans: {os.strerror(ctypes.get_errno())}")
    running = {start(service): service for service in host["services"]}
    wait_for(*host["ssh"])
    place.with_name("booted").touch()
    while True:
        ended, _ = os.wait()
        service = running.pop(ended, None)
        if service and service["again"]:
            time.sleep(1)
            running[start(service)] = service


if __name__ == "__main__":
    main()
