#!/usr/bin/python3 -I
"""Sends the application's database traffic to another server.

usage: repoint ADDRESS   from now on and after a reboot, sessions go to ADDRESS; the old ones are ended
       repoint --drain   new sessions are refused, and those that there are end within five seconds or are ended
       repoint --resume  they go to where they went before
       repoint --show    print where they go now

The new address is written to HAProxy's configuration first and given to the running HAProxy second, so a crash
in between heals at its next start.
"""

import ipaddress
import os
import re
import socket
import sys
import time

CONFIGURATION = "/etc/haproxy/haproxy.cfg"
SOCKET = "/run/haproxy/admin.sock"
SERVER = re.compile(r"^(\s*server current )(\S+):5432\b", re.MULTILINE)


def tell(command: str) -> str:
    """One command to the running HAProxy; its answer. Raises OSError when none runs."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(5)
        link.connect(SOCKET)
        link.sendall(command.encode() + b"\n")
        link.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: link.recv(4096), b"")).decode(errors="replace")


def running_target() -> str:
    """The address that the running HAProxy sends sessions to."""
    for line in tell("show servers state database").splitlines():
        fields = line.split()
        if len(fields) > 4 and fields[3] == "current":
            return fields[4]
    raise OSError("HAProxy does not know the server database/current")


def sessions() -> int:
    """How many sessions are open on the database server."""
    rows = [line.split(",") for line in tell("show stat").splitlines() if line]
    column = rows[0].index("scur")
    return next(int(row[column]) for row in rows if row[:2] == ["database", "current"])


def resume() -> None:
    """Let new sessions in."""
    tell("set server database/current state ready")


def drain() -> None:
    """Refuse new sessions, and wait until the others have ended."""
    # Not `set maxconn frontend database 0`, which would let them wait: HAProxy 2.6 hangs when it is raised again.
    tell("set server database/current state maint")
    until = time.monotonic() + 5
    while sessions() and time.monotonic() < until:
        time.sleep(0.05)
    tell("shutdown sessions server database/current")
    sys.stdout.write("no session is open, and new ones are refused\n")


def repoint(address: str) -> None:
    with open(CONFIGURATION, encoding="utf-8") as file:
        text = file.read()
    new, count = SERVER.subn(rf"\g<1>{address}:5432", text)
    if count != 1:
        raise SystemExit(
            f"repoint: {CONFIGURATION} has {count} lines 'server current', 1 is needed; nothing was changed"
        )
    with open(CONFIGURATION + ".new", "w", encoding="utf-8") as file:
        file.write(new)
        file.flush()
        os.fsync(file.fileno())
    os.replace(CONFIGURATION + ".new", CONFIGURATION)
    try:
        tell(f"set server database/current addr {address} port 5432")
        tell("shutdown sessions server database/current")
        resume()
        target = running_target()
    except OSError as error:
        raise SystemExit(f"repoint: HAProxy does not answer ({error}); it will use {address} when it starts") from error
    if target != address:
        raise SystemExit(f"repoint: HAProxy still sends the traffic to {target}")
    sys.stdout.write(f"database traffic goes to {target}:5432\n")


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    if os.geteuid() != 0:
        os.execv("/usr/bin/sudo", ["sudo", "-n", "--", *sys.argv])  # noqa: S606 (no shell is meant)
    if sys.argv[1] == "--show":
        sys.stdout.write(f"{running_target()}\n")
        return
    if sys.argv[1] == "--drain":
        drain()
        return
    if sys.argv[1] == "--resume":
        resume()
        sys.stdout.write(f"sessions go to {running_target()} again\n")
        return
    try:
        address = str(ipaddress.IPv4Address(sys.argv[1]))
    except ValueError:
        raise SystemExit(f"repoint: {sys.argv[1]!r} is not an IPv4 address; nothing was changed") from None
    repoint(address)


if __name__ == "__main__":
    main()
