"""``make tiers``: every test of the lab in its two lesser tiers, by somebody without root.

    python -m tests.tiers [--tier namespaces|loopback] [WORD_FOR_PYTEST ...]

What a tier cannot carry is skipped there, with the reason that tests/support/needs.py has, and counted at the end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter
from xml.etree import ElementTree

import pytest

from drctl.lab import tiers
from tests.support.operator import ROOT
from tests.support.person import Person, cases, person_on

PLACES = ("tests/e2e", "tests/crash")  # tests/house/test_needs.py: no test of the lab is anywhere else
MOVES = ("DRCTL_TEST_LAB", "DRCTL_TEST_LAB_NET", "DRCTL_CRASH_LAB", "DRCTL_CRASH_LAB_NET", "DRCTL_CRASH_SEED")


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.tiers")
    options.add_argument("--tier", choices=("namespaces", "loopback"), action="append", help="this tier only")
    asked, words = options.parse_known_args()
    chosen = [tiers.CHOICES[word] for word in asked.tier or ("namespaces", "loopback")]
    return max([run(tier, words) for tier in chosen])


def run(tier: str, words: list[str]) -> int:
    """The tests in one tier; 0 when each passed that it can carry."""
    name = os.environ.get("DRCTL_TEST_LAB", "test")[:8]
    sys.stdout.write(f"\n== tier {tier}\n")
    sys.stdout.flush()
    try:
        # The tests' labs have other nets than this one, which is there for its namespaces.
        with person_on(tier, lab=f"{name}p", net="10.76") as person:
            person.environment |= {"DRCTL_TEST_LAB": name, "DRCTL_TEST_LAB_NET": "10.78"}
            person.environment |= {word: os.environ[word] for word in MOVES if word in os.environ}
            within: tuple[str, ...] = ()
            if tier == tiers.NAMESPACES:
                up = person.drctl("lab", "up")
                if up.returncode:
                    sys.stderr.write(up.stderr)
                    return 1
                within = ("lab", "run", "--")
            else:
                person.environment["DRCTL_LAB_TIER"] = "loopback"
            return tests(person, tier, words, within)
    except pytest.skip.Exception as cannot:
        sys.stderr.write(f"{cannot}\n")
        return 1


def tests(person: Person, tier: str, words: list[str], within: tuple[str, ...]) -> int:
    """Run them, and count what came of them."""
    # Two processes, each with a lab of its own: they wait for hosts most of the time.
    words = words or ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", *PLACES]
    argv = [*person.become, *person.words_of_tests(*words, within=within)]
    done = subprocess.run(argv, cwd=ROOT, env=person.environ(), stdin=subprocess.DEVNULL, check=False)
    if not person.outcomes.exists():
        return done.returncode or 1
    counted = Counter(outcome(case) for case in cases(person.outcomes))
    sys.stdout.write(f"\n== tier {tier}: {counted.pop('passed', 0)} passed\n")
    for what, times in counted.most_common():
        sys.stdout.write(f"{times:>7} {what}\n")
    return done.returncode


def outcome(case: ElementTree.Element) -> str:
    """What came of one test, in a word or by the reason why it was skipped."""
    for found in case.findall("skipped"):
        return f"skipped: {found.get('message')}"
    return "FAILED" if case.find("failure") is not None or case.find("error") is not None else "passed"


if __name__ == "__main__":
    sys.exit(main())
