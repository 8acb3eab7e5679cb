"""Plans and events as JSON, and what their digests are made of.

Generic over the program's dataclasses: what a field is follows from its annotation. A union of dataclasses is told
apart by its constant ``kind`` or ``type``. Reading is strict: an unknown member means that a newer drctl wrote it,
and to leave it out would be to carry out another plan than the one that was approved.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import cache, lru_cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from drctl.errors import DocumentError
from drctl.model.plan import Plan, Shell, Step

Made = TypeVar("Made")
_Work = tuple[Hashable, ...] | None  # what a step does, without where and with which values
_AS_IT_IS = frozenset({str, bool, int, type(None)})  # most of a plan, and looked for first
# What a person reads; changing it does not change what the step does.
_NOT_IN_DIGEST = ("id", "name", "where", "failure_hint", "expected_s", "digest")


class _Unreadable(ValueError):
    """A value that is not what its place asks for; ``path`` is where, from the inside out."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.path: list[str] = []


def to_json(value: Any) -> Any:
    """Dataclasses → JSON objects, tuples → lists, instants → text in UTC; everything else must be JSON already.

    Raises:
        TypeError: for a value that has no JSON form.
    """
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if fields := _fields(cast("Hashable", kind)):
        return {field.name: to_json(getattr(value, field.name)) for field in fields}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form: {value!r}")


def from_json(kind: type[Made], data: Any) -> Made:
    """The dataclass of that kind; what ``to_json`` wrote comes back equal.

    Raises:
        DocumentError: when the data is not of that kind; the message names the member.
    """
    try:
        made: Made = _reader(cast("Hashable", kind))(data)
    except _Unreadable as error:
        where = ".".join(reversed(error.path))
        raise DocumentError(
            f"this {kind.__name__.lower()} cannot be read: {where + ': ' if where else ''}{error}",
            hint="it may have been written by a newer drctl: compare drctl --version on both machines",
        ) from None
    return made


def canonical_json(value: Any) -> bytes:
    """One text for one value: sorted members, no spaces, UTF-8. Digests are made of this."""
    plain = to_json(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:
    """sha256 of what the value says, in hex: members at their default are left out.

    So a plan keeps its digest when a later drctl knows more members than the one that made it. A default is part of
    the format therefore, and is never changed.
    """
    return hashlib.sha256(canonical_json(_said(value))).hexdigest()


@cache
def _fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    """Of a dataclass; of anything else there are none."""
    return dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()


def _said(value: Any) -> Any:
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if fields := _fields(cast("Hashable", kind)):
        return {
            field.name: _said(getattr(value, field.name))
            for field in fields
            if field.name in ("kind", "type") or not _is_default(field, getattr(value, field.name))
        }
    if isinstance(value, tuple | list):
        return [_said(item) for item in value]
    return to_json(value)


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return field.default is not dataclasses.MISSING and bool(value == field.default)


def plan_digest(plan: Plan) -> str:
    """Covers the whole plan, its documents' text included."""
    return digest(plan)


def step_digest(step: Step) -> str:
    """Covers all that decides what the step does, and nothing that is only said about it."""
    return digest({name: value for name, value in _said(step).items() if name not in _NOT_IN_DIGEST})


def work_digest(step: Step) -> str:
    """Covers what the step does and not where or with which values: what takes its time, for any service.

    The words of an inventory's command are a service's own values, and so is a URL; neither counts.
    """
    verify = step.verify.action if step.verify is not None else None
    return _digest_of_work(step.become, _work(step.action), _work(verify))


@lru_cache(maxsize=1024)
def _digest_of_work(become: str | None, action: _Work, verify: _Work) -> str:
    """Kept, because the same steps come again in run after run."""
    return digest({"become": become, "action": action, "verify": verify})


def _work(action: Any) -> _Work:
    if isinstance(action, Shell):
        words = () if action.command is not None else action.words
        return (action.script, action.local, action.command, words)
    return None if action is None else (action.kind,)


Reader = Callable[[Any], Any]


@cache
def _reader(kind: Any) -> Reader:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union_reader(arguments)
    if origin is Literal:
        return _literal_reader(arguments)
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin is dict:
        return _dict_reader(arguments)
    if kind is Any:
        return lambda data: data
    if kind is datetime:
        return _read_instant
    if kind is float:
        return _read_float
    if isinstance(kind, type) and issubclass(kind, StrEnum | IntEnum):
        return _enum_reader(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    if kind in (str, int, bool, types.NoneType):
        return _scalar_reader(kind)
    raise TypeError(f"no JSON form is known for {kind!r}")


def _dataclass_reader(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    needed = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    readers: dict[str, Reader] = {}

    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            raise _Unreadable(f"a JSON object is needed, not {_kind_of(data)}")
        if not readers:  # not before the first reading: a kind may hold others of its own
            readers.update({name: _reader(hints[name]) for name in fields})
        if not data.keys() <= readers.keys():
            raise _Unreadable(f"unknown member {', '.join(map(repr, sorted(set(data) - set(fields))))}")
        values, name = {}, ""
        try:
            for name, given in data.items():
                values[name] = readers[name](given)
        except _Unreadable as error:
            error.path.append(name)
            raise
        for name in needed:
            if name not in values:
                raise _Unreadable(f"{name} is missing")
        return kind(**values)

    return read


def _union_reader(kinds: tuple[Any, ...]) -> Reader:
    optional = types.NoneType in kinds
    rest = [kind for kind in kinds if kind is not types.NoneType]
    if len(rest) == 1:
        return _optional_reader(rest[0])
    tags = {_tag(kind): kind for kind in rest if _tag(kind) is not None}

    def read(data: Any) -> Any:
        if data is None and optional:
            return None
        if isinstance(data, dict) and tags:
            for member in ("kind", "type"):
                if (member, data.get(member)) in tags:
                    return _reader(tags[member, data.get(member)])(data)
            raise _Unreadable(f"unknown kind {data.get('kind', data.get('type'))!r}")
        raise _Unreadable(f"cannot be {_kind_of(data)}")

    return read


def _optional_reader(kind: Any) -> Reader:
    def read(data: Any) -> Any:
        return None if data is None else _reader(kind)(data)

    return read


def _tag(kind: Any) -> tuple[str, Any] | None:
    """The member that tells a dataclass from others of its union, with its constant value."""
    if dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            if field.name in ("kind", "type") and field.default is not dataclasses.MISSING:
                return field.name, field.default
    return None


def _tuple_reader(kinds: tuple[Any, ...]) -> Reader:
    if kinds[1:] == (Ellipsis,):
        return _row_reader(kinds[0])

    def read(data: Any) -> Any:
        if not isinstance(data, list):
            raise _Unreadable(f"a list is needed, not {_kind_of(data)}")
        if len(data) != len(kinds):
            raise _Unreadable(f"a list of {len(kinds)} is needed, not of {len(data)}")
        return tuple(
            _within(str(n), _reader(kind), item) for n, (kind, item) in enumerate(zip(kinds, data, strict=True))
        )

    return read


def _row_reader(kind: Any) -> Reader:
    """A list of any length, all of one kind."""

    def read(data: Any) -> Any:
        if not isinstance(data, list):
            raise _Unreadable(f"a list is needed, not {_kind_of(data)}")
        reader, values = _reader(kind), []
        try:
            for item in data:
                values.append(reader(item))
        except _Unreadable as error:
            error.path.append(str(len(values)))
            raise
        return tuple(values)

    return read


def _dict_reader(kinds: tuple[Any, ...]) -> Reader:
    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            raise _Unreadable(f"a JSON object is needed, not {_kind_of(data)}")
        return {key: _within(key, _reader(kinds[1]), item) for key, item in data.items()}

    return read


def _literal_reader(allowed: tuple[Any, ...]) -> Reader:
    def read(data: Any) -> Any:
        if data not in allowed:
            raise _Unreadable(f"{data!r} is not one of {', '.join(map(str, allowed))}")
        return data

    return read


def _enum_reader(kind: type[StrEnum | IntEnum]) -> Reader:
    members: dict[Any, StrEnum | IntEnum] = {member.value: member for member in kind}

    def read(data: Any) -> Any:
        try:
            return members[data]
        except (KeyError, TypeError):
            raise _Unreadable(f"{data!r} is not one of {', '.join(map(str, members))}") from None

    return read


def _scalar_reader(kind: type) -> Reader:
    def read(data: Any) -> Any:
        if type(data) is not kind:
            raise _Unreadable(f"{kind.__name__} is needed, not {_kind_of(data)}")
        return data

    return read


def _read_float(data: Any) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise _Unreadable(f"a number is needed, not {_kind_of(data)}")
    return float(data)


def _read_instant(data: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(data)
    except (TypeError, ValueError):
        raise _Unreadable(f"{data!r} is not an instant") from None
    if instant.tzinfo is None:
        raise _Unreadable(f"{data!r} has no offset from UTC")
    return instant.astimezone(UTC)


def _within(name: str, reader: Reader, data: Any) -> Any:
    try:
        return reader(data)
    except _Unreadable as error:
        error.path.append(name)
        raise


def _kind_of(data: Any) -> str:
    return {dict: "an object", list: "a list", type(None): "null"}.get(type(data), type(data).__name__)
