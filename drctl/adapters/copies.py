"""Asks the locations of a service's backups what they hold, all at once, over the usual SSH commands. Read-only.

On each host pgBackRest itself is asked, as ``postgres``. To read the time of the last commit out of the WAL, a few
files of it are unpacked into a temporary directory there, which is removed again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from drctl.backups.copies import Location, Seen, row_of
from drctl.backups.exposed import Archiver
from drctl.backups.info import Stanza, UnreadableInfo, parse_info
from drctl.backups.verify import Verification, parse_verify
from drctl.backups.wal import Archive, Continuity, UnreadableArchive, parse_listing
from drctl.engine.ports import CommandRunner, Ending, ShellCommand, Stream
from drctl.model.plan import Endpoint
from drctl.model.units import parse_instant

BECOME = "postgres"
ASK_TIMEOUT_S = 60.0
VERIFY_TIMEOUT_S = 4 * 3600.0
_LARGEST = 64 * 1024 * 1024  # bytes of one answer; a week's WAL of one file a minute lists in under 2 MB
_LOOK_BACK = 3  # WAL files that are searched for a commit, from an end backwards
_MOST_ENDS = 4

_ASK = 'pgbackrest --stanza="$stanza" --log-level-console=off --log-level-stderr=error --log-level-file=off'
_INFO = f"{_ASK} info --output=json"
_ARCHIVE = f'{_ASK} repo-ls --recurse --output=json "archive/$stanza"'
_REPLICATED = f"{_ASK} repo-get --ignore-missing .replicated || test $? -eq 1"
VERIFY_HOW = "pgbackrest verify, and the WAL followed by drctl"
_VERIFY = 'pgbackrest --stanza="$stanza" --log-level-file=off verify --verbose --log-level-console=detail'
# One line for each backup whose manifest is there: its label, and the sum of the list of its files.
_LISTINGS = f"""
for label in "$@"; do
    files=$({_ASK} repo-ls --recurse --output=json "backup/$stanza/$label") || exit
    case $files in
        *'"backup.manifest":'*) printf '%s %s\\n' "$label" "$(printf %s "$files" | sha256sum | cut -c1-64)" ;;
    esac
done
"""
_HISTORIES = f"""
for file in "$@"; do
    printf 'history %s\\n' "$file"
    {_ASK} repo-get "archive/$stanza/$file" || exit
    echo
done
"""
# One line for each file that has a commit in it: its name, and the time of the last one.
_COMMITS = f"""
tool=
for tried in "$pgbin/pg_waldump" "/usr/lib/postgresql/$major/bin/pg_waldump" pg_waldump; do
    if command -v "$tried" >/dev/null; then tool=$tried; break; fi
done
test -n "$tool" || exit 0
directory=$(mktemp -d) || exit
trap 'rm -rf "$directory"' EXIT
for file in "$@"; do
    name=${{file##*/}}
    name=${{name%%-*}}
    case $file in
        *.zst) unpack='zstd -dcq' ;;
        *.gz) unpack='gzip -dc' ;;
        *.lz4) unpack='lz4 -dcq' ;;
        *.bz2) unpack='bzip2 -dc' ;;
        *) unpack='cat' ;;
    esac
    {_ASK} repo-get "archive/$stanza/$file" | $unpack >"$directory/$name" || continue
    TZ=UTC "$tool" --rmgr=Transaction "$directory/$name" 2>/dev/null |
        sed -n "s/.*desc: COMMIT[A-Z_]* .*\\([0-9]\\{{4\\}}-[0-9-]* [0-9:.]* UTC\\).*/$name \\1/p" | tail -n 1
    rm -f "$directory/$name"
done
"""
_ARCHIVER = """
psql -XAtqd postgres <<'SQL'
select json_build_object(
    'archive_timeout_s', (select setting::int from pg_settings where name = 'archive_timeout'),
    'archived', last_archived_wal, 'archived_at', last_archived_time,
    'failing', coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false))
from pg_stat_archiver where not pg_is_in_recovery();
SQL
"""
_LISTED = re.compile(r"^(\S+) ([0-9a-f]{64})$", re.M)
_COMMIT = re.compile(r"^([0-9A-F]{24}) (\S+ \S+) UTC$", re.M)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A location, and how its host is reached; None when it has none. ``pgbin`` is where PostgreSQL's programs are."""

    location: Location
    endpoint: Endpoint | None
    pgbin: str = ""


class _Silent(Exception):
    """A location that did not answer; the message says how."""


def look(
    commands: CommandRunner, places: Sequence[Place], *, now: Callable[[], datetime], timeout_s: float = ASK_TIMEOUT_S
) -> tuple[Seen, ...]:
    """What each location holds, in the order given. Nothing is raised: one that does not answer says why."""
    if not places:
        return ()
    with ThreadPoolExecutor(max_workers=16) as pool:
        return tuple(pool.map(lambda place: _look(commands, place, now, timeout_s), places))


def verify(commands: CommandRunner, place: Place, *, timeout_s: float = VERIFY_TIMEOUT_S) -> Verification:
    """Have pgBackRest read every file of the location's repository. One that cannot be asked has a ``problem``."""
    try:
        return parse_verify(_ask(commands, place, _VERIFY, timeout_s=timeout_s, code=None))
    except _Silent as error:
        return Verification(status="", problem=str(error), backups=(), archives=(), files=())


def ask_archiver(commands: CommandRunner, primary: Endpoint | None) -> Archiver | None:
    """What the primary says of its archiving; None when it cannot be asked, or is a standby now."""
    if primary is None:
        return None
    kept: list[bytes] = []
    result = commands.probe(
        primary,
        ShellCommand(script=_ARCHIVER, become=BECOME),
        timeout_s=ASK_TIMEOUT_S,
        output=lambda stream, data: kept.append(data) if stream == "stdout" else None,
    )
    if result.ending is not Ending.FINISHED or result.exit_code != 0:
        return None
    try:
        told = json.loads(b"".join(kept))
        return Archiver(
            archive_timeout_s=float(told["archive_timeout_s"]),
            archived=told["archived"] or "",
            archived_at=_instant(told["archived_at"] or ""),
            failing=bool(told["failing"]),
        )
    except (ValueError, TypeError, KeyError):
        return None


def _look(commands: CommandRunner, place: Place, now: Callable[[], datetime], timeout_s: float) -> Seen:
    location = place.location
    why = (
        "it stands at the lost site: what is there does not exist"
        if location.lost
        else "it is off line: bring it in, and ask its host"
        if location.offline
        else f"drctl reads pgBackRest's repositories, and this one is of kind {location.kind}"
        if location.kind != "pgbackrest"
        else "the inventory names no host for it"
        if place.endpoint is None
        else ""
    )
    if why:
        return Seen(location=location, at=now(), silent=why)

    def ask(script: str, words: Iterable[str] = (), **variables: str) -> str:
        return _ask(commands, place, script, words=tuple(words), variables=variables, timeout_s=timeout_s)

    try:
        stanza = parse_info(ask(_INFO), location.stanza)
        if stanza.problem:
            raise _Silent(f"pgbackrest info: {stanza.problem}")
        found = Seen(location=location, at=now(), stanza=stanza, replicated_at=_instant(ask(_REPLICATED)))
        listed = ask(_LISTINGS, [b.label for b in stanza.backups])
        found = replace(found, listings=dict(_LISTED.findall(listed)))
        found = _with_archive(found, ask)
        return replace(found, last_commits=_last_commits(found, stanza, ask, place.pgbin))
    except (_Silent, UnreadableInfo) as error:
        return Seen(location=location, at=now(), silent=str(error))


def _with_archive(found: Seen, ask: Callable[..., str]) -> Seen:
    """The same with its WAL and its timelines' histories, or with the problem that keeps them from being known."""
    try:
        archives = parse_listing(ask(_ARCHIVE), found.location.segment_mb)
    except UnreadableArchive as error:
        return replace(found, archive_problem=str(error))
    files = {f"{a.id}/{number:08X}.history": number for a in archives.values() for number in a.histories}
    if not files:
        return replace(found, archives=archives)
    texts: dict[int, str] = {}
    for part in ask(_HISTORIES, files).split("history ")[1:]:
        name, _, text = part.partition("\n")
        if name in files:
            texts[files[name]] = text
    return replace(found, archives=archives, histories=texts)


def _last_commits(found: Seen, stanza: Stanza, ask: Callable[..., str], pgbin: str) -> Mapping[str, datetime]:
    """The time of the last commit up to the end of each backup's WAL, where it could be read."""
    ends: dict[str, tuple[Archive, tuple[str, ...]]] = {}
    for backup in reversed(stanza.backups):
        row = row_of(found, backup)
        if isinstance(row, Continuity) and row.end is not None and len(ends) < _MOST_ENDS:
            archive = found.archives[backup.archive_id]
            ends[row.end] = archive, tuple(archive.segments[s].path for s in row.row[-_LOOK_BACK:])
    commits: dict[str, datetime] = {}
    for end, (archive, paths) in ends.items():
        try:
            told = ask(_COMMITS, paths, pgbin=pgbin or "/nowhere", major=archive.id.partition("-")[0])
        except _Silent:
            continue  # a finer measure that could not be taken: the consistency point stands
        times = [at for _, text in _COMMIT.findall(told) if (at := _instant(f"{text}+00:00"))]
        if times:
            commits[end] = times[-1]  # the last of the WAL, as recovery counts, whatever the clock said before it
    return commits


def _instant(text: str) -> datetime | None:
    try:
        return parse_instant(text)
    except ValueError:
        return None


def _ask(
    commands: CommandRunner,
    place: Place,
    script: str,
    *,
    words: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
    timeout_s: float,
    code: int | None = 0,
) -> str:
    """What a read-only script printed; with ``code`` None whatever its exit code."""
    kept: dict[Stream, list[bytes]] = {"stdout": [], "stderr": []}
    size = 0

    def output(stream: Stream, data: bytes) -> None:
        nonlocal size
        size += len(data)
        if size <= _LARGEST:
            kept[stream].append(data)

    command = ShellCommand(
        script=script, variables={"stanza": place.location.stanza, **(variables or {})}, words=words, become=BECOME
    )
    result = commands.probe(place.endpoint, command, timeout_s=timeout_s, output=output)
    if result.ending is not Ending.FINISHED:
        raise _Silent(f"{result.ending.value.replace('_', ' ')}: {result.detail}")
    if size > _LARGEST:
        raise _Silent(f"it printed more than {_LARGEST // (1024 * 1024)} MB")
    if code is not None and result.exit_code != code:
        said = b"".join(kept["stderr"] or kept["stdout"]).decode("utf-8", "replace").strip().splitlines()
        raise _Silent(f"pgbackrest failed with exit code {result.exit_code}: {said[-1][:300] if said else 'no word'}")
    return b"".join(kept["stdout"]).decode("utf-8", "replace")
