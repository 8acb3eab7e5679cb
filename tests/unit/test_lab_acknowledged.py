"""A lost row is seen even when its number was given to another row."""

from __future__ import annotations

from drctl.lab.acknowledged import Row, compare, read_log

LOG = "1\tt1\ta1\n2\tt2\ta2\n3\tt3\ta3\n"


def test_a_log_is_read_and_a_line_cut_short_is_left_out() -> None:
    assert read_log(LOG) == [Row(1, "t1", "a1"), Row(2, "t2", "a2"), Row(3, "t3", "a3")]
    assert len(read_log(LOG + "4\tt4\ta")) == 3
    assert len(read_log(LOG + "4\tt4\n\nx\ty\tz\n")) == 3


def test_everything_is_there() -> None:
    found = compare("azure-san", read_log(LOG), {(1, "t1"), (2, "t2"), (3, "t3"), (9, "t9")})
    assert (found.acknowledged, found.present, found.missing) == (3, 3, ())
    assert found.last_present == found.last_acknowledged == "t3"


def test_a_row_is_missing_though_its_number_is_taken() -> None:
    found = compare("azure-san", read_log(LOG), {(1, "t1"), (2, "t2"), (3, "later")})
    assert found.missing == (Row(3, "t3", "a3"),)
    assert (found.last_acknowledged, found.last_present) == ("t3", "t2")


def test_nothing_was_acknowledged() -> None:
    found = compare("azure-san", [], {(1, "t1")})
    assert (found.acknowledged, found.present, found.missing, found.last_present) == (0, 0, (), "")
