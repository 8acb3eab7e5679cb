"""What the lab writes: the inventory, the pgBackRest configurations, the scripts; and what a machine lacks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from drctl.cli.lab import app
from drctl.errors import LabError
from drctl.lab import prerequisites
from drctl.lab.database import pgbackrest_configuration
from drctl.lab.inventory import default_path, inventory_text, lab_command
from drctl.lab.prerequisites import filesystem_of, install_line, missing_prerequisites, require
from drctl.lab.topology import Settings

FILES = Path(prerequisites.__file__).parent / "files"
SETTINGS = Settings("second", "10.90", Path("/srv/labs/second"))


def test_the_inventory_is_plain_yaml_with_every_word_in_it_a_string() -> None:
    document = yaml.safe_load(inventory_text(SETTINGS, "7123"))
    service = document["services"]["taskflow-demo"]
    assert document["hosts"]["azure-san"]["address"] == "10.90.2.12"
    assert service["vars"]["system_identifier"] == "7123"
    assert service["commands"]["power_off_primary"][-3:] == ["power", "off", "xneelo-jnb"]
    assert set(service["roles"]) == {"primary", "standby", "backup", "backup_copy", "app", "monitor", "witness"}
    assert all(site["country"] == "ZA" for site in document["sites"].values())


def test_a_command_of_the_inventory_means_this_drctl_and_this_lab_from_anywhere(tmp_path: Path) -> None:
    words = lab_command(SETTINGS, "status")
    assert words[:4] == ["env", "DRCTL_LAB=second", "DRCTL_LAB_NET=10.90", "DRCTL_LAB_DIR=/srv/labs/second"]
    assert words[4] == sys.executable
    done = subprocess.run([*words, "--json"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert '"name": "second"' in done.stdout, done.stderr


def test_where_the_inventory_goes(tmp_path: Path) -> None:
    assert default_path(SETTINGS, tmp_path) == Path("/srv/labs/second/inventory.yml")
    (tmp_path / "inventories").mkdir()
    assert default_path(SETTINGS, tmp_path) == tmp_path / "inventories" / "lab.second.yml"
    assert default_path(Settings(), tmp_path) == tmp_path / "inventories" / "lab.yml"


def test_the_repository_lists_both_database_servers_and_keeps_seven_days() -> None:
    text = pgbackrest_configuration("cloudprox")
    assert "pg1-host=xneelo-jnb" in text
    assert "pg2-host=azure-san" in text
    assert "repo1-retention-full-type=time" in text
    assert "archive-async=y" in pgbackrest_configuration("azure-san")


def test_everything_that_is_missing_is_named_at_once() -> None:
    missing = missing_prerequisites(Path("/"), programs={"no-such-1": "pgbackrest", "no-such-2": "haproxy"}, uid=1000)
    said = "; ".join(item.what for item in missing)
    assert "root" in said
    assert "no-such-1" in said
    assert "no-such-2" in said
    assert install_line(missing) == ("RUNLEVEL=1 apt-get install -y -o DPkg::Lock::Timeout=300 haproxy pgbackrest")


@pytest.mark.parametrize("uid", [1, 3_999_999], ids=["known", "in-no-list"])
def test_without_root_up_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uid: int) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    # What a kernel says that lets nobody but root make namespaces.
    monkeypatch.setattr(prerequisites, "UNSHARE", ["sh", "-c", "echo 'not permitted' >&2; exit 1", "--"])
    with pytest.raises(LabError, match=r"root, or user namespaces .*not permitted") as caught:
        require(Settings("mine", "10.90", tmp_path))
    assert "sudo drctl lab up" in caught.value.hint
    assert "usermod --add-subuids" in caught.value.hint
    assert caught.value.state == "nothing was changed"


def test_without_packages_up_names_the_line_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(prerequisites, "PROGRAMS", {"no-such-program": "pgbackrest"})
    monkeypatch.setenv("DRCTL_LAB_DIR", str(tmp_path / "lab"))
    result = CliRunner().invoke(app, ["up"])
    assert isinstance(result.exception, LabError)
    assert "apt-get install -y -o DPkg::Lock::Timeout=300 pgbackrest" in result.exception.hint
    assert not (tmp_path / "lab").exists()
    doctor = CliRunner().invoke(app, ["doctor"])
    assert doctor.exit_code == 1
    assert "RUNLEVEL=1 apt-get" in doctor.stdout


def test_the_file_system_that_a_path_would_lie_on() -> None:
    mountinfo = (
        "1 0 0:1 / / rw - overlay overlay rw\n"
        "2 1 0:2 / /var/lib rw shared:3 - ext4 /dev/vda rw\n"
        "3 1 0:3 / /var/library rw - tmpfs tmpfs rw\n"
    )
    assert filesystem_of(Path("/srv/lab"), mountinfo) == "overlay"
    assert filesystem_of(Path("/var/lib/drctl-lab/lab"), mountinfo) == "ext4"


def commands() -> list[str]:
    listed = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    return [*listed, "power", "backups", "break", "mend"]


@pytest.mark.parametrize(
    "words",
    [
        *([name] for name in commands()),
        ["power", "off"],
        ["power", "on"],
        ["backups", "history"],
        ["break", "backup"],
        ["mend", "backup"],
    ],
    ids=" ".join,
)
def test_every_help_has_an_example(words: list[str]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert "Example: " in result.stdout
    assert "drctl lab" in result.stdout.split("Example: ")[1]


def test_the_shipped_files_are_packed_and_hold_no_secret() -> None:
    assert {path.name for path in FILES.iterdir() if path.is_file()} >= {"boot.sh", "join.sh", "haproxy.cfg"}
    assert "REPLICATOR_PASSWORD" in (FILES / "primary.sql").read_text()
