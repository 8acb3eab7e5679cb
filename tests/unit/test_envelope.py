"""A script's output is told apart from what is said about it, however it is cut and whatever is in it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from drctl.adapters.envelope import Envelope, Verdict
from tests.contract.ear import Ear

TOKEN = "0123456789abcdef"
VERDICT = f"{TOKEN} finished 007 timeout\n".encode()


def take(
    stdout: list[bytes], stderr: list[bytes] | None = None, *, last_line: bool = True
) -> tuple[Envelope, Ear, Verdict | None]:
    ear = Ear()
    envelope = Envelope(TOKEN, ear, last_line=last_line)
    for piece in stdout:
        envelope.take("stdout", piece)
    for piece in stderr or []:
        envelope.take("stderr", piece)
    return envelope, ear, envelope.end()


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(data) + 1) for place in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


bodies = st.lists(
    st.sampled_from([b"a", b"\n", TOKEN.encode(), TOKEN[:7].encode(), VERDICT, VERDICT[:30], b"\xff\x00", b" "]),
    max_size=8,
).map(b"".join)
cuts = st.lists(st.integers(0, 10_000), max_size=10)


@given(noise=st.binary(max_size=30), body=bodies, cuts=cuts)
def test_a_jobs_output_is_exact_however_it_is_cut(noise: bytes, body: bytes, cuts: list[int]) -> None:
    data = noise + f"{TOKEN} started 1 2\n".encode() + body + VERDICT
    envelope, ear, verdict = take(cut(data, cuts))
    assert envelope.first == ("started", "1", "2")
    assert ear.out == body
    assert verdict == Verdict(state="finished", code=7, reason="timeout")


@given(body=bodies, cuts=cuts)
def test_a_job_that_was_cut_off_has_no_verdict_and_keeps_its_output(body: bytes, cuts: list[int]) -> None:
    data = f"{TOKEN} started 1 2\n".encode() + body + b"..."
    _, ear, verdict = take(cut(data, cuts))
    assert verdict is None
    assert ear.out == body + b"..."


@given(noise=st.binary(max_size=30), body=bodies, cuts=cuts)
def test_errors_begin_after_the_token(noise: bytes, body: bytes, cuts: list[int]) -> None:
    _, ear, _ = take([], cut(noise + f"{TOKEN}\n".encode() + body, cuts))
    assert ear.err == body


def test_live_output_is_not_kept_back() -> None:
    ear = Ear()
    envelope = Envelope(TOKEN, ear, last_line=True)
    envelope.take("stdout", f"{TOKEN} started\nprompt> 0".encode())
    assert ear.out == b"prompt> "  # the 0 may be the token's first character
    envelope.take("stdout", b"1x")
    assert ear.out == b"prompt> 01x"


def test_what_came_instead_of_a_shell_is_told() -> None:
    envelope, ear, verdict = take([b"banner\n"], [b"warning: x\nsudo: a password is required\nbye\n\n"])
    assert (envelope.first, verdict, ear.out, ear.err) == (None, None, b"", b"")
    assert envelope.noise() == "sudo: a password is required"
    assert take([b"This account is closed.\n"])[0].noise() == "This account is closed."
    assert take([])[0].noise() == ""
