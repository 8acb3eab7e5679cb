"""Plain values → the kinds of the documents, by their annotations; with every fault, and not only the first.

A fault is told in words by ``drctl/read/faults.py``, which a sound document never needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from enum import Enum
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, cast, get_args, get_origin

from drctl.model.written import After, Before, Choice, Limits, Written

Path = tuple[str | int, ...]
Kind = TypeVar("Kind", bound=Written)


class Wrong(Enum):
    """What is the matter with a part of a document."""

    UNKNOWN = "a key that the mapping cannot have; said: its class, and the keys that could stand there"
    MISSING = "a key that the mapping must have"
    TYPE = "another type; said: the wanted one, in words"
    OPTION = "none of the words that can stand there; said: those"
    PATTERN = "a text of another form; said: the pattern"
    EMPTY = "nothing in a text, a list or a mapping"
    LONG = "too long a text; said: how many characters it may have"
    MANY = "too many entries; said: how many there may be"
    BELOW = "too small a number; said: the smallest"
    ABOVE = "too large a number; said: the largest"
    REFUSED = "refused by a rule of its own; said: its words"


class Fault(NamedTuple):
    """A part that is not as it must be; ``of_key`` when it is the last key of the path, and not its value."""

    wrong: Wrong
    path: Path
    value: Any
    said: Any = None
    of_key: bool = False


class Seen(NamedTuple):
    """Where a reader is, and where it leaves the faults that it finds."""

    path: Path
    faults: list[Fault]

    def at(self, part: str | int) -> Seen:
        """One step down."""
        return Seen((*self.path, part), self.faults)

    def fault(self, wrong: Wrong, value: Any, said: Any = None) -> None:
        """This part has one."""
        self.faults.append(Fault(wrong, self.path, value, said))


# What it gives is of no use once there is a fault.
Reader = Callable[[Any, Seen], Any]


def read_as(kind: type[Kind], value: Any) -> tuple[Kind | None, list[Fault]]:
    """The value as that kind, or None and all its faults."""
    seen = Seen((), [])
    made = _read_written(kind, kind.words, value, seen)
    return (None if seen.faults else cast(Kind, made)), seen.faults


@cache
def _readers(kind: Any) -> dict[str, Reader]:
    """By the words of a kind; they are made once for each that a document has."""
    return {key: _reader_of(word.annotation) for key, word in kind.words.items()}


def _reader_of(annotation: Any) -> Reader:
    """The function that reads what the annotation describes."""
    if _is_kind(annotation):
        return partial(_read_written, annotation, annotation.words)
    origin = get_origin(annotation)
    if origin is Annotated:
        return _annotated(annotation.__origin__, annotation.__metadata__)
    if origin in (Union, UnionType):
        wanted, nothing = get_args(annotation)
        if nothing is not type(None):
            raise TypeError(f"{annotation} does not say by what it is chosen: a Choice")
        return partial(_read_optional, _reader_of(wanted))
    return _limited(annotation, Limits())


def _annotated(base: Any, said: tuple[Any, ...]) -> Reader:
    choice = next((each for each in said if isinstance(each, Choice)), None)
    if choice is not None:
        read = _choosing(choice, get_args(base))
    else:
        limits = next((each for each in said if isinstance(each, Limits)), None)
        read = _reader_of(base) if limits is None else _limited(base, limits)
    for each in said:
        if isinstance(each, After):
            read = partial(_read_and_check, read, each.change)
    for each in said:
        if isinstance(each, Before):
            read = partial(_change_and_read, each.change, read)
    return read


def _choosing(choice: Choice, alternatives: tuple[Any, ...]) -> Reader:
    """A misspelt key may be that of another alternative: parallel, where a step was understood."""
    known = {key for each in alternatives if _is_kind(each) for key in each.words}
    readers = [partial(_read_written, each, known) if _is_kind(each) else _reader_of(each) for each in alternatives]
    return partial(_read_chosen, choice.position, readers)


def _is_kind(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Written)


def _limited(base: Any, limits: Limits) -> Reader:
    if get_origin(base) is list:
        return partial(_read_list, _reader_of(get_args(base)[0]), limits)
    if get_origin(base) is dict:
        key, item = get_args(base)
        return partial(_read_mapping, _reader_of(key), _reader_of(item), limits)
    if get_origin(base) is Literal:
        return partial(_read_option, get_args(base))
    if base is str:
        return partial(_read_text, re.compile(limits.pattern) if limits.pattern else None, limits)
    if base is bool:
        return _read_truth
    if base in (int, float):
        return partial(_read_number, base, limits)
    raise TypeError(f"a document cannot hold {base}")


def _read_written(kind: type[Written], known: Iterable[str], value: Any, seen: Seen) -> Written | None:
    if not isinstance(value, dict):
        return seen.fault(Wrong.TYPE, value, "a mapping")
    before, made, readers = len(seen.faults), {}, _readers(cast("Hashable", kind))
    for key, part in value.items():
        if key in readers:
            made[kind.words[key].name] = readers[key](part, seen.at(key))
        else:
            seen.at(key).fault(Wrong.UNKNOWN, part, (kind, known))
    for key, word in kind.words.items():
        if word.required and key not in value:
            seen.at(key).fault(Wrong.MISSING, value)
    return kind(**made) if len(seen.faults) == before else None


def _read_optional(read: Reader, value: Any, seen: Seen) -> Any:
    return None if value is None else read(value, seen)


def _read_chosen(position: Callable[[Any], int], readers: list[Reader], value: Any, seen: Seen) -> Any:
    return readers[position(value)](value, seen)


def _change_and_read(change: Callable[[Any], Any], read: Reader, value: Any, seen: Seen) -> Any:
    try:
        changed = change(value)
    except ValueError as error:
        return seen.fault(Wrong.REFUSED, value, str(error))
    return read(changed, seen)


def _read_and_check(read: Reader, change: Callable[[Any], Any], value: Any, seen: Seen) -> Any:
    before = len(seen.faults)
    made = read(value, seen)
    if len(seen.faults) > before:
        return None
    try:
        return change(made)
    except ValueError as error:
        return seen.fault(Wrong.REFUSED, value, str(error))


def _read_list(read: Reader, limits: Limits, value: Any, seen: Seen) -> list[Any] | None:
    if not isinstance(value, list):
        return seen.fault(Wrong.TYPE, value, "a list")
    _count(limits, value, seen)
    return [read(item, seen.at(number)) for number, item in enumerate(value)]


def _read_mapping(key: Reader, read: Reader, limits: Limits, value: Any, seen: Seen) -> dict[Any, Any] | None:
    if not isinstance(value, dict):
        return seen.fault(Wrong.TYPE, value, "a mapping")
    _count(limits, value, seen)
    made = {}
    for name, item in value.items():
        there = seen.at(name)
        of_key: list[Fault] = []
        made[key(name, Seen(there.path, of_key))] = read(item, there)
        seen.faults.extend(fault._replace(of_key=True) for fault in of_key)
    return made


def _count(limits: Limits, value: list[Any] | dict[Any, Any], seen: Seen) -> None:
    if limits.shortest is not None and len(value) < limits.shortest:
        seen.fault(Wrong.EMPTY, value)
    if limits.longest is not None and len(value) > limits.longest:
        seen.fault(Wrong.MANY, value, limits.longest)


def _read_option(options: tuple[str, ...], value: Any, seen: Seen) -> Any:
    return value if isinstance(value, str) and value in options else seen.fault(Wrong.OPTION, value, options)


def _read_text(pattern: re.Pattern[str] | None, limits: Limits, value: Any, seen: Seen) -> str | None:
    if not isinstance(value, str):
        return seen.fault(Wrong.TYPE, value, "text")
    if limits.shortest is not None and len(value) < limits.shortest:
        return seen.fault(Wrong.EMPTY, value)
    if limits.longest is not None and len(value) > limits.longest:
        return seen.fault(Wrong.LONG, value, limits.longest)
    if pattern is not None and not pattern.fullmatch(value):
        return seen.fault(Wrong.PATTERN, value, pattern.pattern)
    return value


def _read_truth(value: Any, seen: Seen) -> bool | None:
    return value if isinstance(value, bool) else seen.fault(Wrong.TYPE, value, "true or false")


def _read_number(wanted: type[int] | type[float], limits: Limits, value: Any, seen: Seen) -> float | None:
    whole = wanted is int
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return seen.fault(Wrong.TYPE, value, "a whole number" if whole else "a number")
    if limits.least is not None and value < limits.least:
        return seen.fault(Wrong.BELOW, value, limits.least)
    if limits.most is not None and value > limits.most:
        return seen.fault(Wrong.ABOVE, value, limits.most)
    return wanted(value)
