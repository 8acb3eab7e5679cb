"""References become values at the last moment, and no error ever shows one."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from drctl.adapters.redact import MASK, Redactor
from drctl.adapters.secrets import SecretError, SecretResolver

VALUE = "s3cret $(value) 'quoted'"


def resolver(**environ: str) -> tuple[SecretResolver, Redactor]:
    redactor = Redactor()
    return SecretResolver(redactor, environ=environ), redactor


def test_from_the_environment() -> None:
    secrets, redactor = resolver(TOKEN=VALUE)
    assert secrets.resolve("env:TOKEN") == VALUE
    assert redactor.clean(VALUE.encode()) == MASK


@pytest.mark.parametrize(("content", "value"), [(f"{VALUE}\n", VALUE), (VALUE, VALUE), (f"{VALUE}\n\n", f"{VALUE}\n")])
def test_from_a_file_without_its_last_newline(tmp_path: Path, content: str, value: str) -> None:
    (tmp_path / "my secret").write_text(content)
    secrets, redactor = resolver()
    assert secrets.resolve(f"file:{tmp_path}/my secret") == value
    assert MASK in redactor.clean(content.encode())


def test_from_a_command_without_a_shell() -> None:
    secrets, redactor = resolver()
    command = shlex.join([sys.executable, "-c", "import sys; print(sys.argv[1])", VALUE])
    assert secrets.resolve(f"command:{command}") == VALUE
    assert redactor.clean_text(VALUE) == MASK.decode()
    assert secrets.resolve("command:echo $HOME ; id") == "$HOME ; id"


def test_a_value_is_asked_for_each_time(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    secrets, _ = resolver()
    for value in ("first value", "second value"):
        file.write_text(value)
        assert secrets.resolve_all({"x": f"file:{file}"}) == {"x": value}


def test_bytes_that_are_no_utf8_arrive(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"\xff\xfe\x80key")
    secrets, redactor = resolver()
    value = secrets.resolve(f"file:{tmp_path}/raw")
    assert value.encode("utf-8", "surrogateescape") == b"\xff\xfe\x80key"
    assert redactor.clean(b"a\xff\xfe\x80keyb") == b"a" + MASK + b"b"


FAILING = [
    ("env:ABSENT", "env:ABSENT is not set"),
    ("env:EMPTY", "env:EMPTY is empty"),
    ("env:SHORT", "fewer than 4"),
    ("env:NUL", "NUL"),
    ("file:/nonexistent/secret", "cannot be read"),
    ("command:/nonexistent/program", "could not be asked for"),
    ("command:sh -c 'echo leaked-value; echo leaked-value >&2; exit 3'", "exit code 3"),
    ("command:'unbalanced", "split into words"),
    ("command:true", "is empty"),
    ("env:", "not a reference"),
    ("leaked-value", "not a reference"),
    ("leaked-value:x", "not a reference"),
    ("", "not a reference"),
]


@pytest.mark.parametrize(("reference", "says"), FAILING, ids=[reference[:20] for reference, _ in FAILING])
def test_what_cannot_be_resolved_is_said_and_never_shown(reference: str, says: str) -> None:
    secrets, _ = resolver(EMPTY="", SHORT="abc", NUL="leaked-value\0more")
    with pytest.raises(SecretError) as raised:
        secrets.resolve(reference)
    shown = " ".join([raised.value.message, str(raised.value), raised.value.__class__.__name__])
    assert says in shown
    if not reference.startswith("command:sh"):
        assert "leaked-value" not in shown
    assert "abc" not in shown
    assert raised.value.exit_code == 2


def test_the_output_of_a_command_that_fails_is_not_shown() -> None:
    secrets, _ = resolver()
    with pytest.raises(SecretError) as raised:
        secrets.resolve(f"command:{sys.executable} -c 'import sys; sys.exit(chr(108) * 30)'")
    assert "l" * 30 not in f"{raised.value.message} {raised.value.hint}"
