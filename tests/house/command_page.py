"""``docs/reference/commands.md`` is what ``--help`` says. ``python -m tests.house.command_page`` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from drctl.cli.main import app
from drctl.cli.verbs import VERBS, command

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"
_HEAD = """# Commands

Data goes to standard output, progress to standard error. `NO_COLOR`, `TERM=dumb` and pipes are honoured. The exit codes
are in [exit-codes.md](exit-codes.md). This page is what `--help` says; `make docs` writes it anew, and a test holds it.
"""


def verbs() -> list[tuple[str, ...]]:
    """Every command with its groups, in the order of ``--help``."""
    found: list[tuple[str, ...]] = []

    def walk(found_here: object, words: tuple[str, ...]) -> None:
        inner = getattr(found_here, "commands", None)
        if inner is None:
            found.append(words)
        for name, one in sorted((inner or {}).items()):
            walk(one, (*words, name))

    for verb in sorted(VERBS):
        walk(command(verb), (verb,))
    return found


def help_of(words: tuple[str, ...]) -> str:
    """The help text of a command, as a pipe of 100 columns gets it."""
    environment = {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"}
    done = CliRunner().invoke(app, [*words, "--help"], prog_name="drctl", env=environment)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.output)
    return "\n".join(line.rstrip() for line in plain.strip().splitlines())


def page() -> str:
    """The whole page."""
    parts = [_HEAD, "```\n" + help_of(()) + "\n```\n"]
    for words in verbs():
        parts.append(f"## drctl {' '.join(words)}\n\n```\n{help_of(words)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
