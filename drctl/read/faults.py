"""Faults of a document's values → diagnostics in drctl's words, each with its place and a suggestion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from drctl.model.actions import SHA256
from drctl.model.inventory import ADDRESS, USER
from drctl.model.runbook import ParallelText
from drctl.model.scalars import HOST_NAME, ROLE_NAME, SLUG, VARIABLE_NAME
from drctl.read.diagnostics import Diagnostic, quoted
from drctl.read.document import Places
from drctl.read.shape import Fault, Wrong
from drctl.read.suggest import did_you_mean, listed

# Words that the language will have (design, section 5); they are known, and not there yet.
NOT_YET = frozenset({"gateway"})

_INSTEAD = {"gateway": "name the gateway in ssh_config: ProxyJump is honoured"}

_PATTERNS = {
    SLUG: "small letters and digits, with single dashes between: fence-primary",
    VARIABLE_NAME: "small letters, digits and underscores, and begins with a letter: lag_seconds",
    ROLE_NAME: "small letters, digits, dashes and underscores, and begins with a letter: standby",
    HOST_NAME: "letters, digits, dots, dashes and underscores, and never begins with a dash",
    r"^[^\r\n]*$": "one line",
    ADDRESS: "is no address: write a name such as db1.example.net, an IPv4 or an IPv6 address",
    SHA256: "is no sha256: 64 hexadecimal digits",
    USER: "is no user name: letters, digits, dots, dashes and underscores, and never a dash first",
}


def fault_problems(faults: Iterable[Fault], places: Places) -> Iterator[Diagnostic]:
    """One diagnostic for each of the faults; the reader has told already where a value is missing."""
    for fault in faults:
        if fault.value is not None or fault.wrong is Wrong.UNKNOWN:
            yield _problem(fault, places)


def _problem(fault: Fault, places: Places) -> Diagnostic:
    path = fault.path
    if fault.wrong is Wrong.UNKNOWN:
        return _unknown_key(fault, places)
    if fault.wrong is Wrong.MISSING:
        return places.problem(path[:-1], f"{quoted(str(path[-1]))} is missing")
    if fault.of_key:
        said = f"{quoted(str(path[-1]))} {_what_is_wrong(fault)}"
        return places.problem(path[:-1], said, place=places.of(path, key=True))
    return places.problem(path, _what_is_wrong(fault), hint=_quote_it(fault))


def _unknown_key(fault: Fault, places: Places) -> Diagnostic:
    name, holder = str(fault.path[-1]), fault.path[:-1]
    kind, known = fault.said
    place = places.of(fault.path, key=True)
    if name in NOT_YET:
        hint = _INSTEAD.get(name, "")
        return places.problem(holder, f"{quoted(name)} is not supported yet", place=place, hint=hint)
    if kind is ParallelText:
        hint = "a parallel group has no keys of its own: give them to its steps"
        return places.problem(holder, f"unknown key {quoted(name)} beside parallel", place=place, hint=hint)
    suggestion = did_you_mean(name, known)
    hint = "" if suggestion else f"known here: {listed(known, limit=40)}"
    return places.problem(holder, f"unknown key {quoted(name)}{suggestion}", place=place, hint=hint)


def _what_is_wrong(fault: Fault) -> str:
    value, said = fault.value, fault.said
    match fault.wrong:
        case Wrong.TYPE:
            return f"must be {said}, not {_said(value)}"
        case Wrong.OPTION:
            shown = (
                f"{quoted(value)} is not one of" if isinstance(value, str) else f"must be one of, not {_said(value)}:"
            )
            return f"{shown} {', '.join(said)}{did_you_mean(value, said) if isinstance(value, str) else ''}"
        case Wrong.PATTERN:
            return _against_the_pattern(str(value), said)
        case Wrong.EMPTY:
            return "must not be empty"
        case Wrong.LONG:
            return f"is longer than {said} characters"
        case Wrong.MANY:
            return f"has more than {said} {'entry' if said == 1 else 'entries'}"
        case Wrong.BELOW:
            return f"{_said(value)} is below the limit of {said:g}"
        case Wrong.ABOVE:
            return f"{_said(value)} is above the limit of {said:g}"
        case _:
            return str(said)


def _against_the_pattern(value: str, pattern: str) -> str:
    wanted = _PATTERNS.get(pattern, "")
    if wanted == "one line":
        return "must be one line"
    if wanted.startswith("is no "):
        return f"{quoted(value)} {wanted}"
    return f"is not a name: a name has {wanted}" if wanted else f"{quoted(value)} cannot be used here"


def _said(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {getattr(value, 'written', value)}"
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    return "a list" if isinstance(value, list) else "a mapping"


def _quote_it(fault: Fault) -> str:
    value = fault.value
    if fault.wrong is not Wrong.TYPE or fault.said != "text":
        return ""
    if isinstance(value, bool | int | float):
        return f'put it in quotes to make it text: "{_said(value).removeprefix("the number ")}"'
    return 'quote a text that holds ": " or begins with a brace' if isinstance(value, dict) else ""
