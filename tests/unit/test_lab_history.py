"""Which nights a history of backups has, and what it needs; how large a load may be."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from drctl.errors import LabError, UsageError
from drctl.lab.bulk import megabytes
from drctl.lab.history import clock_library, days_before, make
from drctl.lab.topology import Settings


@pytest.mark.parametrize(
    ("now", "nights", "last_midday"),
    [
        ("2026-03-10T09:00", ["2026-03-09T00:00", "2026-03-10T00:00"], None),
        ("2026-03-10T12:30", ["2026-03-09T00:00", "2026-03-10T00:00"], "2026-03-10T12:00"),
        # 01:59 in Johannesburg: the last night is yesterday's.
        ("2026-03-09T23:59", ["2026-03-08T00:00", "2026-03-09T00:00"], "2026-03-09T12:00"),
        ("2026-03-10T00:00", ["2026-03-09T00:00", "2026-03-10T00:00"], None),
    ],
)
def test_the_nights_are_johannesburg_s(now: str, nights: list[str], last_midday: str | None) -> None:
    days = days_before(datetime.fromisoformat(now).replace(tzinfo=UTC), 2)
    assert [f"{day.night:%Y-%m-%dT%H:%M}" for day in days] == nights
    assert all(day.night.tzinfo is UTC for day in days)
    assert (f"{days[-1].midday:%Y-%m-%dT%H:%M}" if days[-1].midday else None) == last_midday


def test_the_library_that_sets_a_clock(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="libfaketime is not installed") as caught:
        clock_library(tmp_path)
    assert caught.value.state == "nothing was changed"
    library = tmp_path / "lib" / "some-linux-gnu" / "faketime" / "libfaketime.so.1"
    library.parent.mkdir(parents=True)
    library.touch()
    assert clock_library(tmp_path) == library


@pytest.mark.parametrize(("size", "mb"), [("1MB", 1), ("500MB", 500), ("1GB", 1000)])
def test_the_size_of_a_load(size: str, mb: int) -> None:
    assert megabytes(size) == mb


@pytest.mark.parametrize("size", ["1", "0MB", "1gb", "1 GB", "-1MB", "21GB", "1.5GB", ""])
def test_what_is_no_size_of_a_load(size: str) -> None:
    with pytest.raises(UsageError, match="is no size for a load"):
        megabytes(size)


@pytest.mark.parametrize("days", [0, 8])
def test_a_history_has_its_bounds(days: int) -> None:
    with pytest.raises(UsageError, match="1 to 7 days"):
        make(Settings(), days, lambda _: None)
