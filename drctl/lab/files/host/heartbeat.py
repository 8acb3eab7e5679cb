#!/usr/bin/python3 -I
"""Writes rows through the client's own door, and keeps a log of those that were acknowledged, off the database host.

Each line of the log is ``id<TAB>ts<TAB>acknowledged`` (UTC); it is on the disk before the next row is asked for.
What failed goes to failures.tsv as ``time<TAB>reason``. Without arguments: one row a second, for ever.
"""

import argparse
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

LOGS = "/var/log/taskflow"
DOOR = os.environ.get("TASKFLOW_DOOR", "http://edge")
LOCK = threading.Lock()


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def append(path: str, line: str) -> None:
    with LOCK, open(path, "a", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def beat(log: str, failures: str) -> bool:
    """One row. True when it was acknowledged."""
    try:
        request = urllib.request.Request(f"{DOOR}/heartbeat", data=b"", method="POST")  # noqa: S310 (the lab's)
        with urllib.request.urlopen(request, timeout=4) as response:  # noqa: S310 (the lab's)
            row = json.load(response)
        append(log, f"{row['id']}\t{row['ts']}\t{now()}\n")
        return True
    except urllib.error.HTTPError as error:
        reason = f"{error.code} {error.read(400).decode(errors='replace')}"
    except (OSError, ValueError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}"
    append(failures, f"{now()}\t{' '.join(reason.split())}\n")
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="stop after so many seconds (default: never)")
    parser.add_argument("--rate", type=float, default=1.0, help="rows a second")
    parser.add_argument("--log", default=f"{LOGS}/acknowledged.tsv")
    parser.add_argument("--failures", default=f"{LOGS}/failures.tsv")
    options = parser.parse_args()
    started = time.monotonic()
    tick = 0
    asked = acknowledged = 0
    # One writer for the plain heartbeat; more only where the rate asks for it.
    workers = 1 if options.rate <= 1 else 8
    pending: set[Future[bool]] = set()
    with ThreadPoolExecutor(workers) as pool:
        while options.seconds is None or time.monotonic() - started < options.seconds:
            done = {one for one in pending if one.done()}
            acknowledged += sum(one.result() for one in done)
            pending -= done
            if len(pending) < workers:
                pending.add(pool.submit(beat, options.log, options.failures))
                asked += 1
            # Beats that could not be sent in time are left out, not made up for: a storm after an outage
            # would measure nothing.
            tick = max(tick + 1, int((time.monotonic() - started) * options.rate))
            time.sleep(max(0.0, started + tick / options.rate - time.monotonic()))
        acknowledged += sum(one.result() for one in pending)
    sys.stdout.write(json.dumps({"asked": asked, "acknowledged": acknowledged}) + "\n")


if __name__ == "__main__":
    main()
