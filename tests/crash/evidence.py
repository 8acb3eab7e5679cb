"""What really happened on the hosts, told by the hosts and not by drctl: PostgreSQL's log, job directories, rows.

Everything is read from the hosts' own disks or asked of their PostgreSQL, and nothing through drctl's journal.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from drctl.lab import Lab
from drctl.lab.acknowledged import Row, compare, read_log
from drctl.lab.commands import wait_until
from drctl.lab.database import first_backup_log
from drctl.lab.topology import ACKNOWLEDGED_LOG, LOAD_LOG

PRIMARY, STANDBY, REPOSITORY = "xneelo-jnb", "azure-san", "cloudprox"
MAY_FAIL_AND_BE_TRIED_AGAIN = frozenset(
    {"protect/archive", "protect/full-backup"}
)  # steps with a retry: a failed try is no effect
RUN = re.compile(r"(?P<run>\d{8}-\d{6}-[\w-]+)\.(?P<step>[\w%-]+)\.(?P<attempt>\d+)(?:@[\w-]+)?\Z")


@dataclass(frozen=True)
class Evidence:
    """Counts after a run. ``claimed`` are job directories by step, ``succeeded`` those whose exit code is 0."""

    claimed: Counter[str]
    succeeded: Counter[str]
    promotions: int
    timeline: int
    canary_rows: int
    resizes: int
    new_backups: int
    missing_rows: int
    primary_is_on: bool

    def counts(self) -> dict[str, int]:
        """The numbers for a table."""
        return {
            "jobs": sum(self.claimed.values()),
            "promotions": self.promotions,
            "timeline": self.timeline,
            "canary rows": self.canary_rows,
            "resizes": self.resizes,
            "new backups": self.new_backups,
            "rows lost": self.missing_rows,
        }

    def against(self, whole: Evidence | None) -> tuple[str, ...]:
        """What is not as it must be; ``whole`` is a run that nobody killed, and says which steps change something."""
        found = []
        for step, times in sorted(self.claimed.items()):
            if self.succeeded[step] != 1:
                found.append(f"{step} succeeded {self.succeeded[step]} times")
            if times != 1 and step not in MAY_FAIL_AND_BE_TRIED_AGAIN:
                found.append(f"{step} was begun {times} times")
        if whole is not None and set(whole.claimed) != set(self.claimed):
            found.append(f"other steps than usual: {sorted(set(whole.claimed) ^ set(self.claimed))}")
        for what, count, wanted in (
            ("promote requests in PostgreSQL's log", self.promotions, 1),
            ("the timeline", self.timeline, 2),
            ("canary rows", self.canary_rows, 1),
            ("starts of the standby by its new size", self.resizes, 1),
            ("full backups of the new timeline", self.new_backups, 1),
            ("acknowledged rows that are missing", self.missing_rows, 0),
            ("the old primary's power", int(self.primary_is_on), 0),
        ):
            if count != wanted:
                found.append(f"{what}: {count} in place of {wanted}")
        return tuple(found)


def never_arrived(lab: Lab) -> frozenset[Row]:
    """Acknowledged rows that the standby does not have when the primary has lost its power.

    Replication is asynchronous, so there may be some; they are the RPO, and no fault of whoever recovers.
    """
    replayed = "select pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()"
    assert wait_until(lambda: lab.psql(STANDBY, replayed).strip() == "t", within=60, every=0.1)
    sql = """select id, to_char(ts at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') from dr_heartbeat"""
    held = {(int(n), ts) for n, ts in (line.split("|") for line in lab.psql(STANDBY, sql).splitlines())}
    written = [
        row
        for log in (ACKNOWLEDGED_LOG, LOAD_LOG)
        if (place := lab.settings.disk("operator", log)).exists()
        for row in read_log(place.read_text())
    ]
    return frozenset(compare(STANDBY, written, held).missing)


def gather(lab: Lab, operators_state: Path, *, not_ours: frozenset[Row]) -> Evidence:
    """Look at the hosts. ``operators_state`` is the XDG_STATE_HOME in which jobs on this machine were claimed.

    ``not_ours`` are rows that had not arrived at the standby in the first place.
    """
    claimed: Counter[str] = Counter()
    succeeded: Counter[str] = Counter()
    places = [lab.settings.disk(host, "/") for host in lab.hosts]
    for place in [operators_state, *places]:
        for job in place.glob("**/drctl/jobs/*/claim"):
            name = RUN.match(job.parent.name)
            assert name, f"a job of another name: {job.parent.name}"
            step = unquote(name["step"])
            claimed[step] += 1
            owner = job.read_text().split()[3]
            code = job.with_name(f"rc.{owner}")
            succeeded[step] += code.exists() and code.read_text().strip() == "000"
    logs = lab.settings.disk(STANDBY, "/var/log/postgresql")
    log = "".join(p.read_text(errors="replace") for p in sorted(logs.glob("postgresql*.log")))
    starts = (logs / "start.log").read_text(errors="replace").count("redirecting log output")
    backups = json.loads(lab.ssh(REPOSITORY, ["sudo", "-u", "postgres", "pgbackrest", "info", "--output=json"]).stdout)
    first = first_backup_log(lab.settings)
    labs_own = re.findall(r"new backup label = (\S+)", first.read_text(errors="replace") if first.exists() else "")
    # The lab starts a backup of its own when it comes up. On a busy machine it may not have begun by the failover.
    ours = [b for b in backups[0]["backup"] if not b["error"] and b["label"] not in labs_own]
    return Evidence(
        claimed=claimed,
        succeeded=succeeded,
        promotions=log.count("received promote request"),
        timeline=int(lab.psql(STANDBY, "select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)").strip(), 16),
        canary_rows=int(lab.psql(STANDBY, "select count(*) from dr_heartbeat where source = 'canary'").strip()),
        resizes=starts - 1,
        new_backups=sum(1 for b in ours if b["archive"]["start"].startswith("00000002")),
        missing_rows=len(set(lab.acknowledged().missing) - not_ours),
        primary_is_on=lab.host(PRIMARY).is_on,
    )
