"""An engineer at a real terminal: what stands on it, and what is typed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect

from tests.support.days import OBJECTIVES, PATIENCE_S, Day
from tests.support.operator import ROOT


@contextmanager
def at_a_terminal(day: Day, *words: str, prepared: str = "") -> Iterator[pexpect.spawn]:
    """drctl as the foreground of a terminal of 110 columns that shows plain lines.

    ``prepared`` is Python that the process carries out before it is drctl.
    """
    argv = day.operator.words(*(words or day.words()))
    if prepared:
        started = argv.index("-m")
        argv[started : started + 2] = ["-c", f"{prepared}\nfrom drctl.cli.main import run\nrun()"]
    environment = {**os.environ, "TERM": "dumb", "LANG": "C.UTF-8"}
    child = pexpect.spawn(
        argv[0], argv[1:], cwd=str(ROOT), env=environment, dimensions=(60, 110), timeout=PATIENCE_S, encoding="utf-8",
        codec_errors="replace", echo=False,
    )  # fmt: skip
    try:
        yield child
    finally:
        child.close(force=True)


def to_the_end(day: Day, child: pexpect.spawn, code: int) -> str:
    """What comes until it ends, and that it ends with this code."""
    child.expect(pexpect.EOF)
    child.wait()
    said = child.before.replace("\r\n", "\n")
    assert child.exitstatus == code, said
    return re.sub(OBJECTIVES, "", day.plain(said), flags=re.M)


def question(day: Day, child: pexpect.spawn) -> str:
    """The question as it stands on the screen, from its line to its prompt."""
    child.expect(r"(retry, skip|succeeded, run_again)(, fallback)?(, rollback)?, pause, abort\? ")
    said = day.plain(child.before.replace("\r\n", "\n"))
    return said[said.index("───") :].lstrip("─")


def decisions(day: Day) -> list[str]:
    """What the report says of people's decisions."""
    text = day.types("report", code=0)
    found = re.search(r"^People's decisions\n(.*?)\n\n", text, re.M | re.S)
    assert found, text
    return re.findall(r"- (.*)", day.plain(re.sub(r"\n    +", " ", found[1])))
