"""Restores beside the same commands by hand: the files, the replay of WAL, and all of it to a write through a door."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from drctl.adapters.commands import Commands
from drctl.adapters.redact import Redactor
from drctl.adapters.secrets import SecretResolver
from drctl.engine.ports import Ending, JobName, ShellCommand, Stream
from drctl.lab import Lab, missing_prerequisites
from drctl.lab.commands import wait_until
from drctl.lab.topology import Settings
from drctl.model.plan import Shell
from drctl.plan.build import build_plan
from drctl.read.documents import read_inventory, read_runbook
from tests.bench.measure import ROOT, Section, medians, ratio, seconds
from tests.bench.runs import recover
from tests.support.operator import Operator

TARGET, PRIMARY, REPOSITORY = "azure-san", "xneelo-jnb", "cloudprox"
SIZE_MB, AFTER_MB = 1000, 300  # the data in the backup, and what is written after it
ROUNDS = 2
BY_HAND = "`pgbackrest restore` over ssh"
# Ends what a restore left running, and empties the data directory.
EMPTY = """\
set -eu
pkill -9 -u postgres postgres || :
while pgrep -u postgres postgres >/dev/null; do sleep 0.1; done
find /var/lib/postgresql/15/main -mindepth 1 -delete
/opt/taskflow/bin/database enable >/dev/null
"""
START_AND_REPLAY = """\
set -eu
/opt/taskflow/bin/database start
while [ "$(sudo -u postgres psql -XAtqd postgres -c "select wait_event from pg_stat_activity
    where backend_type = 'startup'")" != RecoveryRetrieveRetryInterval ]; do sleep 0.1; done
"""
ASYNCHRONOUS = """\
sed -i 's/^archive-async=.*/archive-async=WORD/' /etc/pgbackrest/pgbackrest.conf
rm -rf /var/spool/pgbackrest/archive
"""
FOLLOW_NOBODY = "echo \"primary_conninfo = ''\" >>/var/lib/postgresql/15/main/postgresql.auto.conf\n"
# What an engineer would type with no tool: nothing is picked, checked, proved or protected.
BARE_FILES = "sudo -u postgres pgbackrest --stanza=main --archive-mode=off --log-level-console=warn restore\n"
BARE_REPLAY = """\
set -eu
/opt/taskflow/bin/database start
until [ "$(sudo -u postgres psql -XAtqc 'select pg_is_in_recovery()' -d postgres)" = f ]; do sleep 0.1; done
"""


@dataclass(frozen=True)
class _Site:
    """A lab with a backup of a GB and WAL after it, whose primary is lost."""

    lab: Lab
    inventory: Path
    label: str
    bytes: int

    def root(self, host: str, script: str) -> None:
        done = subprocess.run(
            self.lab.ssh_words(host, ["sudo", "sh", "-s"]), input=script, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def _site(place: Path) -> Iterator[_Site]:
    names = {
        "DRCTL_LAB": os.environ.get("DRCTL_BENCH_LAB", "bench"),
        "DRCTL_LAB_NET": os.environ.get("DRCTL_BENCH_LAB_NET", "10.79"),
    }
    lab = Lab(Settings.from_environment(names))
    lab.down()
    lab.up(place / "lab.yml")
    try:
        lab.wait_backup(within=600)
        lab.bulk(f"{SIZE_MB}MB")
        lab.backup()
        lab.bulk(f"{SIZE_MB + AFTER_MB}MB")
        last = lab.psql(PRIMARY, "select pg_walfile_name(pg_switch_wal())").strip()
        newest = "select last_archived_wal from pg_stat_archiver"
        assert wait_until(lambda: lab.psql(PRIMARY, newest).strip() >= last, within=300, every=0.5)
        info = lab.ssh(REPOSITORY, ["sudo -u postgres pgbackrest --stanza=main info --output=json"]).stdout
        newest_backup = json.loads(info)[0]["backup"][-1]
        lab.power_off(PRIMARY)
        lab.resize(TARGET, "standard")
        yield _Site(lab, place / "lab.yml", newest_backup["label"], newest_backup["info"]["size"])
    finally:
        lab.down()


def restores(place: Path) -> Section:
    """The files by hand and by the runbook's own step, the WAL with and without archive-async, and the whole."""
    missing = missing_prerequisites(place)
    if missing:
        section = Section("Restores")
        section.say("Not measured: the lab cannot run here: " + "; ".join(item.what for item in missing))
        return section
    with _site(place) as site:
        section = Section(f"Restores of {site.bytes / 1e9:.2f} GB from the repository's host to the standby's")
        _files_and_replay(site, section)
        _whole(site, section, place)
    return section


def _files_and_replay(site: _Site, section: Section) -> None:
    """The files in both ways, and what each has restored is replayed: the two settings take turns over the ways."""
    ways = {BY_HAND: partial(_by_hand, site), "the step `files` of `restore`": partial(_by_drctl, site)}
    files: dict[str, list[float]] = {name: [] for name in ways}
    replays: dict[str, list[float]] = {"y": [], "n": []}
    for number in range(ROUNDS):
        words = list(replays) if number % 2 == 0 else list(reversed(replays))
        for (name, way), word in zip(ways.items(), words, strict=True):
            files[name].append(way())
            replays[word].append(_replayed(site, word))
    found = medians(files)
    first = found[BY_HAND]
    rows = [(n, f"{v:.2f} s", f"{site.bytes / v / 1e6:.0f} MB/s", ratio(v, first)) for n, v in found.items()]
    section.table(("the files", f"median of {ROUNDS}", "rate", "of by hand"), rows)
    found = medians(replays)
    kinds = [(f"`archive-async={n}`", f"{v:.2f} s", ratio(v, found["y"])) for n, v in found.items()]
    section.table((f"replay of {AFTER_MB} MB of rows and their WAL", f"median of {ROUNDS}", "of asynchronous"), kinds)
    section.say(
        "From the start of the server to the moment when it waits for WAL that is not there, looked for every 0.1 s. "
        "Both are pgBackRest's own settings, and the WAL is the same; drctl takes no part in it."
    )
    section.say()


def _by_hand(site: _Site) -> float:
    site.root(TARGET, EMPTY)
    words = f"pgbackrest --stanza=main --repo1-host={REPOSITORY} --set={site.label} --delta --type=standby"
    return seconds(partial(site.root, TARGET, f"sudo -u postgres {words} --log-level-console=warn restore\n"))


def _by_drctl(site: _Site) -> float:
    site.root(TARGET, EMPTY)
    runbook, _ = read_runbook(ROOT / "runbooks" / "restore.yml")
    inventory, _ = read_inventory(site.inventory)
    assert runbook is not None
    assert inventory is not None
    step = build_plan(runbook, inventory, service="taskflow-demo", version="0").step("from-a-copy/1/files")
    assert isinstance(step.action, Shell)
    copy = {"copy_stanza": "main", "copy_host": REPOSITORY, "copy_label": site.label, "copy_size": str(site.bytes)}
    values = {v.name: v.text or "" for v in step.variables} | copy
    command = ShellCommand(script=step.action.script, variables=values, become=step.become)
    runner = Commands(SecretResolver(Redactor(), environ={}))
    name = JobName(run_id=f"bench{datetime.now().timestamp()}", step_id="files", attempt=1)

    def restore() -> None:
        result = runner.job(step.endpoints[0], command, name=name, timeout_s=900, output=_nowhere)
        assert (result.ending, result.exit_code) == (Ending.FINISHED, 0), result

    try:
        return seconds(restore)
    finally:
        runner.close()


def _replayed(site: _Site, word: str) -> float:
    """The WAL after the files that have just been restored."""
    site.root(TARGET, ASYNCHRONOUS.replace("WORD", word) + FOLLOW_NOBODY)
    try:
        return seconds(partial(site.root, TARGET, START_AND_REPLAY))
    finally:
        site.root(TARGET, ASYNCHRONOUS.replace("WORD", "y"))


def _whole(site: _Site, section: Section, place: Path) -> None:
    """One of each: the second would find another archive."""
    site.root(TARGET, EMPTY)
    bare = [seconds(partial(part, site)) for part in (_bare_files, _bare_replay, _bare_door)]
    site.root(TARGET, EMPTY)
    total, done = recover(Operator(place / "state", site.inventory), "restore", until="door/service-answers")
    began = {each.step.rpartition("/")[2]: each.began for each in done}
    ended = {each.step.rpartition("/")[2]: each.ended for each in done}
    phases: list[tuple[str, float | None, float]] = [
        ("fences and the proof of them, evidence, the choice of the copy", None, began["files"]),
        ("the files", bare[0], ended["files"] - began["files"]),
        ("start and replay (the script's promotes itself at the end)", bare[1], ended["replay"] - ended["files"]),
        ("proof of the recovery point, promotion, checks of data and indexes, statistics", None,
         began["repoint"] - ended["replay"]),
        ("the door", bare[2], total - began["repoint"]),
        ("**all of it**", sum(bare), total),
    ]  # fmt: skip
    rows = [(what, "–" if one is None else f"{one:.1f} s", f"{other:.1f} s") for what, one, other in phases]
    section.table(("both sites wrecked, to a write through the client's door", "bare script", "`drctl restore`"), rows)
    section.say(
        f"One run of each; drctl's is {ratio(total, sum(bare))} the script's. The script picks the newest copy unseen, "
        "fences nobody, proves nothing and promotes whatever it finds: what it leaves out is the two lines without a "
        "figure."
    )


def _bare_files(site: _Site) -> None:
    site.root(TARGET, BARE_FILES)


def _bare_replay(site: _Site) -> None:
    site.root(TARGET, BARE_REPLAY)


def _bare_door(site: _Site) -> None:
    site.root("edge", f"/opt/taskflow/bin/repoint {site.lab.settings.address(TARGET)}\n")
    words = ["curl", "--silent", "--fail", "--max-time", "5", f"http://{site.lab.settings.address('edge')}/health"]
    assert wait_until(lambda: subprocess.run(words, capture_output=True, check=False).returncode == 0, within=60)


def _nowhere(stream: Stream, data: bytes) -> None:
    """Output that nobody wants."""
