"""The loopback tier's pure parts: which tier is asked for, and where a host's own paths lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from drctl.errors import UsageError
from drctl.lab import loopback, tiers
from drctl.lab.inventory import SERVICE, inventory
from drctl.lab.prerequisites import missing_of_loopback
from drctl.lab.state import LabState, machine_boot_id, write_state
from drctl.lab.topology import PGDATA, POSTGRESQL_BIN, Settings

HERE = Settings("mine", "10.90", Path("/srv/labs/mine"), loopback=True)
DISK = "/srv/labs/mine/hosts/azure-san/disk"


@pytest.fixture(autouse=True)
def _wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "wheel_bin", lambda: Path("/wheel/bin"))
    monkeypatch.setattr("importlib.metadata.version", lambda _: "17.10.0")


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        (PGDATA, f"{DISK}/var/lib/postgresql/17/main"),
        (f"{POSTGRESQL_BIN}/psql", "/wheel/bin/psql"),
        (
            "unix_socket_directories = '/run/postgresql'",
            "unix_socket_directories = '/srv/labs/mine/hosts/azure-san/run'",
        ),
        ("disabled=/etc/lab/disabled/postgresql", f"disabled={DISK}/etc/lab/disabled/postgresql"),
        # What is the machine's, or somebody else's of a like name, stays.
        ("/usr/bin/env sh /etc/ssl/certs", "/usr/bin/env sh /etc/ssl/certs"),
        ("/data/var/lib/x ~/var/log/y ./opt/lab/z", "/data/var/lib/x ~/var/log/y ./opt/lab/z"),
        ("/var/library /optional", "/var/library /optional"),
    ],
)
def test_a_hosts_own_paths_are_moved_once(text: str, moved: str) -> None:
    assert loopback.relocated(HERE, "azure-san", text) == moved
    assert loopback.relocated(HERE, "azure-san", moved) == moved


def test_the_inventory_says_where_everything_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "thandi")
    found = inventory(HERE, "7")
    host = found["hosts"]["azure-san"]
    assert (host["address"], host["port"], host["user"]) == ("127.90.2.12", 2222, "thandi")
    assert host["vars"] == {"pgdata": f"{DISK}/var/lib/postgresql/17/main"}
    service = found["services"][SERVICE]
    assert service["vars"]["pgbin"] == "/wheel/bin"
    assert service["vars"]["health_url"] == "http://127.90.4.14:8080/health"
    assert service["commands"]["disable_database"] == ["database", "disable"]
    assert service["backups"] == [], "a backup that cannot be there is not promised"
    assert "DRCTL_LAB_TIER=loopback" in service["commands"]["power_off_primary"]


def test_a_lab_that_is_up_keeps_its_tier_whatever_is_asked_for(tmp_path: Path) -> None:
    words = {"DRCTL_LAB_DIR": str(tmp_path / "mine")}
    assert Settings.from_environment({**words, "DRCTL_LAB_TIER": "loopback"}).loopback
    assert not Settings.from_environment(words).loopback
    (tmp_path / "mine").mkdir()
    write_state(tmp_path / "mine", LabState("up", machine_boot_id(), "10.77", tier=tiers.LOOPBACK))
    assert Settings.from_environment(words).loopback
    assert Settings.from_environment({**words, "DRCTL_LAB_TIER": "root"}).loopback


def test_a_tier_that_this_person_does_not_get_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = {"DRCTL_LAB_DIR": str(tmp_path / "mine")}
    monkeypatch.setattr("os.geteuid", lambda: 1001)
    with pytest.raises(UsageError, match="would get the tier user namespaces") as refused:
        Settings.from_environment({**words, "DRCTL_LAB_TIER": "root"})
    assert refused.value.hint == "type: sudo drctl lab up"
    with pytest.raises(UsageError, match="'tent' is no tier") as refused:
        Settings.from_environment({**words, "DRCTL_LAB_TIER": "tent"})
    assert "loopback" in refused.value.hint


def test_root_is_told_that_postgresql_does_not_run_as_root() -> None:
    assert any("an ordinary user" in item.what for item in missing_of_loopback(uid=0))
    assert not any("an ordinary user" in item.what for item in missing_of_loopback(uid=1000))
