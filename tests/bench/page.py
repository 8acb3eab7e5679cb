"""The page of figures: each section between marks of its own, so that one can be taken anew and the others stay."""

from __future__ import annotations

import re
from collections.abc import Iterable

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
_MARK = "<!-- section: {} -->"
_PART = re.compile(r"<!-- section: (\w+) -->\n(.*?)(?=<!-- section: |\Z)", re.S)


def with_section(text: str, name: str, lines: Iterable[str], title: str, order: Iterable[str]) -> str:
    """The page with that section's lines in place of its last ones; the sections stand in the order given.

    Raises:
        ValueError: when the page has no place for figures.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    before, rest = text.split(BEGIN, 1)
    figures, after = rest.split(END, 1)
    parts = {found[1]: found[2].strip() for found in _PART.finditer(figures)}
    parts[name] = "\n".join([f"### {title}", "", *lines]).strip()
    sections = [f"{_MARK.format(known)}\n{parts[known]}\n\n" for known in order if known in parts]
    return f"{before}{BEGIN}\n{''.join(sections)}{END}{after}"
