"""What all tests share."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import tempfile

import pytest

from tests.support import needs

# A shell that starts the suite in the background has it ignore these, and every program that a test starts would
# inherit that; drctl itself handles them, so that what it starts has them as usual.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# Drawn once, before there are other processes, which inherit them. CI draws the same runbooks each time.
os.environ.setdefault("DRCTL_SEED", "0" if os.environ.get("CI") else str(random.randrange(10**6)))
os.environ.setdefault("DRCTL_CRASH_SEED", str(random.randrange(10**6)))
os.environ.setdefault("DRCTL_TIERS_SEED", str(random.randrange(10**6)))
# What a test remembers is its own, and gone with it.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="drctl-tests-cache-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
_SEEDS = ("DRCTL_SEED", "DRCTL_CRASH_SEED", "DRCTL_TIERS_SEED")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What it takes to draw the same again."""
    terminalreporter.write_line("drawn by " + " ".join(f"{name}={os.environ[name]}" for name in _SEEDS))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in the lab take longest, so they begin: a process takes a file as a whole, and short ones fill the gaps."""
    items.sort(key=lambda item: item.get_closest_marker("lab") is None)
    for item in items:
        if reason := needs.lacking(item):
            item.add_marker(pytest.mark.skip(reason))
