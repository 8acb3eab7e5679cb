"""A host's own disk, as it is before the host's first boot: accounts, ssh, sudo, programs and services."""

from __future__ import annotations

import os
import pwd
import shutil
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from drctl.errors import LabError
from drctl.lab import ssh, tiers
from drctl.lab.topology import (
    DATABASE_HOSTS,
    DRILL_DATABASES,
    DRILL_EDGE,
    HOSTS,
    LOGIN_USER,
    REPOSITORY_HOST,
    SIZES,
    HostSpec,
    Settings,
)

# What the machine keeps in these places is its own affair: a host starts with its own, empty ones.
_HIDDEN = ("ssh", "sudoers.d", "postgresql", "haproxy", "pgbackrest", "profile.d", "ssl/private", "apt")
SHIPPED = {  # file below files/host: (place on the host, hosts)
    "init.sh": ("/opt/lab/bin/init", tuple(HOSTS)),
    "database.sh": ("/opt/taskflow/bin/database", (*DATABASE_HOSTS, *DRILL_DATABASES)),
    "app.py": ("/opt/taskflow/bin/app", ("edge", DRILL_EDGE)),
    "backups.py": ("/opt/taskflow/bin/backups", (REPOSITORY_HOST,)),
    "nightly-backup.sh": ("/opt/taskflow/bin/nightly-backup", (REPOSITORY_HOST,)),
    "replicate-backups.sh": ("/opt/taskflow/bin/replicate-backups", (REPOSITORY_HOST,)),
    "repoint.py": ("/opt/taskflow/bin/repoint", ("edge", DRILL_EDGE)),
    "heartbeat.py": ("/opt/taskflow/bin/heartbeat", ("operator",)),
}
DIRECTORIES = (
    *("root", "home", "srv", "opt/lab/bin", "opt/taskflow/bin", "etc/lab/disabled"),
    *("var/log/taskflow", "var/log/postgresql", "var/log/pgbackrest", "var/log/haproxy", "var/tmp", "var/cache"),
    *("var/lib/postgresql", "var/lib/pgbackrest", "var/spool/pgbackrest", "var/lib/taskflow", "var/lib/haproxy"),
    *("var/lib/sudo/lectured", "var/backups"),
)
_SSHD = """\
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
# Accounts have '*' for a password; with PAM off, sshd needs no more of them than that.
UsePAM no
UseDNS no
PidFile /run/sshd.pid
Subsystem sftp internal-sftp
LogLevel VERBOSE
MaxStartups 100
MaxSessions 100
SetEnv LANG=C.UTF-8
"""
_SUDOERS = f"""\
Defaults env_reset
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Defaults !syslog, logfile=/var/log/sudo.log
root ALL=(ALL:ALL) NOPASSWD: ALL
{LOGIN_USER} ALL=(ALL:ALL) NOPASSWD: ALL
"""


@dataclass(frozen=True)
class Accounts:
    """The numbers of the accounts that matter, the same on every host of the lab."""

    postgres: tuple[int, int]
    login: int
    taskflow: int

    @classmethod
    def of_machine(cls) -> Accounts:
        """postgres as the machine has it, and two numbers that nobody on the machine has."""
        try:
            postgres = pwd.getpwnam("postgres")
        except KeyError as error:
            raise LabError("this machine has no account postgres", hint="type: drctl lab doctor") from error
        taken = {entry.pw_uid for entry in pwd.getpwall()} | {entry.pw_gid for entry in pwd.getpwall()}
        free = (number for number in range(7710, 17710) if number not in taken)
        return cls((postgres.pw_uid, postgres.pw_gid), next(free), next(free))


class Disk:
    """Writes one host's files. Paths are absolute paths of the host, all below a directory that it owns."""

    def __init__(self, settings: Settings, spec: HostSpec, accounts: Accounts) -> None:
        self.settings = settings
        self.spec = spec
        self.accounts = accounts
        self._postgres, self._taskflow = accounts.postgres, (accounts.taskflow, accounts.taskflow)

    def path(self, path: str) -> Path:
        """Where this path of the host lies on the machine."""
        return self.settings.disk(self.spec.name, path)

    def write(self, path: str, text: str, *, mode: int = 0o644, owner: tuple[int, int] = (0, 0)) -> None:
        """Write a file of the host. It has its mode before its content: some of them are secrets."""
        place = self.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        os.chown(place, *owner)
        place.chmod(mode)

    def write_for_postgres(self, path: str, text: str, mode: int = 0o600) -> None:
        """Write a file that belongs to the host's postgres."""
        self.write(path, text, mode=mode, owner=self._postgres)

    def own_by_postgres(self, path: str, mode: int) -> None:
        """Give a directory of the host to its postgres."""
        os.chown(self.path(path), *self._postgres)
        self.path(path).chmod(mode)

    def write_for_taskflow(self, path: str, text: str, mode: int = 0o600) -> None:
        """Write a file that belongs to the host's taskflow, who runs the application and the monitor."""
        self.write(path, text, mode=mode, owner=self._taskflow)

    def make_directories(self) -> None:
        """Make the empty places, and hide what the machine has in those of /etc that are the host's own."""
        self.settings.host_directory(self.spec.name).joinpath("work").mkdir(parents=True)
        for name in DIRECTORIES:
            self.path(name).mkdir(parents=True)
        self.path("/var/run").symlink_to("/run")
        self.path("/var/lock").symlink_to("/run/lock")
        self.path("/var/tmp").chmod(0o1777)  # noqa: S108 (the host's, not the machine's)
        self.path("/root").chmod(0o700)
        for name in _HIDDEN:
            place = self.path(f"/etc/{name}")
            place.mkdir(parents=True)
            os.setxattr(place, f"{overlay_attributes()}.opaque".encode(), b"y")
        for name in ("lib/postgresql", "lib/pgbackrest", "spool/pgbackrest", "log/postgresql", "log/pgbackrest"):
            os.chown(self.path(f"/var/{name}"), *self._postgres)
            self.path(f"/var/{name}").chmod(0o750)
        for name in ("lib/taskflow", "log/taskflow"):
            os.chown(self.path(f"/var/{name}"), *self._taskflow)
            self.path(f"/var/{name}").chmod(0o755)

    def write_system(self) -> None:
        """Accounts, names, ssh, sudo and the services that this host starts. The operator's key must be there."""
        name, settings = self.spec.name, self.settings
        self.write("/etc/hostname", f"{name}\n")
        addresses = "".join(f"{settings.address(host)} {host}\n" for host in HOSTS)
        self.write("/etc/hosts", f"127.0.0.1 localhost\n{addresses}")
        self.write("/etc/nsswitch.conf", "".join(f"{kind}: files\n" for kind in ("passwd", "group", "shadow", "hosts")))
        self.write("/etc/resolv.conf", "# no name server: every name is in /etc/hosts\n")
        self.write("/etc/environment", "")
        self.write("/etc/lab/services", "".join(f"{service}\n" for service in self.spec.services))
        self._write_accounts()
        self.write("/etc/ssh/sshd_config", _SSHD)
        self.write("/etc/sudoers", _SUDOERS, mode=0o440)
        self.write("/etc/sudo.conf", "")
        # The machine's own rules for sudo may ask a directory server; the host's sudoers file is the whole truth here.
        permit = "".join(f"{kind} required pam_permit.so\n" for kind in ("auth", "account", "session"))
        self.write("/etc/pam.d/sudo", permit)
        key = ssh.key_path(settings).with_suffix(".pub").read_text()
        login = (self.accounts.login, self.accounts.login)
        # Others may pass through the login user's home: a program run as postgres starts there.
        for home, owner, mode in (("/root", (0, 0), 0o700), (f"/home/{LOGIN_USER}", login, 0o755)):
            self.write(f"{home}/.ssh/authorized_keys", key, mode=0o600, owner=owner)
            for place, bits in ((self.path(home), mode), (self.path(f"{home}/.ssh"), 0o700)):
                os.chown(place, *owner)
                place.chmod(bits)
        for shipped, (place_on_host, hosts) in SHIPPED.items():
            if name in hosts:
                self.write(place_on_host, shipped_text(f"host/{shipped}"), mode=0o755)

    def _write_accounts(self) -> None:
        login, taskflow = self.accounts.login, self.accounts.taskflow
        own = {LOGIN_USER, "taskflow"}
        users = [
            *_others("/etc/passwd", own),
            f"{LOGIN_USER}:x:{login}:{login}:disaster recovery:/home/{LOGIN_USER}:/bin/bash",
            f"taskflow:x:{taskflow}:{taskflow}:TaskFlow stand-in:/var/lib/taskflow:/usr/sbin/nologin",
        ]
        groups = [*_others("/etc/group", own), f"{LOGIN_USER}:x:{login}:", f"taskflow:x:{taskflow}:"]
        self.write("/etc/passwd", "\n".join(users) + "\n")
        self.write("/etc/group", "\n".join(groups) + "\n")
        # '*' and not '!': sshd without PAM refuses an account that is locked.
        shadow = "".join(f"{line.split(':')[0]}:*:19000:0:99999:7:::\n" for line in users)
        for file, text in (("shadow", shadow), ("gshadow", ""), ("shadow-", ""), ("gshadow-", "")):
            self.write(f"/etc/{file}", text, mode=0o600)


def overlay_attributes() -> str:
    """Where an overlay keeps its notes: root of a user namespace may not write the machine's trusted ones."""
    return "trusted.overlay" if tiers.is_real_root() else "user.overlay"


def _others(path: str, own: set[str]) -> Iterable[str]:
    for line in Path(path).read_text().splitlines():
        if line and line.split(":")[0] not in own:
            yield line


def shipped_text(name: str) -> str:
    """A file of ``drctl/lab/files`` as text."""
    return files("drctl.lab").joinpath("files", name).read_text()


def copy_boot_scripts(settings: Settings) -> None:
    """Copy what the machine itself runs for the lab next to the lab, so that it outlives an upgrade of drctl."""
    shipped = ("loopback/init.py",) if settings.loopback else ("boot.sh", "join.sh", "delay.py")
    for name in shipped:
        with as_file(files("drctl.lab").joinpath("files", name)) as source:
            shutil.copyfile(source, settings.directory / Path(name).name)
    if settings.loopback:
        return
    if not tiers.is_real_root():
        _copy_sudo(settings)
        _copy_etc(settings)


def _copy_sudo(settings: Settings) -> None:
    """A sudo of the lab's own: the machine's belongs to a root who is nobody in here, so it would make nobody root."""
    place = settings.directory / "sudo"
    shutil.copytree("/usr/libexec/sudo", place / "libexec")
    shutil.copyfile("/usr/bin/sudo", place / "sudo")
    (place / "sudo").chmod(0o4755)
    place.chmod(0o755)


def _copy_etc(settings: Settings) -> None:
    """What may be read of /etc, for the overlay to lie on: in a user namespace the kernel takes no /etc in which
    something is mounted, as a container's always is. What belongs to the machine's root is root's there."""
    with suppress(shutil.Error):  # what may not be read, which no host is to see anyway
        shutil.copytree(
            "/etc", settings.directory / "etc", symlinks=True, copy_function=shutil.copy,
            ignore=shutil.ignore_patterns("shadow*", "gshadow*", "ssh", "sudoers*", "apt"),
        )  # fmt: skip


def write_boot_identity(settings: Settings, host: str, size: str) -> None:
    """What makes this boot this boot: a new boot id, and a /proc/meminfo that says what the size has."""
    place = settings.host_directory(host)
    (place / "boot_id").write_text(f"{uuid.uuid4()}\n")
    total_kb = SIZES[size].memory_mb * 1024
    (place / "meminfo").write_text(
        f"MemTotal:       {total_kb:>8} kB\nMemFree:        {total_kb * 3 // 4:>8} kB\n"
        f"MemAvailable:   {total_kb * 3 // 4:>8} kB\nBuffers:               0 kB\nCached:                0 kB\n"
        "SwapTotal:             0 kB\nSwapFree:              0 kB\nHugePages_Total:       0\n"
        "HugePages_Free:        0\nHugepagesize:       2048 kB\n"
    )
