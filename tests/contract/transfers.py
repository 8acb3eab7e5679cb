"""A host whose files go to and fro, by rsync and without it, and what is asked of each transfer."""

from __future__ import annotations

import random
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from drctl.adapters.commands import Commands
from drctl.adapters.redact import Redactor
from drctl.adapters.secrets import SecretResolver
from drctl.adapters.transfer import HostFiles
from drctl.engine.ports import CommandResult, Ending
from drctl.model.plan import Transfer
from tests.contract.ear import Ear
from tests.contract.sshd import PATIENCE_S, Sshd

OTHER = "nobody"
MIB = 1_048_576
FREE = 1 << 60
Direction = Literal["put", "get"]


@dataclass
class Files:
    """A host, the files of both sides, and what is said."""

    server: Sshd
    here: Path
    there: Path
    way: str
    commands: Commands = field(default_factory=lambda: Commands(SecretResolver(Redactor())))
    ear: Ear = field(default_factory=Ear)

    def move(
        self,
        direction: Direction,
        name: str = "file",
        *,
        sha256: str | None = None,
        become: str | None = None,
        timeout_s: float = PATIENCE_S,
        remote: str | None = None,
    ) -> CommandResult:
        self.ear = Ear()
        order = Transfer(
            direction=direction, local=str(self.here / name), remote=remote or str(self.there / name), sha256=sha256
        )
        return HostFiles(self.commands).transfer(
            self.server.endpoint, order, become=become, timeout_s=timeout_s, output=self.ear
        )

    def ends(self, direction: Direction, name: str = "file") -> tuple[Path, Path]:
        """Source and target."""
        ends = (self.here / name, self.there / name)
        return ends if direction == "put" else ends[::-1]

    def relay(self, direction: Direction, limit: int, how: str, mark: Path | None = None) -> None:
        """From now on a connection carries so many bytes of data only."""
        up, down = (limit, FREE) if direction == "put" else (FREE, limit)
        script = Path(__file__).with_name("relay.py")
        self.server.write_config(
            f"  ProxyCommand {sys.executable} {script} {self.server.port} {up} {down} {how} {mark or ''}"
        )

    @property
    def moved(self) -> int:
        """The bytes that went over the line, by rsync's count or our own."""
        match = re.search(rb"(\d+) of \d+ bytes were (?:sent|fetched) by " + self.way.encode(), self.ear.out)
        assert match, (self.ear.out, self.ear.err)
        return int(match[1])


def data(size: int, seed: int = 1) -> bytes:
    """Bytes that no compression makes smaller."""
    return random.Random(seed).randbytes(size)


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".drctl-part")


def without_rsync(directory: Path) -> str:
    """A PATH with all that this machine has, but rsync."""
    tools = directory / "no-rsync"
    tools.mkdir()
    for folder in ("/usr/bin", "/bin", "/usr/sbin"):
        for tool in Path(folder).iterdir():
            if tool.name != "rsync" and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool)
    return str(tools)


def assert_done(result: CommandResult, files: Files) -> None:
    assert (result.ending, result.exit_code) == (Ending.FINISHED, 0), (result, files.ear.err)


def assert_no(result: CommandResult, files: Files, *words: str) -> None:
    """Exit code 1, and one clear line on standard error."""
    assert (result.ending, result.exit_code) == (Ending.FINISHED, 1), (result, files.ear.err)
    said = files.ear.err.decode().strip().splitlines()[-1]
    assert said == result.detail
    for word in words:
        assert word in said
    assert files.ear.out == b""
