"""Secrets are taken out by value, in every form, wherever the output is cut."""

from __future__ import annotations

import base64
import json
import random
import shlex
import string
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drctl.adapters.redact import MASK, Redactor

AWKWARD = "p@ss w'rd/é\"\\\n+=second line"


def redactor(*values: str) -> Redactor:
    made = Redactor()
    for value in values:
        made.add(value)
    return made


@pytest.mark.parametrize(
    "shown",
    [
        AWKWARD,
        shlex.quote(AWKWARD),
        "'" + AWKWARD.replace("'", "'\\''") + "'",
        base64.b64encode(AWKWARD.encode()).decode(),
        base64.urlsafe_b64encode(AWKWARD.encode()).decode(),
        quote(AWKWARD),
        quote(AWKWARD, safe=""),
        quote_plus(AWKWARD),
        json.dumps(AWKWARD),
        json.dumps(AWKWARD, ensure_ascii=False),
    ],
    ids=["raw", "shlex", "posix", "base64", "base64url", "url", "url, no slash", "form", "json", "json, unicode"],
)
def test_every_form_is_masked(shown: str) -> None:
    cleaned = redactor(AWKWARD).clean(b"before " + shown.encode() + b" after")
    assert MASK in cleaned
    assert cleaned.startswith(b"before ")
    assert cleaned.endswith(b" after")
    for piece in (b"p@ss", b"second", base64.b64encode(AWKWARD.encode())[4:12]):
        assert piece not in cleaned


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
@pytest.mark.parametrize("after", ["", "x", "xy", "\n"])
def test_a_secret_within_a_longer_base64_text(before: str, after: str) -> None:
    secret = "correct horse battery staple"
    text = base64.b64encode((before + secret + after).encode())
    cleaned = redactor(secret).clean(text)
    assert MASK in cleaned
    # What is left cannot be turned back into more than the edges of it.
    assert len(cleaned.replace(MASK, b"")) <= len(base64.b64encode((before + after).encode())) + 8


def test_the_longer_of_two_wins() -> None:
    assert redactor("secret", "secret-and-more").clean(b"a secret-and-more b secret c") == b"a %s b %s c" % (MASK, MASK)


def test_each_line_of_a_key_is_masked() -> None:
    key = "-----BEGIN KEY-----\nabcdefghijkl\nmnopqrstuvwx\n-----END KEY-----\n"
    assert b"mnop" not in redactor(key).clean(b"  | mnopqrstuvwx\n")


@pytest.mark.parametrize("value", ["", "a", "abc"])
def test_too_short_a_secret_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(ValueError, match=r"^a secret of fewer than 4 characters cannot be kept out of the output$"):
        Redactor().add(value)


def test_text_that_is_no_utf8_survives() -> None:
    assert redactor("hunter2!").clean_text("\udcff hunter2! \udc80") == f"\udcff {MASK.decode()} \udc80"


def streamed(cleaner: Redactor, data: bytes, cuts: list[int]) -> bytes:
    stream = cleaner.stream()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(places)]
    return b"".join([*(stream.feed(piece) for piece in pieces), stream.flush()])


@given(
    secrets=st.lists(st.text("ab'\n", min_size=4, max_size=9), min_size=1, max_size=3),
    words=st.lists(st.one_of(st.integers(0, 2), st.text("ab'\n", max_size=6)), max_size=12),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
)
@example(secrets=["aaaa", "'aaaa'"], words=[1, 0], cuts=[])  # a secret ends where another may begin
def test_where_the_output_is_cut_makes_no_difference(
    secrets: list[str], words: list[int | str], cuts: list[int]
) -> None:
    cleaner = redactor(*secrets)
    text = "".join(secrets[word % len(secrets)] if isinstance(word, int) else word for word in words).encode()
    assert streamed(cleaner, text, cuts) == cleaner.clean(text)


def test_byte_by_byte() -> None:
    cleaner = redactor("secret-value", "secret-value-longer", "cret-")
    text = b"xx secret-value yy secret-value-longer zz cret- secret-val"
    assert streamed(cleaner, text, list(range(len(text)))) == cleaner.clean(text)
    assert b"secret-value" not in streamed(cleaner, text, list(range(len(text))))


def test_only_the_beginning_of_a_secret_is_kept_back() -> None:
    stream = redactor("secret-value").stream()
    assert stream.feed(b"progress 10%") == b"progress 10%"
    assert stream.feed(b" sec") == b" "
    assert stream.feed(b"onds!") == b"seconds!"
    assert stream.flush() == b""


def test_a_secret_that_becomes_known_while_the_output_flows() -> None:
    cleaner = redactor("first-secret")
    stream = cleaner.stream()
    shown = stream.feed(b"a first-secr")
    cleaner.add("second-secret")
    shown += stream.feed(b"et b second-secret c") + stream.flush()
    assert shown == b"a %s b %s c" % (MASK, MASK)


def test_much_output_costs_little_memory_and_is_whole() -> None:
    dice = random.Random(3)
    cleaner = redactor(*("".join(dice.choices(string.ascii_letters, k=3000)) for _ in range(5)))
    stream = cleaner.stream()
    block = bytes(dice.randrange(256) for _ in range(65536))
    total = sum(len(stream.feed(block)) for _ in range(300)) + len(stream.flush())
    assert total == 300 * 65536
