"""The commands of a documentation page, typed on a lab exactly as they are written.

A page marks them as a ``console`` block: a line that begins with ``$`` is typed, and each line under it must be in what
the command says, on standard output or standard error, where ``…`` stands for anything. All blanks count as one, so a
page may align what it shows. A command ends with exit code 0, or with N when the block says ``console exit=N``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from drctl.lab import Lab
from tests.support.operator import ROOT

_BLOCK = re.compile(r"^```console(?: exit=(?P<code>\d+))?\n(?P<body>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Typed:
    """A command of a page with its exit code and what it must say; ``where`` is the page and the line."""

    command: str
    code: int
    says: tuple[str, ...]
    where: str


def typed(page: Path) -> Iterator[Typed]:
    """The commands of a page in their order. Raises ValueError for a block that does not begin with a command."""
    text = page.read_text()
    for block in _BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 2
        command, says, at = "", [], line
        for number, written in enumerate(block["body"].splitlines(), start=line):
            if written.startswith("$ "):
                if command:
                    yield Typed(command, int(block["code"] or 0), tuple(says), f"{page.name}:{at}")
                command, says, at = written[2:], [], number
            elif command:
                says += [written] if written.strip() else []
            else:
                raise ValueError(f"{page.name}:{number}: a console block begins with a command: $ drctl ...")
        yield Typed(command, int(block["code"] or 0), tuple(says), f"{page.name}:{at}")


def type_all(page: Path, directory: Path, environment: Mapping[str, str]) -> list[str]:
    """Type every command of the page in that directory; what each of them said.

    Raises AssertionError with the page's line when one ends otherwise than the page says, or says something else.
    """
    said = []
    for one in typed(page):
        done = subprocess.run(
            ["bash", "-c", one.command], cwd=directory, env={**os.environ, **environment}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
            start_new_session=True,
        )  # fmt: skip
        assert done.returncode == one.code, f"{one.where}: {one.command}: exit code {done.returncode}\n{done.stdout}"
        for wanted in one.says:
            assert _pattern(wanted).search(" ".join(done.stdout.split())), f"{one.where}: {wanted!r} in\n{done.stdout}"
        said.append(done.stdout)
    return said


def seat(lab: Lab, inventory: Path, directory: Path) -> dict[str, str]:
    """The environment of whoever types a page in that directory, where the runbooks are; its state is in ``state``."""
    (directory / "runbooks").symlink_to(ROOT / "runbooks")
    return {
        **dict(word.split("=", 1) for word in lab.settings.environment_words()),
        "DRCTL_INVENTORY": str(inventory),
        "DRCTL_STATE_DIR": str(directory / "state"),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }


def _pattern(wanted: str) -> re.Pattern[str]:
    parts = [re.escape(" ".join(part.split())) for part in wanted.split("…")]
    return re.compile(r"\s?.*?\s?".join(parts))
