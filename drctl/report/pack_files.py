"""What an evidence pack is made of, and how one from elsewhere is opened without trusting it.

A pack is a directory, or a tar file of one. Nothing of it may lead out of it: an absolute name, ``..``, a link or a
device is refused before anything is written or read.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from drctl.errors import DrctlError, ExitCode, UsageError

NAMESPACE = "drctl-evidence"
FORMAT = 1

README = "README.md"
HEAD = "HEAD"
ABOUT = "pack.json"
EVENTS = "events.jsonl"
PLAN = "plan.json"
DOCUMENTS = "documents"
OUTPUTS = "outputs"
REPORT = "report"
FINDINGS = "findings.jsonl"
MANIFEST = "MANIFEST.sha256"
SIGNATURE = "MANIFEST.sha256.sig"

MOST_BYTES = 64 * 1024**3  # of an unpacked tar file; a real pack is far smaller, and a bomb is larger
_NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]*(/[A-Za-z0-9._][A-Za-z0-9._-]*)*\Z")
_CHUNK = 1024 * 1024


class PackError(DrctlError):
    """A pack that is no pack, or that nobody should open."""

    exit_code = ExitCode.EVIDENCE_BROKEN


def safe_name(name: str) -> bool:
    """Whether a name stays within the pack and is plain enough for every tool that reads it."""
    return bool(_NAME.match(name)) and not {".", ".."} & set(name.split("/"))


def is_tar(path: Path) -> bool:
    """Whether a name is that of a tar file."""
    return path.name.endswith((".tar", ".tar.gz", ".tgz"))


def sha256_of(path: Path) -> str:
    """The sha256 of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def names_in(pack: Path) -> tuple[str, ...]:
    """All files of a pack, by their names in it, in the order of the alphabet.

    Raises:
        PackError: when there is anything but files and directories with plain names.
    """
    found = []
    for path in sorted(pack.rglob("*")):
        name = path.relative_to(pack).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise _refused(name, "it is neither a file nor a directory")
        if not safe_name(name):
            raise _refused(name, "no name of a pack looks like that")
        if path.is_file():
            found.append(name)
    return tuple(found)


def write_tar(pack: Path, target: Path, *, at_s: float) -> None:
    """Put a pack into a tar file, under the directory's name; equal packs make equal files.

    Raises:
        OSError: when it cannot be written.
    """

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = at_s
        return member

    with tarfile.open(target, "w" if target.suffix == ".tar" else "w:gz") as tar:
        for name in names_in(pack):
            tar.add(pack / name, arcname=f"{pack.name}/{name}", recursive=False, filter=plain)


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """A pack as a directory, unpacked into a place of its own when it is a tar file.

    Raises:
        UsageError: when there is nothing there.
        PackError: when something in it leads out of it, or it is no pack.
    """
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise UsageError(f"there is no evidence pack {path}", hint="drctl evidence RUN makes one")
    with tempfile.TemporaryDirectory(prefix="drctl-evidence-") as place:
        try:
            with tarfile.open(path, "r:*") as tar:
                _unpack(tar, Path(place))
        except (tarfile.TarError, EOFError, OSError) as error:
            raise PackError(
                f"{path} cannot be read as a tar file: {error}", hint="ask for it again, and compare its sha256"
            ) from None
        yield Path(place)


def _unpack(tar: tarfile.TarFile, place: Path) -> None:
    """Write the files of a tar, without the one directory that they are all in."""
    top, total = "", 0
    for member in tar:
        first, _, name = member.name.partition("/")
        if member.name.startswith("/") or ".." in PurePosixPath(member.name).parts:
            raise _refused(member.name, "its path leads out of the pack")
        if member.isdir():
            continue
        if not member.isreg():
            raise _refused(member.name, "it is neither a file nor a directory")
        top = top or first
        if first != top or not safe_name(name):
            raise _refused(member.name, "no name of a pack looks like that")
        total += member.size
        if total > MOST_BYTES:
            raise _refused(member.name, f"the pack is larger than {MOST_BYTES // 1024**3} GiB")
        target = place / name
        if target.exists():
            raise _refused(member.name, "it is there twice")
        target.parent.mkdir(parents=True, exist_ok=True)
        source = tar.extractfile(member)
        with target.open("xb") as file:
            shutil.copyfileobj(source, file, _CHUNK)  # type: ignore[arg-type] # a regular file always has content


def _refused(name: str, why: str) -> PackError:
    return PackError(
        f"the pack is refused: {name}: {why}",
        state="nothing of it was believed",
        hint="no drctl makes such a pack: keep it as it is, and ask where it comes from",
    )
