"""Every script that ``drctl backups`` sends passes shellcheck."""

from __future__ import annotations

import pytest

from drctl.adapters import copies
from tests.house.test_runbook_scripts import complaints

NAMES = ("_INFO", "_ARCHIVE", "_REPLICATED", "_VERIFY", "_LISTINGS", "_HISTORIES", "_COMMITS", "_ARCHIVER")


@pytest.mark.parametrize("name", NAMES)
def test_a_script_passes_shellcheck(name: str) -> None:
    assert complaints(getattr(copies, name)) == []
