"""Which tier this is, where its labs lie, and what holds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from drctl.errors import LabError
from drctl.lab import prerequisites, tiers
from drctl.lab.holder import Holder
from drctl.lab.state import Process, machine_boot_id, write_process
from drctl.lab.topology import Settings

WHOLE = "         0          0 4294967295\n"
OWN = "         0       1001          1\n         1     100000      65535\n"


def test_root_of_a_user_namespace_is_not_root_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert tiers.is_real_root(WHOLE)
    assert not tiers.is_real_root(OWN)
    monkeypatch.setattr("os.geteuid", lambda: 1001)
    assert not tiers.is_real_root(WHOLE)
    assert tiers.tier() == tiers.NAMESPACES


def test_labs_of_a_person_lie_in_their_own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1001)
    environment = {"DRCTL_LAB": "mine", "XDG_STATE_HOME": str(tmp_path)}
    assert Settings.from_environment(environment).directory == tmp_path / "drctl-lab" / "mine"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings.from_environment({}).directory == tmp_path / ".local" / "state" / "drctl-lab" / "lab"


def test_what_a_lab_remembers_ends_with_its_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(tiers, "is_real_root", lambda: True)
    outside = machine_boot_id()
    monkeypatch.setattr(tiers, "is_real_root", lambda: False)
    first = Process.of(1)
    assert first is not None
    assert machine_boot_id() == f"{outside}/{first.started}"


def test_without_a_holder_nothing_is_entered(tmp_path: Path) -> None:
    holder = Holder(Settings("mine", "10.90", tmp_path / "mine"))
    with pytest.raises(LabError, match="no lab is up"):
        holder.run(["true"])
    # A record of a process that is another one by now, or none at all, is no holder either.
    write_process(tmp_path / "mine.holder.json", Process(1, 7))
    assert holder.process is None
    holder.end()
    assert list(tmp_path.iterdir()) == []


def test_namespaces_that_cannot_be_made_leave_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("drctl.lab.holder.UNSHARE", ["sh", "-c", "echo 'not permitted' >&2; exit 1"])
    with pytest.raises(LabError, match="cannot be made: not permitted") as caught:
        Holder(Settings("mine", "10.90", tmp_path / "mine")).ensure()
    assert caught.value.state == "nothing was changed"
    assert list(tmp_path.iterdir()) == []


def test_a_directory_without_setuid_programs_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tiers, "is_real_root", lambda: False)
    monkeypatch.setattr(prerequisites, "_is_nosuid", lambda _: True)
    missing = prerequisites.missing_prerequisites(tmp_path, programs={}, uid=0)
    assert "mounted nosuid" in "; ".join(item.what for item in missing)
    assert not any("control group" in item.what for item in missing), "this tier does without"
