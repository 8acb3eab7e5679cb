"""Control groups of both versions, on directories that look like the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from drctl.errors import LabError
from drctl.lab.cgroups import ControlGroups, Hierarchy, discover
from drctl.lab.topology import SIZES

ONE = """\
30 20 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
TWO = "35 20 0:31 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def test_version_one_beside_an_empty_version_two() -> None:
    found = discover(ONE)
    assert {name: hierarchy.version for name, hierarchy in found.items()} == {"cpu": 1, "memory": 1, "freezer": 1}
    assert found["cpu"].root == Path("/sys/fs/cgroup/cpu,cpuacct")


def test_version_two_alone() -> None:
    assert discover(TWO) == dict.fromkeys(("freezer", "memory", "cpu"), Hierarchy(Path("/sys/fs/cgroup"), 2))
    assert discover("") == {}


@pytest.fixture
def unified(tmp_path: Path) -> tuple[ControlGroups, Path]:
    """Version 2, its control files made beforehand as the kernel makes them."""
    hierarchies = dict.fromkeys(("freezer", "memory", "cpu"), Hierarchy(tmp_path, 2))
    group = tmp_path / "drctl-lab.one" / "edge"
    group.mkdir(parents=True)
    for parent in (tmp_path, group.parent):
        (parent / "cgroup.subtree_control").write_text("")
    for name in ("cgroup.freeze", "memory.max", "memory.swap.max", "cpu.max"):
        (group / name).write_text("")
    (group / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    (group / "cgroup.procs").write_text("12\n34\n")
    return ControlGroups("one", hierarchies), group


def test_limits_and_freezing_of_version_two(unified: tuple[ControlGroups, Path]) -> None:
    groups, group = unified
    assert groups.directories("edge") == [group], "a process joins one group only"
    groups.create("edge")
    assert (group.parent / "cgroup.subtree_control").read_text() == "+cpu\n"
    groups.limit("edge", SIZES["micro"])
    assert (group / "memory.max").read_text() == f"{512 * 1024 * 1024}\n"
    assert (group / "memory.swap.max").read_text() == "0\n"
    assert (group / "cpu.max").read_text() == "12500 50000\n"
    groups.freeze("edge")
    assert (group / "cgroup.freeze").read_text() == "1\n"
    assert groups.is_frozen("edge")
    assert groups.processes("edge") == [12, 34]
    (group / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    with pytest.raises(LabError, match="not every process could be frozen"):
        groups.freeze("edge", within=0.05)


def test_a_kernel_without_them(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="offers no freezer control group"):
        ControlGroups("one", {}).freeze("edge")
    assert ControlGroups("one", {"cpu": Hierarchy(tmp_path, 1)}).processes("edge") == []
