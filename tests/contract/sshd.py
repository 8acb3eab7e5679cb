"""A real OpenSSH server for the tests, on 127.0.0.1, with keys of its own; and what may happen to one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from drctl.model.plan import Endpoint

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
PATIENCE_S = 60.0
"""For things that happen at once or never. It is no mark to be met."""


def wait_until(what: str, condition: Callable[[], bool]) -> None:
    """Wait for something that will be so in a moment."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new key pair."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "drctl-test", "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path


def children_of(pid: int) -> list[int]:
    """All descendants of a process, nearest first."""
    try:
        direct = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return direct + [below for child in direct for below in children_of(child)]


def _let_root_have_an_sshd(directory: Path) -> None:
    """What an init script would have made; and for root of a user namespace two files that it owns and can read.

    They are mounted in that namespace, and gone with it. An account whose shadow cannot be read counts as locked.
    """
    place = Path("/run/sshd")
    place.mkdir(mode=0o755, exist_ok=True)
    if place.stat().st_uid != 0:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=64k", "none", place], check=True)
    if not os.access("/etc/shadow", os.R_OK):
        shadow = directory / "shadow"
        shadow.write_text("root:*:1::::::\n")
        subprocess.run(["mount", "--bind", shadow, "/etc/shadow"], check=True)


def _name_of(pid: int) -> str:
    """The program that a process runs; empty when it has gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class Sshd:
    """One server, and the client's files: ``config``, ``known_hosts``, ``authorized_keys`` may be rewritten."""

    def __init__(
        self, directory: Path, *, name: str = "testhost", host_key_types: tuple[str, ...] = ("ed25519",)
    ) -> None:
        self.directory = directory
        self.name = name
        self.home = directory / "home"
        self.state = directory / "state"
        self.known_hosts = directory / "known_hosts"
        self.authorized_keys = directory / "authorized_keys"
        self.config = directory / "ssh_config"
        self.user_key = make_key(directory / "id_test")
        self.host_keys = [make_key(directory / f"host_{kind}", kind) for kind in host_key_types]
        self.home.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.authorized_keys.write_text(self.user_key.with_suffix(".pub").read_text())
        self.known_hosts.write_text("".join(f"[127.0.0.1]:{self.port} {self.public(key)}\n" for key in self.host_keys))
        self.write_config()
        lines = [
            "ListenAddress 127.0.0.1",
            f"Port {self.port}",
            *(f"HostKey {key}" for key in self.host_keys),
            f"AuthorizedKeysFile {self.authorized_keys}",
            "UsePAM no",
            "StrictModes no",
            "PidFile none",
            "PermitRootLogin yes",
            "MaxSessions 4",
            # A home of its own: the tests leave nothing in the real one, and read no start-up files of its shell.
            f"SetEnv HOME={self.home} XDG_STATE_HOME={self.state}",
        ]
        self.server_config = directory / "sshd_config"
        self.server_config.write_text("\n".join(lines) + "\n")
        self._server: subprocess.Popen[bytes] | None = None

    @staticmethod
    def public(key: Path) -> str:
        """Type and base64, as files of known hosts have them."""
        return " ".join(key.with_name(f"{key.name}.pub").read_text().split()[:2])

    def write_config(self, extra: str = "", *, key: Path | None = None) -> None:
        """The client's configuration: our files only, and ``extra`` lines for this host ahead of them."""
        self.config.write_text(
            f"Host {self.name}\n{extra}\n  IdentityFile {key or self.user_key}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self.known_hosts}\n  GlobalKnownHostsFile none\n"
        )

    @property
    def endpoint(self) -> Endpoint:
        """How an inventory would have it."""
        return Endpoint(
            host=self.name,
            site="test",
            country="ZA",
            address="127.0.0.1",
            port=self.port,
            user="",
            ssh_config=str(self.config),
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert SSHD is not None
        if os.geteuid() == 0:
            _let_root_have_an_sshd(self.directory)
        log = self.directory / "sshd.log"
        self._server = server = subprocess.Popen(
            [SSHD, "-D", "-f", str(self.server_config), "-E", str(log)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def answers() -> bool:
            assert server.poll() is None, log.read_text()
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                    return connection.recv(4) == b"SSH-"
            except OSError:
                return False

        wait_until("sshd answers", answers)

    def stop(self) -> None:
        """End the server and its sessions, and nothing that they started in sessions of its own."""
        if self._server is not None:
            self.signal_sessions(signal.SIGCONT)
            self.signal_sessions(signal.SIGKILL)
            self._server.kill()
            self._server.wait()
            self._server = None

    @property
    def shells(self) -> list[int]:
        """The processes that were started for sessions, nearest first."""
        assert self._server is not None
        names = {pid: _name_of(pid) for pid in children_of(self._server.pid)}
        return [pid for pid, name in names.items() if name and not name.startswith("sshd")]

    def signal_server(self, number: int) -> None:
        """Send a signal to the process that takes connections."""
        assert self._server is not None
        self._server.send_signal(number)

    def signal_sessions(self, number: int) -> int:
        """Send a signal to the processes that serve connections; how many there were."""
        assert self._server is not None
        sent = 0
        for pid in children_of(self._server.pid):
            try:
                if _name_of(pid).startswith("sshd"):
                    os.kill(pid, number)
                    sent += 1
            except ProcessLookupError:
                continue
        return sent
