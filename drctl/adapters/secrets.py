"""Secrets: from a reference to a value, at the last moment (design, law 8)."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from drctl.adapters.redact import Redactor
from drctl.errors import UsageError

COMMAND_TIMEOUT_S = 30.0


class SecretError(UsageError):
    """A reference that gives no value. The message names the reference and never shows anything of the value."""


class SecretResolver:
    """Resolves ``env:NAME``, ``file:PATH`` and ``command:ARGV``, and tells the redactor every value before it is used.

    Nothing is kept: a value lives as long as the command that it is sent with. ``environ`` is where ``env:`` looks,
    by default this process's environment.
    """

    def __init__(self, redactor: Redactor, *, environ: Mapping[str, str] | None = None) -> None:
        self._redactor = redactor
        self._environ = os.environ if environ is None else environ

    def resolve(self, reference: str) -> str:
        """The value behind a reference, known to the redactor from now on.

        Raises:
            SecretError: when the reference is not understood or leads nowhere, or the value is empty, too short to
                be redacted, or holds a NUL byte.
        """
        kind, separator, rest = reference.partition(":")
        if kind == "env" and rest:
            value = self._from_environment(rest)
        elif kind == "file" and rest:
            value = _from_file(rest)
        elif kind == "command" and rest:
            value = _from_command(rest)
        else:
            # What is not a reference may be the secret itself, written in the wrong place.
            shown = f"{kind}:" if separator and kind.isalpha() and len(kind) <= len("command") else "this text"
            raise SecretError(
                f"{shown} is not a reference to a secret", hint="write env:NAME, file:PATH or command:PROGRAM ARGUMENTS"
            )
        if not value:
            raise SecretError(f"the secret {reference} is empty")
        if "\0" in value:
            raise SecretError(f"the secret {reference} holds a NUL byte, which no shell can take")
        try:
            self._redactor.add(value)
        except ValueError as error:
            raise SecretError(f"the secret {reference} cannot be used: {error}") from None
        return value

    def resolve_all(self, references: Mapping[str, str]) -> dict[str, str]:
        """The values by variable name.

        Raises:
            SecretError: see ``resolve``.
        """
        return {name: self.resolve(reference) for name, reference in references.items()}

    def _from_environment(self, name: str) -> str:
        value = self._environ.get(name)
        if value is None:
            raise SecretError(f"the secret env:{name} is not set", hint=f"export {name} before you start drctl")
        return value


def _from_file(path: str) -> str:
    try:
        content = Path(path).expanduser().read_bytes()
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SecretError(f"the secret file:{path} cannot be read: {why}") from None
    return _text(content)


def _from_command(command: str) -> str:
    reference = f"command:{command}"
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise SecretError(f"the secret {reference} cannot be split into words: {error}") from None
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, IndexError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SecretError(f"the secret {reference} could not be asked for: {why}") from None
    except subprocess.TimeoutExpired:
        raise SecretError(f"the secret {reference} did not come within {COMMAND_TIMEOUT_S:.0f} s") from None
    if done.returncode != 0:
        # Not its standard error: nobody knows what a program prints there.
        raise SecretError(
            f"the secret {reference} was not given: exit code {done.returncode}",
            hint=f"run it yourself to see why: {command}",
        )
    return _text(done.stdout)


def _text(content: bytes) -> str:
    """Without the one newline that files and commands end with."""
    return content.decode("utf-8", "surrogateescape").removesuffix("\n")
