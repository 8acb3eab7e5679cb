"""Suggestions, texts with ${name}, and how problems are shown."""

from __future__ import annotations

import json

import pytest

from drctl.errors import DocumentError, ExitCode
from drctl.read.diagnostics import (
    Diagnostic,
    Severity,
    as_json,
    count,
    in_order,
    quoted,
    raise_on_problems,
    render,
    render_all,
)
from drctl.read.suggest import closest, did_you_mean, listed
from drctl.read.template import fill, fill_known, literal, mentions

KNOWN = ("timeout", "on_failure", "standby", "start_database", "GET", "datacentre")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("tiemout", "timeout"), ("on-failure", "on_failure"), ("OnFailure", "on_failure"), ("standbye", "standby"),
        ("data-center", "datacentre"), ("get", "GET"), ("GIT", "GET"), ("disable_database", None), ("x", None),
        ("", None), ("timeout" * 100, None),
    ],
)  # fmt: skip
def test_suggestions(word: str, meant: str | None) -> None:
    assert closest(word, KNOWN) == meant
    assert did_you_mean(word, KNOWN) == (f' (did you mean "{meant}"?)' if meant else "")


def test_a_short_name_with_swapped_letters() -> None:
    assert closest("jbn", ["cpt", "jnb", "dbn"]) == "jnb"


def test_lists() -> None:
    assert listed([]) == "none"
    assert listed(["b", "a", "b"]) == "a and b"
    assert listed(str(n) for n in range(10, 30)).endswith("21 and 8 more")


def test_values_are_filled_in_once() -> None:
    values = {"a": "${b}", "b": "$$", "c": "1$"}
    known = fill_known("${a} ${b} ${c}${later} $5 $$x $${a}", values, later=frozenset({"later"}))
    assert "${later}" in known
    assert fill(known, {"later": "L", "b": "wrong"}) == "${b} $$ 1$L $5 $x ${a}"


@pytest.mark.parametrize("text", ["", "$", "$$", "${a}", "$${a}", "$a", "a$", "${", "US$5", "$$$"])
def test_a_literal_comes_back_as_it_was(text: str) -> None:
    assert fill(literal(text), {"a": "x"}) == text
    assert fill(literal(text) + "${a}", {"a": "x"}) == text + "x"


def test_mentions_know_what_is_broken() -> None:
    found = {mention.text: bool(mention.broken) for mention in mentions("${a} $${b} $c $5 ${D} ${e f} ${g")}
    assert found == {"${a}": False, "$c": True, "${D}": True, "${e f}": True, "${g": True}


def problem(**changes: object) -> Diagnostic:
    values = {"severity": Severity.ERROR, "message": "is wrong", "file": "a.yml", "line": 2, "column": 3, "length": 4}
    return Diagnostic(**(values | {"source_line": "  word here"} | changes))  # type: ignore[arg-type]


def test_a_problem_shows_its_line_and_a_rule() -> None:
    assert render(problem(hint="mend it")) == ("a.yml:2:3: is wrong\n  2 |   word here\n    |   ^^^^\n  hint: mend it")


def test_a_warning_says_so_and_a_whole_file_has_no_line() -> None:
    assert render(problem(severity=Severity.WARNING, line=0, source_line="")) == "a.yml: warning: is wrong"


def test_control_characters_do_not_reach_a_terminal() -> None:
    shown = render(problem(source_line="  \x1b[31mred\u202e\x07\x7f\x9b", file="a\x1b.yml", length=2))
    assert not any(ord(c) < 0x20 and c != "\n" for c in shown)
    assert "␛[31mred\ufffd␇␡\ufffd" in shown
    assert "\x1b" not in quoted("\x1b]0;x")


def test_the_rule_stands_under_wide_and_combined_characters() -> None:
    rule = render(problem(source_line="漢字: e\u0301x", column=7, length=1)).splitlines()[2]
    assert rule == "    |        ^"


def test_a_long_line_is_cut_around_the_place() -> None:
    shown = render(problem(source_line="a" * 5000 + "HERE" + "b" * 5000, column=5001)).splitlines()
    assert len(shown[1]) < 200
    at = shown[2].index("^")
    assert shown[1][at : at + 4] == "HERE"
    assert shown[2].count("^") == 4


def test_a_place_past_the_end_of_the_line_is_shown() -> None:
    assert render(problem(column=400, source_line="short")).splitlines()[2].endswith("^")


def test_problems_come_in_order_each_once_and_not_without_end() -> None:
    many = [problem(line=n) for n in range(300, 0, -1)]
    assert [p.line for p in in_order([*many, *many])] == list(range(1, 301))
    assert render_all(many).endswith("… and 100 more")


def test_all_problems_are_raised_at_once() -> None:
    warning = problem(severity=Severity.WARNING, message="is odd", line=1)
    raise_on_problems([warning])
    with pytest.raises(DocumentError) as raised:
        raise_on_problems([problem(), problem(line=9, message="is bad"), warning])
    assert raised.value.exit_code == ExitCode.INVALID_DOCUMENT
    assert raised.value.message.startswith("2 errors, 1 warning")
    assert all(text in raised.value.message for text in ("is wrong", "is bad", "is odd"))
    assert raised.value.where == "a.yml:2:3"
    assert "drctl validate a.yml" in raised.value.hint
    assert count([]) == "no problems"


def test_problems_as_json() -> None:
    said = json.loads(json.dumps(as_json(problem())))
    assert said["severity"] == "error"
    assert set(said) == {"severity", "message", "file", "line", "column", "length", "source_line", "hint"}
