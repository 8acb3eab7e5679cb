"""The reference page of the lab is held to the code."""

from __future__ import annotations

from pathlib import Path

from drctl.cli.lab import app
from drctl.lab.inventory import SERVICE, inventory
from drctl.lab.prerequisites import PROGRAMS
from drctl.lab.topology import HOSTS, SIZES, Settings

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "lab.md").read_text()
# These are on every Debian.
_ALWAYS_THERE = {"openssh-client", "util-linux", "procps", "python3"}


def test_every_verb_host_and_size_is_on_the_page() -> None:
    for command in app.registered_commands:
        assert command.callback
        assert f"{command.name or command.callback.__name__}" in PAGE
    for name in HOSTS:
        assert f"| `{name}` | {HOSTS[name].site} | {Settings().address(name)} |" in PAGE
    for size in SIZES.values():
        assert f"| `{size.name}` | {size.memory_mb} MB |" in PAGE
        assert f"| {size.shared_buffers} | {size.work_mem} |" in PAGE


def test_every_command_of_the_inventory_is_on_the_page() -> None:
    for name in inventory(Settings(), "7")["services"][SERVICE]["commands"]:
        assert f"`{name}`" in PAGE


def test_every_package_is_on_the_page() -> None:
    line = next(line for line in PAGE.splitlines() if line.strip().startswith("openssh-server"))
    assert set(line.split()) == (set(PROGRAMS.values()) | {"uidmap"}) - _ALWAYS_THERE
