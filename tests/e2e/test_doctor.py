"""``drctl doctor``: a host where everything is wrong that it looks for, and hosts that it cannot get into."""

from __future__ import annotations

import getpass
import re
import subprocess
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd, make_key
from tests.support.days import Day, Machine

ME = getpass.getuser()


@pytest.fixture
def day(sshd: Sshd, tmp_path: Path) -> Day:
    return Day.on(Machine.on_loopback(sshd), tmp_path)


def findings(day: Day, *, code: int) -> dict[str, str]:
    """What it says of each thing that is not in order, the hint after a line's end."""
    said = day.types("doctor", "-i", str(day.operator.inventory), code=code)
    found = re.findall(r"^NOT OK +(\S+) +(.*)\n(?: +next: (.*)\n)?", said, re.M)
    return {subject: f"{what}\n{hint}" for subject, what, hint in found}


def with_tools(sshd: Sshd, directory: Path, *, without: str = "", **scripts: str) -> None:
    """Let the host have its tools but for one, and of some a version of its own."""
    tools = directory / "tools"
    tools.mkdir()
    for tool in Path("/usr/bin").iterdir():
        if tool.name not in (without, *scripts):
            (tools / tool.name).symlink_to(tool)
    for name, script in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    sshd.stop()
    config = sshd.server_config.read_text()
    sshd.server_config.write_text(re.sub(r"^(SetEnv .*)$", rf"\1 PATH={tools}", config, flags=re.M))
    sshd.start()


def test_a_host_with_everything_wrong_is_told_all_at_once(sshd: Sshd, day: Day, tmp_path: Path) -> None:
    full = "echo F; echo /dev/a 9 9 0 41% /; echo /dev/b 9 9 0 97% /home"
    date = "/usr/bin/date -u +%s.%N -d '+1 hour'"
    with_tools(sshd, tmp_path, without="setsid", date=date, df=full, sudo="exit 1")
    found = findings(day, code=1)
    assert set(found) == {"testhost"}
    said = re.sub(r"\+3[56]\d\d\.\d+", "+HOUR", found["testhost"])
    assert said == (
        "reached; clock +HOUR s; disk 97 %; sudo no; setsid is missing; its clock is +HOUR s off; its disk is 97 % "
        "full; sudo asks for a password\n"
        f"ssh -F HERE/sshd/ssh_config -o HostName=127.0.0.1 -p {sshd.port} -l {ME} testhost"
    )


def test_what_cannot_be_read_is_not_in_order(sshd: Sshd, day: Day, tmp_path: Path) -> None:
    with_tools(sshd, tmp_path, date="echo today", df="exit 1", sudo="exit 0")
    assert findings(day, code=1)["testhost"].splitlines()[0] == (
        "reached; clock ?; disk ?; sudo yes; its clock cannot be read; how full its disk is cannot be read"
    )


def test_a_clock_that_knows_no_parts_of_a_second_is_a_clock(sshd: Sshd, day: Day, tmp_path: Path) -> None:
    with_tools(sshd, tmp_path, date="/usr/bin/date -u +%s.N", df="echo F; echo /dev/a 9 9 0 41% /", sudo="exit 0")
    assert findings(day, code=0) == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("unknown host key", "the host key of testhost (127.0.0.1) is not known: it shows ssh-ed25519 SHA256:"),
        ("changed host key", "the host key of testhost (127.0.0.1) has changed: it shows ssh-ed25519 SHA256:"),
        ("our key", f"refused: testhost (ADDRESS) took none of the 1 keys offered for user {ME}; nothing was sent\n"),
        ("nobody listens", "testhost (ADDRESS) does not take connections: Connection refused; nothing was sent\n"),
    ],
)
def test_a_host_that_it_cannot_get_into(sshd: Sshd, day: Day, tmp_path: Path, wrong: str, said: str) -> None:
    match wrong:
        case "unknown host key":
            sshd.known_hosts.write_text("")
        case "changed host key":
            other = Sshd.public(make_key(tmp_path / "other"))
            sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {other}\n")
        case "our key":
            sshd.authorized_keys.write_text("")
        case _:
            sshd.stop()
    found = findings(day, code=1)["testhost"]
    assert said in found
    # The command that it says to type next fails of the same.
    command = found.splitlines()[1].replace("ssh ", "ssh -o BatchMode=yes ", 1)
    assert command.endswith(" testhost true")
    done = subprocess.run(["sh", "-c", command.replace("HERE", str(tmp_path))], capture_output=True, check=False)
    assert done.returncode == 255, done.stderr
