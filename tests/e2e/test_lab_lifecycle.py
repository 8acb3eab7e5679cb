"""Up, up again, half up, down: and nothing of it stays on the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from drctl.cli.lab import app
from drctl.errors import DrctlError, LabError, LockedError
from drctl.lab import Lab
from drctl.lab.state import exclusive, lock_path
from drctl.lab.topology import DRILL_HOSTS, HOSTS, Settings
from tests.support import needs

pytestmark = pytest.mark.lab


def traces(settings: Settings) -> list[str]:
    """Everything on this machine that bears the lab's name."""
    found = [str(path) for path in (settings.directory, lock_path(settings.directory)) if path.exists()]
    found += [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{settings.directory}/" in line
    ]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/drctl-lab.{settings.name}")]
    found += [name for name in os.listdir("/sys/class/net") if name == settings.user_interface]
    routes = subprocess.run(["ip", "-4", "route"], capture_output=True, text=True, check=True).stdout
    found += [line for line in routes.splitlines() if f"{settings.net}." in line]
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            mounts = (entry / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if f"{settings.directory}/" in mounts:
            found.append(f"process {entry.name}: {mounts}")
    return found


def test_a_second_up_touches_nothing(lab: Lab) -> None:
    before = [lab.host(name).init for name in HOSTS]
    result = CliRunner().invoke(app, ["up"])
    assert result.exit_code == 0, result.output
    assert "up already" in result.stderr
    assert [lab.host(name).init for name in HOSTS] == before


@pytest.mark.needs(needs.LINKS)
def test_down_leaves_nothing(other_lab: Lab, tmp_path: Path) -> None:
    assert other_lab.up(tmp_path / "lab.yml")
    # A relay for a slow link is a process of this machine's; it goes with the lab.
    other_lab.latency(["operator", "edge"], 5)
    assert traces(other_lab.settings)
    assert other_lab.down()
    assert traces(other_lab.settings) == []
    assert not (tmp_path / "lab.yml").exists()
    result = CliRunner().invoke(app, ["down"])
    assert result.exit_code == 0
    assert "no lab is up" in result.stderr
    assert traces(other_lab.settings) == []


@pytest.mark.parametrize("then", ["up", "down"])
def test_an_up_that_was_killed_half_way_is_cleaned(other_lab: Lab, tmp_path: Path, then: str) -> None:
    code = (
        "from drctl.lab import Lab; from pathlib import Path; import sys\n"
        "Lab.from_environment().up(Path(sys.argv[1]), lambda line: print(line, flush=True))"
    )
    inventory = tmp_path / "lab.yml"
    words = [sys.executable, "-c", code, str(inventory)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        # The hosts run and PostgreSQL is on its way.
        assert any("PostgreSQL primary" in line for line in process.stdout)
        process.kill()
    assert traces(other_lab.settings)
    assert other_lab.status().phase == "starting"
    if then == "up":
        told: list[str] = []
        assert other_lab.up(inventory, told.append)
        assert "interrupted" in told[0]
        assert other_lab.status().application == "ok"
    assert other_lab.down()
    assert traces(other_lab.settings) == []


@pytest.mark.needs(needs.PGBACKREST)
def test_an_up_that_fails_removes_what_it_made(other_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise LabError("the stanza cannot be made")

    monkeypatch.setattr("drctl.lab.database.create_stanza", refuse)
    with pytest.raises(LabError, match="stanza"):
        other_lab.up(tmp_path / "lab.yml")
    other_lab.down()
    assert traces(other_lab.settings) == []


def test_two_ups_at_once(other_lab: Lab, tmp_path: Path) -> None:
    with exclusive(other_lab.settings.directory), pytest.raises(LockedError, match="another drctl"):
        other_lab.up(tmp_path / "lab.yml")
    assert not other_lab.settings.directory.exists()


@pytest.mark.needs(needs.LINKS)
def test_a_net_that_is_taken_is_refused(lab: Lab, other_lab: Lab, tmp_path: Path) -> None:
    clash = Lab(Settings(other_lab.settings.name, lab.settings.net, other_lab.settings.directory))
    with pytest.raises(LabError, match="already has a route") as caught:
        clash.up(tmp_path / "lab.yml")
    assert "DRCTL_LAB_NET" in caught.value.hint
    assert not clash.settings.directory.exists()
    assert lab.ssh("edge", ["true"]).returncode == 0


def test_a_lab_on_another_net_than_it_was_asked_for(lab: Lab) -> None:
    with pytest.raises(DrctlError, match="is up on"):
        Lab(Settings(lab.settings.name, "10.250", lab.settings.directory)).host("edge")


def test_verbs_without_a_lab_say_what_to_type(other_lab: Lab) -> None:
    with pytest.raises(LabError, match="no lab is up") as caught:
        other_lab.power_off("xneelo-jnb")
    assert caught.value.hint == "type: drctl lab up"
    assert "down" in CliRunner().invoke(app, ["status"]).stdout


@pytest.mark.needs(needs.SPACES)
def test_the_inventory_says_what_is_there(lab: Lab, lab_inventory: Path) -> None:
    assert lab_inventory.read_text() == lab.inventory_text()
    document = yaml.safe_load(lab_inventory.read_text())
    service = document["services"]["taskflow-demo"]
    assert service["vars"]["system_identifier"] == lab.psql(
        "azure-san", "SELECT system_identifier FROM pg_control_system()"
    )
    for name, host in document["hosts"].items():
        if name in DRILL_HOSTS:
            continue  # without power until a drill begins
        words = ["ssh", "-F", document["ssh"]["config"], "-l", host["user"], host["address"], "hostname"]
        assert subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() == name
    for name in ("power_off_primary", "resize_standby"):
        words = service["commands"][name]
        assert words[0] == "env"
        assert all(isinstance(word, str) for word in words)
        assert sys.executable in words


def test_ssh_passes_the_exit_code_on(lab: Lab) -> None:
    assert CliRunner().invoke(app, ["ssh", "edge", "exit", "7"]).exit_code == 7
    assert CliRunner().invoke(app, ["ssh", "edge", "--", "test", "-d", "/etc"]).exit_code == 0
