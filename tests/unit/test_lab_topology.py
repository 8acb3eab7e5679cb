"""Which lab is meant, and what its names and addresses are."""

from __future__ import annotations

from pathlib import Path

import pytest

from drctl.errors import UsageError
from drctl.lab.topology import HOSTS, SIZES, Settings, host_of, hosts_of


def test_the_settings_that_nobody_gave() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings("lab", "10.77", Path("/var/lib/drctl-lab/lab"))
    assert settings.address("azure-san") == "10.77.2.12"
    assert settings.environment_words() == [
        "DRCTL_LAB=lab",
        "DRCTL_LAB_NET=10.77",
        "DRCTL_LAB_DIR=/var/lib/drctl-lab/lab",
    ]


def test_another_lab_beside_it() -> None:
    settings = Settings.from_environment({"DRCTL_LAB": "second", "DRCTL_LAB_NET": "172.20"})
    assert settings.directory == Path("/var/lib/drctl-lab/second")
    assert settings.network == "172.20.0.0/16"
    assert settings.gateway("operator") == "172.20.9.1"


@pytest.mark.parametrize("name", ["Lab", "elevenchars", "a-b", "1st", "../x", "a b"])
def test_a_name_that_cannot_be_an_interface_or_a_directory(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a lab"):
        Settings.from_environment({"DRCTL_LAB": name})


def test_the_longest_name_still_fits_an_interface() -> None:
    assert len(Settings.from_environment({"DRCTL_LAB": "abcdefghij"}).user_interface) <= 15


@pytest.mark.parametrize("net", ["10", "10.77.1", "10.256", "127.0", "0.1", "224.1", "ten.77"])
def test_a_net_that_cannot_be_one(net: str) -> None:
    with pytest.raises(UsageError, match="not the first two octets"):
        Settings.from_environment({"DRCTL_LAB_NET": net})


@pytest.mark.parametrize("directory", ["relative", "/with space", "/a:b", "/a,b"])
def test_a_directory_that_no_overlay_can_name(directory: str) -> None:
    with pytest.raises(UsageError, match="absolute path"):
        Settings.from_environment({"DRCTL_LAB_DIR": directory})


def test_hosts_by_their_own_name_and_by_their_site() -> None:
    assert host_of("teraco-cpt").name == "edge"
    assert [host.name for host in hosts_of("azure-san")] == ["azure-san"]
    with pytest.raises(UsageError, match="no host or site called 'mars'") as caught:
        hosts_of("mars")
    assert "xneelo-jnb" in caught.value.hint


def test_addresses_are_apart_and_sizes_grow() -> None:
    settings = Settings()
    assert len({settings.address(name) for name in HOSTS}) == len(HOSTS)
    assert SIZES["micro"].memory_mb < SIZES["standard"].memory_mb
    assert SIZES["micro"].cpu_percent < SIZES["standard"].cpu_percent
