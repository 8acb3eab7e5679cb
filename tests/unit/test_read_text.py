"""What a file can be, other than a document: each is told, and none ends in a traceback or takes long."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from drctl.read.diagnostics import Diagnostic
from drctl.read.documents import Library, read_inventory, read_runbook
from drctl.read.text import MAX_BYTES, SourceText, split_lines
from drctl.read.yaml import MAX_DEPTH, load

SOUND = "runbook: sound\ntitle: Sound\nsteps: [{id: one, wait: 1s}]\n"


def problems_of(data: bytes, tmp_path: Path) -> list[Diagnostic]:
    path = tmp_path / "runbook.yml"
    path.write_bytes(data)
    document, problems = read_runbook(path)
    assert (document is None) == bool(problems)
    return problems


def only(problems: list[Diagnostic]) -> Diagnostic:
    assert len(problems) == 1, problems
    return problems[0]


def test_a_sound_runbook_is_read(tmp_path: Path) -> None:
    assert problems_of(SOUND.encode(), tmp_path) == []


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_line_ends_do_not_matter_to_scripts_nor_to_places(ending: str, tmp_path: Path) -> None:
    text = "runbook: a\ntitle: T\nsteps:\n  - id: one\n    local: |\n      echo one\n      echo two\n    bogus: 1\n"
    problem = only(problems_of(text.replace("\n", ending).encode(), tmp_path))
    assert (problem.line, problem.column, problem.source_line) == (8, 5, "    bogus: 1")
    path = tmp_path / "runbook.yml"
    path.write_bytes(text.replace("    bogus: 1\n", "").replace("\n", ending).encode())
    document, _ = read_runbook(path)
    assert document is not None
    assert document.value.steps[0].local == "echo one\necho two\n"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\xef\xbb\xbf" + SOUND.encode(), "byte order mark"),
        (SOUND.encode("utf-16"), "UTF-16"),
        (b"# comment\n", "comments only"),
        (b"just text\n", "not a mapping"),
        (b"x" * (MAX_BYTES + 1), "larger than 1 MiB"),
    ],
)
def test_no_document_at_all(data: bytes, said: str, tmp_path: Path) -> None:
    assert said in only(problems_of(data, tmp_path)).message


def test_exactly_the_limit_is_not_too_large(tmp_path: Path) -> None:
    data = SOUND.encode()
    assert problems_of(data + b"#" * (MAX_BYTES - len(data)), tmp_path) == []


def test_bytes_that_are_no_utf8_have_a_place(tmp_path: Path) -> None:
    problem = only(problems_of("runbook: a\ntitle: Fäil".encode("latin-1") + b"\n", tmp_path))
    assert (problem.line, problem.column) == (2, 9)
    assert "0xe4" in problem.message


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("\x00", "NUL"),
        ("\x1b", "U+001B"),
        ("\u202e", "U+202E"),
        ("\u2066", "U+2066"),
        ("\u2028", "U+2028"),
        ("\x85", "U+0085"),
    ],
)
def test_what_cannot_be_seen_is_refused_where_it_stands(character: str, name: str, tmp_path: Path) -> None:
    problem = only(problems_of(f"runbook: a\ntitle: T\n# co{character}mment\n".encode(), tmp_path))
    assert name in problem.message
    assert (problem.line, problem.column) == (3, 5)


def test_a_missing_file_a_directory_and_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yml")
    for name, said in (("missing.yml", "no such file"), (".", "is a directory"), ("pipe.yml", "not a regular file")):
        document, problems = read_inventory(tmp_path / name)
        assert document is None
        assert said in only(problems).message
        assert Library().kind_of(tmp_path / name) is None


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "runbook.yml"
    path.write_text(SOUND)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything, so the mode alone would not do
    document, problems = read_runbook(path)
    assert document is None
    assert "permission denied" in only(problems).message


@pytest.mark.parametrize("opening", [b"[", b"{a: ", b"- ", b"? ", b"[{a: "])
def test_a_million_levels_neither_crash_nor_take_long(opening: bytes, tmp_path: Path) -> None:
    began = time.process_time()
    problem = problems_of((opening * MAX_BYTES)[: MAX_BYTES - 1], tmp_path)[0]
    assert time.process_time() - began < 5
    assert f"deeper than {MAX_DEPTH}" in problem.message or "is not YAML" in problem.message


def test_a_million_values_are_refused(tmp_path: Path) -> None:
    began = time.process_time()
    problem = only(problems_of(b"a: [" + b"1," * 500_000 + b"1]\n", tmp_path))
    assert "more than 100,000 values" in problem.message
    assert time.process_time() - began < 10


def test_ten_thousand_problems_do_not_take_long(tmp_path: Path) -> None:
    began = time.process_time()
    text = "runbook: a\ntitle: T\nsteps:\n" + "".join(
        f"  - {{id: s{n}, wiat: 1s, tiemout: 5}}\n" for n in range(10_000)
    )
    assert len(problems_of(text.encode(), tmp_path)) > 100
    assert time.process_time() - began < 20


def test_the_deepest_level_that_is_allowed(tmp_path: Path) -> None:
    deep = f"runbook: {'[' * (MAX_DEPTH - 1)}{']' * (MAX_DEPTH - 1)}\n"
    assert not any("deeper" in problem.message for problem in problems_of(deep.encode(), tmp_path))
    deeper = f"runbook: {'[' * MAX_DEPTH}{']' * MAX_DEPTH}\n"
    assert "deeper" in only(problems_of(deeper.encode(), tmp_path)).message


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"), ("no", "no"), ("Yes", "Yes"), ("22:30", "22:30"), ("4:00", "4:00"), ("0755", "0755"),
        ("1_000", "1_000"), ("0x1F", "0x1F"), ("0o17", "0o17"), (".5", ".5"), (".inf", ".inf"), ("1e999", "1e999"),
        ("2026-11-23", "2026-11-23"), ("True", "True"), ("NULL", "NULL"), ("=", "="), ("+-1", "+-1"),
        ("true", True), ("false", False), ("0", 0), ("-7", -7), ("15.10", 15.10), ("1e3", 1000.0),
        ('"true"', "true"), ("'1'", "1"), ('""', ""),
    ],
)  # fmt: skip
def test_words_mean_what_json_says_or_themselves(written: str, value: object) -> None:
    text = f"key: {written}\n"
    loaded, problems = load(SourceText(file="x.yml", text=text, lines=split_lines(text)))
    assert problems == []
    assert loaded is not None
    found = loaded.value["key"]
    assert found == value
    assert isinstance(found, str) == isinstance(value, str)
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert found.written == written


def test_numbers_become_text_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    path.write_text(
        "inventory: a\nresidency: ZA\nsites: {s: {provider: p, country: ZA, kind: office}}\n"
        "hosts: {h: {site: s, vars: {version: 15.10, mode: 0755, zeros: 1.0, on_off: true}}}\n"
    )
    document, problems = read_inventory(path)
    assert problems == []
    assert document is not None
    assert document.value.hosts["h"].vars == {"version": "15.10", "mode": "0755", "zeros": "1.0", "on_off": "true"}


def test_flags_may_be_written_as_yaml_knows_them(tmp_path: Path) -> None:
    path = tmp_path / "runbook.yml"
    for written, value in (("true", True), ("True", True), ("FALSE", False)):
        path.write_text(SOUND.replace("wait: 1s", f"wait: 1s, read_only: {written}"))
        document, _ = read_runbook(path)
        assert document is not None
        assert document.value.steps[0].read_only is value  # type: ignore[union-attr]
