"""What tests need of the lab's tier: every test is asked, and a reason to leave one out is a documented one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drctl.lab import tiers
from tests.support import needs
from tests.tiers import drawn
from tests.tiers.__main__ import PLACES

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "docs/reference/lab.md").read_text().split("## Without root: the three tiers")[1].split("\n## ")[0]


@pytest.mark.parametrize("tier", needs.LACKING)
def test_what_a_tier_lacks_is_said_to_the_person_or_in_the_reference(tier: str) -> None:
    said = f"{tiers.LACKS[tier]}\n{SECTION}"
    assert [word for word in needs.LACKING[tier] if word not in said] == []


def test_every_tier_is_asked() -> None:
    assert list(needs.LACKING) == list(tiers.LACKS)
    assert needs.LACKING[tiers.ROOT] == (), "the root tier carries every test"
    assert set(needs.LACKING[tiers.NAMESPACES]) <= set(needs.LACKING[tiers.LOOPBACK])


def test_tests_of_the_lab_are_where_make_tiers_finds_them() -> None:
    uses = re.compile(r"^pytestmark = .*pytest\.mark\.lab\b|^@pytest\.mark\.lab\b", re.M)
    places = {
        str(p.parent.relative_to(ROOT)) for p in (ROOT / "tests").rglob("test_*.py") if uses.search(p.read_text())
    }
    assert places == set(PLACES)


def test_a_word_that_no_tier_lacks_is_refused(plain_item: pytest.Item) -> None:
    plain_item.add_marker(pytest.mark.needs("electricity"))
    with pytest.raises(ValueError, match="electricity"):
        needs.needed(plain_item)


def test_a_tier_skips_what_it_lacks_and_nothing_else(plain_item: pytest.Item, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "tier", lambda: tiers.LOOPBACK)
    assert needs.lacking(plain_item) == ""
    plain_item.add_marker(pytest.mark.needs(needs.LINKS, needs.HAPROXY))
    assert needs.lacking(plain_item) == "tier loopback: no links to cut or to slow down, no HAProxy"
    monkeypatch.setattr(needs, "tier", lambda: tiers.NAMESPACES)
    assert needs.lacking(plain_item) == ""


@pytest.mark.parametrize("tier", [tiers.NAMESPACES, tiers.LOOPBACK])
def test_the_bad_days_that_are_drawn_are_those_that_the_tier_can_carry(tier: str) -> None:
    all_of_them = drawn.bad_days(tiers.ROOT)
    left_out = {day.split("::")[1] for day in set(all_of_them) - set(drawn.bad_days(tier))}
    shown, day = {"test_bad_days_here.py": ["test_x"]}, "tests/e2e/test_bad_days_here.py::test_x"
    assert drawn.names(tier, shown)[0] == day
    assert len(set(drawn.names(tier, shown)) & set(drawn.bad_days(tier))) == drawn.DAYS
    assert ("test_a_login_shell_that_knows_nothing_of_posix_and_talks" in left_out) == (tier == tiers.LOOPBACK)
    assert "test_an_exit_code_over_127_is_told_as_it_is" not in left_out


@pytest.fixture
def plain_item(request: pytest.FixtureRequest) -> pytest.Item:
    """A test that needs nothing: made of this one, so that marks do not stay on it."""
    return pytest.Function.from_parent(request.node.parent, name="plain", callobj=lambda: None)
