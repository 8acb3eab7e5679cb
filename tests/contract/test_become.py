"""Running as another user, through sudo."""

from __future__ import annotations

import pwd
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from drctl.engine.ports import Ending
from tests.contract.conftest import Way, new_name
from tests.contract.ear import Ear

OTHER = "nobody"


@pytest.fixture(autouse=True)
def _sudo(way: Way) -> None:
    if shutil.which("sudo") is None or shutil.which("setsid") is None:
        pytest.skip("sudo is not installed")
    if subprocess.run(["sudo", "-n", "-u", OTHER, "--", "true"], capture_output=True, check=False).returncode:
        pytest.skip(f"sudo does not let us run commands as {OTHER}")
    if way.endpoint is None and way.probe("command -v sudo").exit_code != 0:
        pytest.skip("there is no sudo on this way's PATH")


def test_a_probe_runs_as_the_other_user(way: Way) -> None:
    ear = Ear()
    result = way.probe('id -un; echo "$v" "$1"', ear, become=OTHER, variables={"v": "a 'b'"}, words=("$(w)",))
    assert (result.exit_code, ear.out) == (0, b"%s\na 'b' $(w)\n" % OTHER.encode())


def test_a_job_runs_once_as_the_other_user_who_has_no_home(way: Way) -> None:
    name, secret = new_name(), uuid.uuid4().hex
    way.environ["S"] = secret
    ears = [Ear(), Ear()]
    results = [
        way.job('id -un; echo "$s"; exit 9', ear, name=name, become=OTHER, secrets={"s": "env:S"}) for ear in ears
    ]
    assert [(result.exit_code, result.attached) for result in results] == [(9, False), (9, True)]
    assert ears[0].out == ears[1].out == f"{OTHER}\n{secret}\n".encode()
    directory = Path(f"/var/tmp/drctl-{pwd.getpwnam(OTHER).pw_uid}/jobs") / way.directory(name).name
    found = subprocess.run(
        ["sudo", "-n", "-u", OTHER, "--", "stat", "-c", "%a", str(directory)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "700"
    subprocess.run(["sudo", "-n", "-u", OTHER, "--", "rm", "-r", str(directory)], check=True)


def test_a_timeout_as_the_other_user_is_confirmed(way: Way) -> None:
    assert way.probe("sleep 1000 & wait", become=OTHER, timeout_s=1).ending is Ending.TIMED_OUT


def test_our_own_name_needs_no_sudo(way: Way) -> None:
    ear = Ear()
    way.probe("id -un; tr '\\0' ' ' </proc/$PPID/cmdline", ear, become=pwd.getpwuid(0).pw_name if _root() else None)
    assert b"sudo" not in ear.out


@pytest.mark.parametrize("user", ["no-such-user-here", "-u root", "a b", "$(id)", "#0", ""])
def test_a_user_that_is_none_is_refused(way: Way, user: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    result = way.probe(f"touch {mark}", become=user)
    assert result.ending is Ending.REFUSED
    assert not mark.exists()


def test_what_sudo_says_is_told(way: Way) -> None:
    result = way.job("true", become="no-such-user-here")
    assert result.ending is Ending.REFUSED
    assert "sudo to no-such-user-here" in result.detail
    assert "unknown user" in result.detail
    assert "nothing was run" in result.detail


def _root() -> bool:
    import os

    return os.geteuid() == 0
