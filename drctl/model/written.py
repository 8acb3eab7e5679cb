"""What the kinds of the documents are made of: classes of words, each with its type and its default.

The annotations are the one place that says what a document may hold. ``drctl/read/shape.py`` reads a document by them,
``drctl/read/schema.py`` makes an editor's schema of them. docs/decisions/0036-documents-are-read-by-our-own-hand.md
says why no library does this. Modules of kinds do not import ``annotations`` from ``__future__``: to evaluate the texts
that it leaves takes longer than all the rest.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, dataclass_transform

_NO_DEFAULT: Any = object()


class Limits:
    """Bounds of a text, a number, a list or a mapping, inclusive; None is no bound.

    The whole of a text must match ``pattern``, a regular expression of JavaScript's kind too, for editors.
    """

    def __init__(
        self,
        *,
        shortest: int | None = None,
        longest: int | None = None,
        pattern: str | None = None,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        self.shortest, self.longest, self.pattern, self.least, self.most = shortest, longest, pattern, least, most


class Before:
    """What is done with a value before its type is looked at; it raises ValueError for what it refuses."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        self.change = change


class After:
    """What is done with a value of the right type; it raises ValueError for what it refuses."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        self.change = change


class Choice:
    """Which alternative of a union a value is meant to be, as its position, so that faults are those of one."""

    def __init__(self, position: Callable[[Any], int]) -> None:
        self.position = position


class Schema:
    """What an editor's schema says of a value where its type does not say it."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.said = said


class _Fresh:
    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def field(*, default_factory: Callable[[], Any]) -> Any:
    """A default that is made anew for each value."""
    return _Fresh(default_factory)


class Word(NamedTuple):
    """A word of a kind: its attribute's name, what its value must be, and whether it must be there."""

    name: str
    annotation: Any
    required: bool


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
class Written:
    """What all documents share: nothing unknown, nothing guessed, nothing changed afterwards.

    To make one does not look at its values: ``drctl/read/shape.py`` does, for whatever comes from a document. The texts
    below the words are what an editor shows beside them; ``drctl/read/schema.py`` looks them up in the source.
    """

    words: ClassVar[Mapping[str, Word]] = {}  # as they are written; an attribute may have an underscore more
    given: frozenset[str]  # the attributes that were given, and have no default

    plain: ClassVar[dict[str, Any]] = {}  # defaults, by attribute
    _fresh: ClassVar[dict[str, Callable[[], Any]]] = {}
    _required: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        words, cls.plain, cls._fresh = {}, {}, {}
        for name, annotation in cls.__annotations__.items():
            if isinstance(annotation, str):
                raise TypeError(f"{cls.__module__}: a module of kinds cannot import annotations from __future__")
            default = cls.__dict__.get(name, _NO_DEFAULT)
            if isinstance(default, _Fresh):
                cls._fresh[name] = default.make
            elif default is not _NO_DEFAULT:
                cls.plain[name] = default
            words[name.rstrip("_")] = Word(name, annotation, required=default is _NO_DEFAULT)
        cls.words = words
        cls._required = frozenset(word.name for word in words.values() if word.required)

    def __init__(self, **values: Any) -> None:
        lacking, unknown = self._required - values.keys(), values.keys() - {word.name for word in self.words.values()}
        if lacking or unknown:
            raise TypeError(f"{type(self).__name__}: lacks {sorted(lacking)}, does not know {sorted(unknown)}")
        made = self.plain | {name: make() for name, make in self._fresh.items() if name not in values} | values
        self.__dict__.update(made, given=frozenset(values))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is as it was written: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is as it was written: {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Written) or type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, word.name) == getattr(other, word.name) for word in self.words.values())

    __hash__ = None  # type: ignore[assignment]  # some hold lists

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={getattr(self, name)!r}" for name in sorted(self.given))
        return f"{type(self).__name__}({said})"
