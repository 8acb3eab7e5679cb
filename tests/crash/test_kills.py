"""A part of the crash sweep: a few kills, drawn by a seed that is printed. ``make crash`` does them all."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.crash.evidence import Evidence
from tests.crash.kills import Bench, Kill, crash_lab
from tests.support import needs

pytestmark = pytest.mark.lab
EVENTS = 60  # a whole failover has a few more; the sweep counts them
KILLS = 3


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with crash_lab(tmp_path_factory.mktemp("crash")) as found:
        yield found


SEED = int(os.environ["DRCTL_CRASH_SEED"])
"""Where drctl is killed this time: drawn and told by tests/conftest.py. The same seed does the same kills again."""


def drawn() -> list[Kill]:
    chance = random.Random(SEED)
    numbers = chance.sample(range(1, EVENTS), KILLS)
    return [Kill(after=n, delay_s=round(chance.choice((0.0, chance.random())), 2)) for n in numbers]


@pytest.mark.parametrize("number", range(KILLS))
@pytest.mark.needs(needs.PGBACKREST)
def test_killed_it_goes_on_and_nothing_is_done_twice(bench: Bench, number: int) -> None:
    kill = drawn()[number]
    row = bench.kill_once(kill)
    assert not row.problems, f"DRCTL_CRASH_SEED={SEED}: killed after {row.kill}: {row.at}"


def test_the_judge_can_say_no() -> None:
    """The evidence of a doubled promotion, made by hand, is seen as one."""
    once = Counter({"promote": 1, "protect/full-backup": 1})
    good = Evidence(once, once, 1, 2, 1, 1, 1, 0, False)
    assert not good.against(good)
    twice = Counter({"promote": 2, "protect/full-backup": 2})
    bad = Evidence(twice, twice, 2, 3, 2, 2, 2, 1, True)
    assert len(bad.against(good)) == 3 + 7
    assert good.against(bad) == ()
    assert bad.against(Evidence(Counter(), Counter(), 1, 2, 1, 1, 1, 0, False))[3].startswith("other steps")
