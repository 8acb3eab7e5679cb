"""What a test needs of the lab's tier: ``@pytest.mark.needs(needs.LINKS)``. A test without that runs on every tier.

On a tier that lacks one of these the test is skipped, with the reason that stands here, and so is counted. What a
tier lacks are words of ``tiers.LACKS`` or of docs/reference/lab.md: tests/house/test_needs.py.
"""

from __future__ import annotations

import os

import pytest

from drctl.lab import tiers

LIMITS = "limits of memory and processor"
SUDO = "sudo of the machine's own"
LINKS = "links to cut or to slow down"
PGBACKREST = "pgBackRest"
HAPROXY = "HAProxy"
ACCOUNTS = "accounts of the hosts' own"
FILES = "files of the hosts' own at their usual paths"
SPACES = "namespaces"
BOOT_ID = "boot id of the hosts' own"
LACKING = {
    tiers.ROOT: (),
    tiers.NAMESPACES: (LIMITS, SUDO),
    tiers.LOOPBACK: (LIMITS, SUDO, LINKS, PGBACKREST, HAPROXY, ACCOUNTS, FILES, SPACES, BOOT_ID),
}
"""Of each tier, what a test there cannot have."""


def tier() -> str:
    """The tier whose lab the tests of this process get."""
    return tiers.LOOPBACK if os.environ.get("DRCTL_LAB_TIER") == "loopback" else tiers.tier()


def has(what: str) -> bool:
    """Whether this tier has it: for a test that can do a part of what it does without."""
    return what not in LACKING[tier()]


def needed(item: pytest.Item) -> tuple[str, ...]:
    """What a test needs. Raises ValueError for a word that no tier is said to lack: it would never be looked at."""
    words = tuple(word for mark in item.iter_markers("needs") for word in mark.args)
    known = {word for lacking in LACKING.values() for word in lacking}
    if unknown := set(words) - known:
        raise ValueError(f"{item.nodeid} needs {unknown}, which is in no tier's list in {__name__}")
    return words


def lacking(item: pytest.Item) -> str:
    """Why this tier cannot carry a test; empty when it can."""
    here = tier()
    missing = [word for word in needed(item) if word in LACKING[here]]
    return f"tier {here}: no {', no '.join(missing)}" if missing else ""
