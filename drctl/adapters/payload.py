"""A script as it goes to ``sh``: variables ahead of it, and the script itself unchanged (design, laws 7 and 8)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import quote

from drctl.engine.ports import ShellCommand

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class PayloadError(ValueError):
    """A command that cannot be sent. The message shows names, never values."""


def shell_quote(value: str) -> str:
    """``value`` as one word of any POSIX shell; unlike ``shlex.quote`` always with quotes."""
    return "'" + value.replace("'", "'\\''") + "'"


def file_name(words: str) -> str:
    """``words`` as the name of one file, neither hidden nor a path; empty when nothing is left of them."""
    return quote(words, safe="@:+,=").lstrip(".")


def script_text(command: ShellCommand, secrets: Mapping[str, str]) -> str:
    """The text for the standard input of ``sh -s``.

    ``secrets`` are the resolved values of ``command.secrets``. The script goes through ``eval``, on a line of its own,
    so that it is read whole before it begins, and has an empty standard input: a command in it that reads its input
    would otherwise eat the rest of the script.

    Raises:
        PayloadError: when a name is not a shell variable's, or a value holds a NUL byte.
    """
    lines = []
    for name, value in command.variables.items():
        lines.append(f"{_name(name)}={_value(name, value)}")
    for name, value in secrets.items():
        # Without unset, a variable that the host's environment exports by this name would carry the secret into the
        # environment of every program that the script starts.
        lines.append(f"unset {_name(name)}; {name}={_value(name, value)}")
    lines.append(" ".join(["set --", *(_value("a word", word) for word in command.words)]))
    lines.append(f"drctl_script={_value('the script', command.script)}")
    lines.append('eval "unset drctl_script; $drctl_script" </dev/null')
    return "\n".join(lines) + "\n"


def script_digest(command: ShellCommand) -> str:
    """The sha256 of the script alone: it is the same in every run, and says nothing about values."""
    return hashlib.sha256(encode(command.script)).hexdigest()


def encode(text: str) -> bytes:
    """UTF-8; bytes that came in as surrogates (from argv, say) go out as they were."""
    return text.encode("utf-8", "surrogateescape")


def _name(name: str) -> str:
    if not _NAME.match(name):
        raise PayloadError(f"{name!r} cannot be the name of a shell variable")
    return name


def _value(what: str, value: str) -> str:
    if "\0" in value:
        raise PayloadError(f"{what} holds a NUL byte, which no shell can take")
    return shell_quote(value)
