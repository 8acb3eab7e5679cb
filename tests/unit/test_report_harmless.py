"""Text from hosts and people cannot get out of its place, whatever is in it."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from drctl.report.harmless import _sign, code, fenced, html, markdown, one_line, screen_lines, tail_lines, visible
from tests.support.sample_runs import HOSTILE

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
NASTY = st.text(alphabet=st.sampled_from("ab 1.)(-+*_~`#=|<>[]!&;:/@\\\n\t\r$\x1b\x9b\u202e\u2028é✓\x00"), max_size=60)


def tags(markup: str) -> set[str]:
    return set(re.findall(r"<(\w+)", markup))


@given(st.text(max_size=200))
@example(HOSTILE)
def test_nothing_invisible_is_left(text: str) -> None:
    left = [c for c in visible(text) if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")]
    assert left == []


def test_signs_say_what_was_there() -> None:
    assert visible("\x1b[31m\x00\x7f\u202e") == "␛[31m␀␡\\u202e"


def test_one_line_is_one_line() -> None:
    assert one_line(" a\n\tb\r\nc  ") == "a b c"


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("\x1b[2J\x1b[31mred\x1b[0m", ["red"]),
        ("\x1b]0;title\x07text", ["text"]),
        ("\x1b]0;no end\nnext line", ["", "next line"]),  # an unclosed title hides its own line and no more
        ("10%\r20%\r30%\n", ["30%", ""]),
        ("over\rwritten\r\n", ["written", ""]),
    ],
)
def test_screen_lines(raw: str, seen: list[str]) -> None:
    assert screen_lines(raw) == seen


def test_tail_leaves_empty_ends_out() -> None:
    assert tail_lines("a\nb\nc\n\n", 2) == ["b", "c"]
    assert tail_lines("a\nb", 0) == []


@given(NASTY)
@example(HOSTILE)
@example("<script>alert(1)</script>")
@example("1. list")
@example("# heading")
@example("- item\n---")
@example("https://evil.example <a@b.c>")
@example("__bold__ _x_ **y** ~~z~~ `code`")
def test_markdown_text_has_no_markup(text: str) -> None:
    rendered = MARKDOWN.render(f"- {markdown(text)}\n")
    assert tags(rendered) <= {"ul", "li", "p"}
    words = re.sub(r"<[^>]+>", "", rendered)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        words = words.replace(entity, character)
    assert words.split() == one_line(text).split()


@given(NASTY, NASTY)
def test_a_cell_stays_one_cell(left: str, right: str) -> None:
    rendered = MARKDOWN.render(f"| a | b |\n|---|---|\n| x{markdown(left)} | y{markdown(right)} |\n")
    assert rendered.count("<td>") == 2
    assert rendered.count("<tr>") == 2


@given(NASTY)
@example(HOSTILE)
def test_a_fence_is_not_left(text: str) -> None:
    rendered = MARKDOWN.render(fenced(text) + "\n\nafter\n")
    assert tags(rendered) == {"pre", "code", "p"}
    assert rendered.count("<p>") == 1
    assert "<script" not in rendered


@given(NASTY)
def test_a_code_span_is_not_left(text: str) -> None:
    assert tags(MARKDOWN.render(f"x {code(text)}\n")) <= {"p", "code"}


@given(st.text(max_size=80))
@example("<script>\"'&")
def test_html(text: str) -> None:
    assert not re.search(r"[<>\"']", html(text))


def test_what_python_calls_printable_has_no_surprises() -> None:
    """The short way through ``visible`` is right for every character that there is."""
    surprising = [c for c in map(chr, range(0x110000)) if _sign(c) != c]
    assert len(surprising) > 1000
    assert [c for c in surprising if c.isprintable()] == []
