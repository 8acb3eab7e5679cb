"""``${name}`` in texts that no shell reads: urls, prompts, titles, arguments.

A literal dollar before a brace is doubled: ``$${name}`` is the text ``${name}``. In a plan the values that are known
are filled in, and those that a step captures while the run goes on stay as ``${name}``; so a plan's texts are still
templates, and ``fill`` makes the last text of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PART = re.compile(r"\$\$|\$\{([^{}\n]*)\}|\$\{[A-Za-z0-9_]*|\$([a-z_][a-z0-9_]*)")
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_LITERAL = re.compile(r"\$(?=[${]|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A ``${name}``; ``broken`` says what is wrong with its form, and then it is never filled in."""

    name: str
    text: str
    broken: str = ""


def mentions(text: str) -> tuple[Mention, ...]:
    """The names that a text asks for, in order."""
    found = []
    for match in _PART.finditer(text):
        whole, name, bare = match.group(), match.group(1), match.group(2)
        if whole == "$$":
            continue
        if bare is not None:
            broken = f"{whole} is not filled in here: write ${{{bare}}}, or $${bare} for the text itself"
            found.append(Mention(name=bare, text=whole, broken=broken))
        elif name is None or not _NAME.fullmatch(name):
            broken = f"{whole} is not a name: write ${{name}} with small letters, digits and underscores, or $${{"
            found.append(Mention(name=name or "", text=whole, broken=broken))
        else:
            found.append(Mention(name=name, text=whole))
    return tuple(found)


def fill(text: str, values: Mapping[str, str]) -> str:
    """The final text: every ``${name}`` that has a value is replaced, ``$$`` becomes ``$``.

    A name without a value stays as it is, for a person to see.
    """
    return _PART.sub(lambda match: _final(match, values), text)


def fill_known(text: str, values: Mapping[str, str], *, later: frozenset[str]) -> str:
    """The text with the known values, still a template for those ``later``; literal dollars stay doubled."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None or name in later or name not in values:
            return match.group()
        return literal(values[name])

    return _PART.sub(replace, text)


def literal(text: str) -> str:
    """The text as a template that ``fill`` turns back into just this text."""
    return _LITERAL.sub("$$", text)


def _final(match: re.Match[str], values: Mapping[str, str]) -> str:
    if match.group() == "$$":
        return "$"
    name = match.group(1)
    return values.get(name, match.group()) if name is not None else match.group()
