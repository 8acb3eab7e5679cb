"""``pgbackrest verify --verbose --log-level-console=detail``: which files are what they were when they were written.

Its exit code is 0 over a damaged repository too, so only its words count (measured with pgBackRest 2.45).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BACKUP = re.compile(
    r"^backup: (?P<label>\S+), status: (?P<status>.+), total files checked: (?P<checked>\d+), "
    r"total valid files: (?P<valid>\d+)$"
)
_ARCHIVE = re.compile(r"^archiveId: (?P<id>\S+), total WAL checked: (?P<checked>\d+), total valid WAL: (?P<valid>\d+)$")
_COUNTS = re.compile(
    r"^missing: (?P<missing>\d+), checksum invalid: (?P<checksum>\d+), size invalid: (?P<size>\d+), "
    r"other: (?P<other>\d+)$"
)
_FILE = re.compile(r"(?P<what>invalid checksum|file missing|invalid size|invalid \w+) '(?P<path>[^']+)'")
_WAL_NAME = re.compile(r"/([0-9A-F]{24})-")
_LOG = re.compile(r"^(\d{4}-\d\d-\d\d [\d:.]+ )?P\d\d +\w+: +")
_STATUS = re.compile(r"^status: (\w+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A backup, or the WAL of one archive, as ``verify`` found it. ``problem`` is empty when nothing was wrong."""

    name: str
    files: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a whole verify said. ``problem`` is what kept it from looking at all; ``files`` are those that are wrong."""

    status: str
    problem: str
    backups: tuple[Checked, ...]
    archives: tuple[Checked, ...]
    files: tuple[str, ...]

    def backup(self, label: str) -> Checked | None:
        """The backup of that label; None when ``verify`` did not speak of it, as for one whose directory is gone."""
        return next((b for b in self.backups if b.name == label), None)

    @property
    def corrupt_wal(self) -> frozenset[str]:
        """The names of WAL files that are not what they were."""
        found = (_WAL_NAME.search(path) for path in self.files)
        return frozenset(m[1] for m in found if m)


def parse_verify(text: str) -> Verification:
    """Read its output, which is a log with a block of results. An output that breaks off has a ``problem``."""
    lines = [_LOG.sub("", line).strip() for line in text.splitlines()]
    files = tuple(m["path"] for line in lines if (m := _FILE.search(line)))
    begin = next((n for n, line in enumerate(lines) if line.startswith("stanza: ")), None)
    if begin is None:
        return Verification(status="", problem=_last_words(lines), backups=(), archives=(), files=files)
    status, problems = "", list[str]()
    backups: list[Checked] = []
    archives: list[Checked] = []
    ended = False
    block = [line for line in lines[begin + 1 :] if line]
    for line, after in zip(block, [*block, ""][1:], strict=True):
        if found := _STATUS.match(line):
            status = found[1]
        elif found := _BACKUP.match(line):
            backups.append(_checked(found["label"], found["status"], found, after))
        elif found := _ARCHIVE.match(line):
            archives.append(_checked(found["id"], "", found, after))
        elif line.startswith("No usable"):
            problems.append(line)
        elif line.startswith("verify command end"):
            ended = line.startswith("verify command end: completed")
            if not ended:
                problems.append(line)
    if not ended and not problems:
        problems.append("its output breaks off")
    if status not in ("ok", "error"):
        problems.append("it gave no status")
    return Verification(
        status=status,
        problem="; ".join(problems),
        backups=tuple(backups),
        archives=tuple(archives),
        files=files,
    )


def _checked(name: str, status: str, found: re.Match[str], after: str) -> Checked:
    """A line of results with the line of counts that follows it, when one does."""
    files, valid = int(found["checked"]), int(found["valid"])
    counts = _COUNTS.match(after)
    wrong = {key: int(value) for key, value in counts.groupdict().items()} if counts else {}
    said = [f"{number} {_WORDS[key]}" for key, number in wrong.items() if number]
    if not said and files != valid:
        said = [f"{files - valid} of {files} files are not valid"]
    if status not in ("", "valid") and not said:
        said = [status]
    if not said and not files:
        said = ["no file was checked"]
    return Checked(name=name, files=files, problem=", ".join(said))


_WORDS = {
    "missing": "missing",
    "checksum": "with a wrong checksum",
    "size": "of a wrong size",
    "other": "wrong in another way",
}


def _last_words(lines: list[str]) -> str:
    said = [line for line in lines if line and not line.startswith("verify command begin")]
    return f"it gave no result: {said[-1][:200]}" if said else "it printed nothing"
