"""Servers on loopback to measure against: one, one behind another, and one that is far away."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drctl.adapters.commands import Commands
from drctl.adapters.hold import Hold
from drctl.adapters.redact import Redactor
from drctl.adapters.secrets import SecretResolver
from tests.contract.sshd import Sshd, wait_until

ONE_WAY_S = 0.010


@contextmanager
def server(directory: Path, *, through: str = "") -> Iterator[Sshd]:
    """An sshd. ``through`` is "gateway" for a jump through the same machine."""
    directory.mkdir()
    sshd = Sshd(directory)
    sshd.start()
    sshd.write_config(f"  HostName 127.0.0.1\n  Port {sshd.port}\n" + (f"  ProxyJump {through}" if through else ""))
    with sshd.config.open("a") as file:
        file.write(
            f"Host gateway\n  HostName 127.0.0.1\n  Port {sshd.port}\n  IdentityFile {sshd.user_key}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {sshd.known_hosts}\n  GlobalKnownHostsFile none\n"
        )
    try:
        yield sshd
    finally:
        sshd.stop()


def commands() -> Commands:
    hold = Hold(service="bench", run_id="bench", who="bench")
    return Commands(SecretResolver(Redactor(), environ={}), hold=hold)


class Master:
    """OpenSSH's own way to run many commands on one connection: ControlMaster."""

    def __init__(self, sshd: Sshd) -> None:
        self.words = ["ssh", "-F", str(sshd.config), "-S", str(sshd.directory / "control"), sshd.name]

    def __enter__(self) -> Master:
        subprocess.run(
            [*self.words[:-1], "-o", "ControlMaster=yes", "-o", "ControlPersist=600", "-N", "-f", self.words[-1]],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([*self.words[:-1], "-O", "exit", self.words[-1]], check=True, capture_output=True)

    def times(self, number: int, command: str) -> None:
        """So many calls from a shell's loop, as a script would make them."""
        loop = f'n=0; while [ "$n" -lt {number} ]; do "$@" </dev/null || exit 1; n=$((n + 1)); done'
        subprocess.run(["sh", "-c", loop, "sh", *self.words, command], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def far_away(to_port: int) -> Iterator[int]:
    """A port that leads to another one, and holds everything back for ``ONE_WAY_S`` in each direction."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    relay = subprocess.Popen([sys.executable, "-m", "tests.bench.server", str(port), str(to_port)])

    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            return False
        return True

    try:
        wait_until("the relay listens", answers)
        yield port
    finally:
        relay.terminate()
        relay.wait()


async def _relay(port: int, to_port: int) -> None:
    loop = asyncio.get_running_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            loop.call_later(ONE_WAY_S, writer.write, data)
        loop.call_later(ONE_WAY_S, writer.close)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to_port)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)

    listening = await asyncio.start_server(connected, "127.0.0.1", port)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(_relay(int(sys.argv[1]), int(sys.argv[2])))
