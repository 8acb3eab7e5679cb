"""What a host prints becomes a value, or is refused in words: never a part of itself, and never a crash later."""

from __future__ import annotations

import re

import pytest

from drctl.engine.values import capture
from drctl.model.events import Output
from drctl.model.plan import Capture, CaptureType
from tests.support.world import MemoryRecorder


def printed(data: bytes) -> Output | None:
    recorder = MemoryRecorder()
    recorder("stdout", data)
    return recorder.close()[0]


@pytest.mark.parametrize(
    ("kind", "data", "value"),
    [
        ("text", b" two words \n", "two words"),
        ("text", "h\u00f4te\n".encode(), "h\u00f4te"),
        ("int", b"+42\n", "42"),
        ("int", b"18446744073709551615", "18446744073709551615"),
        ("time", b"2026-11-23 03:12:00.5+02\n", "2026-11-23T01:12:00.500000+00:00"),
        ("duration", b"1h30m", "5400.0"),
        ("duration", b"-0.25", "-0.25"),
        ("bytes", b"12345", "12345"),
        ("bytes", b"1.5 GiB", "1610612736"),
        ("json", b'{\n "b": [1],\n "a": null\n}\n', '{"a": null, "b": [1]}'),
    ],
)
def test_every_type_has_its_value(kind: str, data: bytes, value: str) -> None:
    assert capture((Capture(name="n", type=CaptureType(kind)),), printed(data)) == {"n": value}


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        ("text", b"caf\xe9", "it is not UTF-8, or holds a NUL: 'caf\ufffd'"),
        ("text", b"a\0b", r"it is not UTF-8, or holds a NUL: 'a\x00b'"),
        ("int", b"", "n: '' is not a whole number"),
        ("int", b"4x", "n: '4x' is not a whole number"),
        ("int", b"9" * 6000, f"n: '{'9' * 60}', and 5940 characters more, is too long for the type int"),
        ("time", b"2026-11-23 03:12:00", "has no offset from UTC"),
        ("time", b"infinity", "n: 'infinity' is not a time"),
        ("duration", b"soon", "n: 'soon' is not a duration"),
        ("duration", b"9" * 40, f"n: '{'9' * 40}' is more than 100 years"),
        ("duration", b"9" * 400, "is too long for the type duration"),
        ("bytes", b"much", "n: 'much' is not a size"),
        ("bytes", b"9" * 40, f"n: '{'9' * 40}' is more than 8 EiB"),
        ("bytes", b"9" * 400, "is too long for the type bytes"),
        ("json", b"{a:1}", "n: '{a:1}' is not JSON that drctl can read (line 1, column 2)"),
        ("json", b"NaN", "n: 'NaN' is not JSON that drctl can read"),
        ("json", b"[" * 20_000, "is not JSON that drctl can read"),
        ("json", b"9" * 6000, "is not JSON that drctl can read"),
    ],
)
def test_what_is_not_of_its_type_is_refused_in_words(kind: str, data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        capture((Capture(name="n", type=CaptureType(kind)),), printed(data))


def test_of_an_output_that_is_not_whole_nothing_is_captured() -> None:
    """Of a long output only its end is at hand: its first line would be some line of the middle."""
    cut = Output(sha256="", bytes=3_000_000, tail="1\n2\n")
    with pytest.raises(ValueError, match="it is 3000000 bytes long, and only the last 4 are at hand: print less"):
        capture((Capture(name="first"), Capture(name="second")), cut)
    assert capture((), cut) == {}


def test_several_are_taken_line_by_line() -> None:
    both = (Capture(name="a", type=CaptureType.INT), Capture(name="b"))
    assert capture(both, printed(b"1\nx y\nmore\n")) == {"a": "1", "b": "x y"}
    with pytest.raises(ValueError, match="2 lines were expected for a, b"):
        capture(both, printed(b"1\n"))
