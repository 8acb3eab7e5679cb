"""Much data at once, for backups and restores that take a while; slowly enough for the archive and the standby."""

from __future__ import annotations

import re

from drctl.errors import LabError, UsageError
from drctl.lab.commands import Progress, wait_until
from drctl.lab.database import psql
from drctl.lab.host import Host
from drctl.lab.topology import DATABASE

MOST_MB = 20_000
_SIZE = re.compile(r"(\d+)(MB|GB)")
# Text that a compressor makes about half as large. The rows are made once, and written again and again: the copies lie
# too far apart for it to notice.
_PREPARE = """
CREATE TABLE IF NOT EXISTS dr_bulk (id bigint GENERATED ALWAYS AS IDENTITY, payload text);
ALTER TABLE dr_bulk OWNER TO taskflow;
CREATE TEMPORARY TABLE piece AS
    SELECT string_agg(md5(random()::text || part), '') AS payload
    FROM generate_series(1, 15000) AS line, generate_series(1, 32) AS part GROUP BY line;
"""
_PIECE = "INSERT INTO dr_bulk (payload) SELECT payload FROM piece;\n"
_MEASURE = "SELECT coalesce(pg_total_relation_size(to_regclass('dr_bulk')), 0) / 1000000"
# How many files of WAL the archiver has not taken yet, and by how many MB the slowest standby is behind.
_BEHIND = """
SELECT (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
    (SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn)), 0)::bigint / 1000000
        FROM pg_stat_replication)
"""
_PIECES_A_TURN = 4
_MOST_FILES, _MOST_BEHIND_MB = 8, 200


def megabytes(size: str) -> int:
    """``500MB`` or ``1GB``, in MB of a million bytes. Raises UsageError."""
    found = _SIZE.fullmatch(size)
    number = int(found[1]) * (1000 if found[2] == "GB" else 1) if found else 0
    if not 1 <= number <= MOST_MB:
        raise UsageError(f"{size!r} is no size for a load", hint=f"for example 500MB or 1GB; at most {MOST_MB}MB")
    return number


def fill(primary: Host, wanted_mb: int, progress: Progress, *, within: float = 900.0) -> int:
    """Write until the table ``dr_bulk`` has so many MB, and until all its WAL is in the archive; its size in MB.

    A backup that is taken while the archiver is far behind fails (pgBackRest's exit code 82), so the writing waits for
    it, and for the standby, whose slot gives up when it is a GB behind. ``within``: the longest of these waits, in
    seconds. Raises LabError when one of them takes longer.
    """
    size = int(psql(primary, _MEASURE, database=DATABASE))
    while size < wanted_mb:
        # Each turn is a transaction and a session of its own, with rows of its own.
        psql(primary, _PREPARE + _PIECE * _PIECES_A_TURN, database=DATABASE, timeout=within)
        size = int(psql(primary, _MEASURE, database=DATABASE))
        progress(f"{size} of {wanted_mb} MB")
        _wait(primary, _MOST_FILES, _MOST_BEHIND_MB, within)
    psql(primary, "CHECKPOINT; SELECT pg_switch_wal()", database=DATABASE, timeout=within)
    _wait(primary, 0, _MOST_BEHIND_MB, within)
    return size


def _wait(primary: Host, most_files: int, most_mb: int, within: float) -> None:
    behind: list[int] = []

    def caught_up() -> bool:
        behind[:] = [int(word) for word in psql(primary, _BEHIND).split("|")]
        return behind[0] <= most_files and behind[1] <= most_mb

    if not wait_until(caught_up, within=within, every=0.25):
        raise LabError(
            f"{primary.name}: after {within:g} s {behind[0]} files of WAL are not archived yet, and the standby is "
            f"{behind[1]} MB behind",
            hint="type: drctl lab status",
        )
