"""Values → kinds by their annotations: every fault at once, each with its path; and what a kind is once it is made."""

import math
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drctl.model.written import After, Before, Choice, Limits, Schema, Written, field
from drctl.read.shape import Wrong, read_as


def _even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd")
    return value


def _pair(value: Any) -> Any:
    if value == "none":
        raise ValueError("none is no pair")
    return value.split("+") if isinstance(value, str) else value


class Leaf(Written):
    name: Annotated[str, Limits(shortest=1, longest=5, pattern=r"^[a-z]+$")]
    size: Annotated[int, Limits(least=1, most=9), After(_even)] = 2


class Other(Written):
    other: bool
    with_: Literal["air"] = "air"


class Tree(Written):
    leaf: Annotated[str | Leaf | Other, Choice(lambda value: isinstance(value, dict) + (value == {"other": True}))]
    ratio: Annotated[float, Limits(least=0)] | None = None
    kind: Literal["oak", "elm"] = "oak"
    pair: Annotated[list[str], Before(_pair), Limits(longest=2)] = field(default_factory=list)
    leaves: Annotated[dict[Annotated[str, Limits(pattern=r"^[a-z]+$")], Leaf], Limits(shortest=1)] = field(
        default_factory=dict
    )


def faults(value: Any, kind: type[Written] = Tree) -> list[tuple[str, tuple[Any, ...], Any]]:
    made, found = read_as(kind, value)
    assert (made is None) == bool(found)
    return [(fault.wrong.name, fault.path, fault.said) for fault in found]


def test_what_is_sound_becomes_its_kind() -> None:
    tree, found = read_as(
        Tree, {"leaf": {"name": "a"}, "ratio": 3, "pair": "x+y", "leaves": {"b": {"name": "b", "size": 4}}}
    )
    assert not found
    assert tree == Tree(leaf=Leaf(name="a"), ratio=3.0, pair=["x", "y"], leaves={"b": Leaf(name="b", size=4)})
    assert tree is not None
    assert (type(tree.ratio), tree.kind) == (float, "oak")
    assert tree.given == {"leaf", "ratio", "pair", "leaves"}
    assert read_as(Tree, {"leaf": "word", "ratio": None})[0] == Tree(leaf="word")
    assert read_as(Other, {"other": True, "with": "air"})[0] == Other(other=True)


def test_every_fault_is_found_and_each_has_its_path() -> None:
    value = {
        "leaf": {"name": "ABC", "size": "many", "colour": "red"},
        "ratio": -1,
        "kind": "ash",
        "pair": ["a", 1, "c"],
        "leaves": {"B": {}, "b": [], "c": {"name": "c", "size": 3}},
        "bark": True,
    }
    assert faults(value) == [
        ("PATTERN", ("leaf", "name"), r"^[a-z]+$"),
        ("TYPE", ("leaf", "size"), "a whole number"),
        ("UNKNOWN", ("leaf", "colour"), (Leaf, {"name", "size", "other", "with"})),
        ("BELOW", ("ratio",), 0),
        ("OPTION", ("kind",), ("oak", "elm")),
        ("MANY", ("pair",), 2),
        ("TYPE", ("pair", 1), "text"),
        ("MISSING", ("leaves", "B", "name"), None),
        ("PATTERN", ("leaves", "B"), r"^[a-z]+$"),
        ("TYPE", ("leaves", "b"), "a mapping"),
        ("REFUSED", ("leaves", "c", "size"), "3 is odd"),
        ("UNKNOWN", ("bark",), (Tree, Tree.words)),
    ]
    of_key = [fault for fault in read_as(Tree, value)[1] if fault.of_key]
    assert [fault.path for fault in of_key] == [("leaves", "B")]


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ({"leaf": {"name": ""}}, Wrong.EMPTY),
        ({"leaf": {"name": "abcdef"}}, Wrong.LONG),
        ({"leaf": {"name": "a\n"}}, Wrong.PATTERN),
        ({"leaf": {"name": "a", "size": 10}}, Wrong.ABOVE),
        ({"leaf": {"name": "a", "size": True}}, Wrong.TYPE),
        ({"leaf": {"name": "a", "size": 2.0}}, Wrong.TYPE),
        ({"leaf": 1}, Wrong.TYPE),
        ({"leaf": "x", "ratio": "1"}, Wrong.TYPE),
        ({"leaf": "x", "ratio": False}, Wrong.TYPE),
        ({"leaf": "x", "pair": "none"}, Wrong.REFUSED),
        ({"leaf": "x", "pair": 1}, Wrong.TYPE),
        ({"leaf": "x", "leaves": {}}, Wrong.EMPTY),
        ({"leaf": "x", "kind": ["oak"]}, Wrong.OPTION),
        ({"leaf": {"other": True}, "kind": None}, Wrong.OPTION),
        ({}, Wrong.MISSING),
        ([], Wrong.TYPE),
    ],
)
def test_one_fault(part: Any, wrong: Wrong) -> None:
    assert [fault.wrong for fault in read_as(Tree, part)[1]] == [wrong]


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.floats(allow_nan=False) | st.sampled_from(["a", "oak", "X"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["leaf", "name", "size", "ratio", "kind", "pair", "leaves", "a"]), inner)
    ),
    max_leaves=12,
)


@given(_values)
def test_whatever_is_there_is_read_or_refused_and_a_fault_s_path_leads_to_its_value(value: Any) -> None:
    made, found = read_as(Tree, value)
    assert (made is None) == bool(found)
    for fault in found:
        part = value
        for step in fault.path[:-1] if fault.wrong is Wrong.MISSING or fault.of_key else fault.path:
            part = part[step]
        wanted = fault.path[-1] if fault.of_key else fault.value
        if not (fault.of_key or (isinstance(part, float) and math.isnan(part))):
            assert part == wanted or fault.path[0] == "pair"  # that one is changed before it is looked at


def test_a_kind_is_as_it_was_written() -> None:
    leaf = Leaf(name="a")
    with pytest.raises(AttributeError, match="as it was written: size cannot be set"):
        leaf.size = 4  # type: ignore[misc]
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del leaf.size
    with pytest.raises(TypeError, match="unhashable"):
        hash(leaf)
    assert repr(Leaf(size=4, name="a")) == "Leaf(name='a', size=4)"
    assert leaf != Other(other=True)
    assert Tree(leaf="x").pair is not Tree(leaf="x").pair
    with pytest.raises(TypeError, match=r"Leaf: lacks \['name'\], does not know \['colour'\]"):
        Leaf(colour="red")  # type: ignore[call-arg]


def test_an_annotation_that_cannot_be_read_is_a_fault_of_the_program() -> None:
    with pytest.raises(TypeError, match="cannot import annotations from __future__"):
        type("Late", (Written,), {"__annotations__": {"word": "str"}})

    class Unclear(Written):
        word: str | int

    class Strange(Written):
        word: bytes

    class Said(Written):
        word: Annotated[bool, Schema({"type": "boolean"})]

    with pytest.raises(TypeError, match="does not say by what it is chosen"):
        read_as(Unclear, {"word": "x"})
    with pytest.raises(TypeError, match="cannot hold"):
        read_as(Strange, {"word": "x"})
    assert read_as(Said, {"word": True})[0] == Said(word=True)
