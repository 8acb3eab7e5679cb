"""Somebody without root, for the lab's tiers that need none: a real process of another number, not a pretence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest

from drctl.lab import tiers
from tests.support.operator import ROOT

_FIRST_OF_THEIRS = 1_900_000_000
INSIDE = "DRCTL_TEST_PERSON"
"""What tells tests that such a person runs them."""
# Makes root a person with an account and subordinate numbers, in a mount namespace: the machine's files stay as
# they are. What Python needs may lie in a home that nobody else may enter; there it is all that can be seen.
# A small disk is theirs, since they can mount none.
_BECOME = r"""
set -eu
uid=$1 home=$2; shift 2
mount --make-rprivate /
mount -t tmpfs -o "size=4m,mode=700,uid=$uid,gid=$uid" none "$home/small"
for file in passwd group subuid subgid; do mount --bind "$home/.etc/$file" "/etc/$file"; done
number=0
while [ "$1" != -- ]; do
    mkdir -p "$home/.kept/$number"
    mount --bind "$1" "$home/.kept/$number"
    number=$((number + 1))
    eval "needed_$number=\$1"
    shift
done
shift
i=0
while [ "$i" -lt "$number" ]; do
    kept=$home/.kept/$i i=$((i + 1))
    eval "needed=\$needed_$i"
    until setpriv --reuid="$uid" --regid="$uid" --clear-groups test -x "$needed"; do
        closed=$needed
        while ! setpriv --reuid="$uid" --regid="$uid" --clear-groups test -x "$(dirname "$closed")"; do
            closed=$(dirname "$closed")
        done
        mount -t tmpfs -o mode=755 none "$closed"
        mkdir -p "$needed"
        mount --bind "$kept" "$needed"
    done
done
exec setpriv --reuid="$uid" --regid="$uid" --clear-groups "$@"
"""


@dataclass
class Person:
    """Somebody who types: in a home of their own, with the lab that ``lab`` names."""

    home: Path
    lab: str
    net: str
    become: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def environ(self) -> dict[str, str]:
        """All that their programs are told."""
        return {
            "HOME": str(self.home),
            "PATH": "/usr/bin:/bin",
            "TMPDIR": str(self.home / "tmp"),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(self.home / "tmp" / "hypothesis"),
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(ROOT),
            "DRCTL_LAB": self.lab,
            "DRCTL_LAB_NET": self.net,
            "DRCTL_TEST_LAB": self.lab,
            "DRCTL_TEST_LAB_NET": self.net,
            INSIDE: "1",
            **self.environment,
        }

    def types(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.become, *words], cwd=ROOT, env=self.environ(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def drctl(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return self.types(sys.executable, "-m", "drctl", *words, timeout=timeout)

    def tests(self, names: Iterable[str], *within: str) -> dict[str, ElementTree.Element]:
        """What came of each of these tests, run by this person; ``within``: words of drctl to run them in."""
        done = self.types(*self.words_of_tests(*names, within=within), timeout=800)
        assert self.outcomes.exists(), done.stdout + done.stderr
        return {case.attrib["name"]: case for case in cases(self.outcomes)}

    @property
    def outcomes(self) -> Path:
        """What came of the tests that they ran last."""
        return self.home / "junit.xml"

    def words_of_tests(self, *words: str, within: Iterable[str] = ()) -> list[str]:
        """The words that run tests; ``within``: words of drctl to run them in."""
        python = [sys.executable, "-m"]
        return [
            *([*python, "drctl", *within] if within else []),
            *(*python, "pytest", "-p", "no:cacheprovider", "-q", f"--junitxml={self.outcomes}", *words),
        ]


def cases(report: Path) -> list[ElementTree.Element]:
    """What a report of pytest has of each test."""
    return list(ElementTree.parse(report).iter("testcase"))  # noqa: S314 (our own)


def passed(outcomes: dict[str, ElementTree.Element], name: str) -> None:
    """Fail or skip here as the test did there, or as any of its cases did when ``name`` has no brackets."""
    found = [case for case in outcomes if case == name or case.startswith(f"{name}[")]
    assert found, f"{name} was not run"
    for case in found:
        for kind in ("failure", "error"):
            for what in outcomes[case].findall(kind):
                pytest.fail(f"{case}: {what.get('message')}\n{what.text}")
    for case in found:
        for what in outcomes[case].findall("skipped"):
            pytest.skip(str(what.get("message")))


@contextmanager
def person_on(tier: str, *, lab: str, net: str) -> Iterator[Person]:
    """Somebody without root who gets this tier of the lab; their lab and all that they have are gone at the end.

    Without subordinate numbers there are no user namespaces that a lab could stand in.
    """
    if INSIDE in os.environ:
        pytest.skip("somebody without root runs these tests already: in a tier no other one is made")
    # Not below /tmp, which may be a tmpfs: older kernels keep no notes of an overlay there.
    home = Path(tempfile.mkdtemp(prefix="drctl-lab-", dir="/var/tmp"))
    home.chmod(0o755)
    namespaces = tier == tiers.NAMESPACES
    try:
        uid = 1_900_000 if namespaces else 1_900_001
        person = _new_person(home, lab=lab, net=net, uid=uid, subordinates=namespaces)
        if os.geteuid() != 0 and not namespaces:
            person.environment["DRCTL_LAB_TIER"] = "loopback"
        try:
            yield person
        finally:
            person.drctl("lab", "down")
    finally:
        shutil.rmtree(home)


def _new_person(home: Path, *, lab: str, net: str, uid: int, subordinates: bool) -> Person:
    """An account of that number, with subordinate numbers or without."""
    (home / "tmp").mkdir()
    if os.geteuid() != 0:
        return Person(home, lab, net)
    for name in (".etc", "small"):
        (home / name).mkdir()
    for name, line in (
        ("passwd", f"labperson:x:{uid}:{uid}::{home}:/bin/sh\n"),
        ("group", f"labperson:x:{uid}:\n"),
        ("subuid", f"labperson:{_FIRST_OF_THEIRS}:65536\n" if subordinates else ""),
        ("subgid", f"labperson:{_FIRST_OF_THEIRS}:65536\n" if subordinates else ""),
    ):
        there = Path("/etc", name)
        if not there.exists():
            pytest.skip(f"this machine has no {there}: package uidmap is missing")
        (home / ".etc" / name).write_text(there.read_text() + line)
    # The repository is somebody else's, and git reads none of those unless it is told to.
    (home / ".gitconfig").write_text(f"[safe]\n\tdirectory = {ROOT}\n")
    for place in (home, home / "tmp"):
        os.chown(place, uid, uid)
    needed = dict.fromkeys((str(ROOT), sys.prefix, sys.base_prefix))
    become = ["unshare", "--mount", "sh", "-c", _BECOME, "sh", str(uid), str(home), *needed, "--"]
    return Person(home, lab, net, become, {"DRCTL_TEST_SMALL_DISK": str(home / "small")})
