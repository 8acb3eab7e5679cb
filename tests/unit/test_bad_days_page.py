"""The table of bad days says what the tests of bad days see."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "bad-days.md").read_text()


def seen() -> str:
    """All that the tests expect on a screen; a line that begins with ``~`` goes on with the line before."""
    tests = [*sorted((ROOT / "tests" / "e2e").glob("test_bad_days_*.py")), ROOT / "tests" / "unit" / "test_clock.py"]
    text = "\n".join(test.read_text() for test in tests)
    filled = text.replace("{host} stopped", "edge stopped").replace("{how}", "back by 1h 00m")
    return re.sub(r"\s*\n\s*~?\s*", " ", filled)


def quoted() -> list[str]:
    """The words in code spans of the second column that are a sentence of drctl."""
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and line.count(" | ") == 3]
    return [words for row in rows for words in re.findall(r"`([^`]+)`", row[1]) if " " in words]


@pytest.mark.parametrize("words", [w for w in quoted() if not w.startswith("drctl status")])
def test_what_the_table_quotes_was_seen(words: str) -> None:
    assert words in seen()
