"""The scripts that run on hosts are constants that shellcheck has read, and Python writes nothing into them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from drctl.adapters.payload import PayloadError, script_digest, script_text, shell_quote
from drctl.engine.ports import ShellCommand

FILES = resources.files("drctl.adapters") / "files"


@pytest.mark.parametrize("name", ["job.sh", "worker.sh", "hold.sh", "left.sh"])
def test_shellcheck_finds_nothing(name: str) -> None:
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([shellcheck, str(FILES / name)], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


def test_importing_the_adapters_costs_no_ssh() -> None:
    code = (
        "import sys, drctl.adapters, drctl.adapters.commands, drctl.adapters.outputs\n"
        "print([name for name in ('paramiko', 'fabric', 'invoke', 'cryptography', 'tenacity') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_script_is_sent_unchanged() -> None:
    script = "echo \"$1\" 'it''s' `date` # ${x}\n\nexit 0"
    text = script_text(ShellCommand(script=script, variables={"x": "a'b"}, words=("w",)), {"s": "v"})
    assert text.splitlines()[:3] == ["x='a'\\''b'", "unset s; s='v'", "set -- 'w'"]
    assert f"drctl_script={shell_quote(script)}\n" in text


def test_the_sum_is_the_scripts_alone() -> None:
    plain = script_digest(ShellCommand(script="true"))
    assert plain == script_digest(ShellCommand(script="true", variables={"a": "b"}, words=("c",), become="d"))
    assert plain != script_digest(ShellCommand(script="false"))


def test_an_error_shows_names_and_no_values() -> None:
    for command, secrets in (
        (ShellCommand(script="", variables={"bad name": "leaked"}), {}),
        (ShellCommand(script="", variables={"v": "leaked\0"}), {}),
        (ShellCommand(script="", words=("leaked\0",)), {}),
        (ShellCommand(script=""), {"s": "leaked\0"}),
    ):
        with pytest.raises(PayloadError) as raised:
            script_text(command, secrets)
        assert "leaked" not in str(raised.value)
