#!/usr/bin/python3 -I
"""The backups of this repository: the nightly job, its copies at other places, and stopping all of that.

usage: backups nightly                    a full backup, then expiry, then replication: what is due at 02:00
       backups replicate [LOCATION...]    bring the copies up to date, all of them or those that are named
       backups freeze [--reason TEXT] [--wait SECONDS]
                                          no nightly job, expiry or replication from now on
       backups unfreeze                   all of that may happen again
       backups status                     exit code 0 when frozen, 3 when not

Exit codes: 0 done, 1 something failed, 2 usage, 75 refused because the backups are frozen (or, for freeze: frozen,
but an expiry or a replication that had begun has not ended).

A copy is never seen half done. Backups arrive beside the copy and are moved into it when they are complete; the
files that list them (backup.info, archive.info) come last. What a copy has is never written again, and goes only when
pgBackRest's expire on the copy's own host finds it old enough: what rots or is lost here does not rot or go there.
"""

import argparse
import configparser
import fcntl
import json
import os
import pwd
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

STANZA = "main"
REPOSITORY = Path("/var/lib/pgbackrest")
SETTINGS = Path("/etc/taskflow/backups")
FROZEN = SETTINGS / "frozen"
COPIES = SETTINGS / "copies"  # lines of: LOCATION HOST
LOCKS = Path("/run/lock/pgbackrest")
SSH = ["ssh", "-F", str(SETTINGS / "ssh_config")]
FAILED, REFUSED, NOT_FROZEN = 1, 75, 3
# A connection that says nothing for this long, in seconds, is given up; a copy of any size may take as long as it does.
QUIET = 30

# What the copy has: its database, and a line for each backup. Values arrive as quoted shell variables ahead of this.
LIST = """\
umask 027
mkdir -p "$repository/backup/$stanza" "$repository/archive/$stanza" "$repository/.incoming"
cd "$repository/backup/$stanza"
sed -n 's/^db-system-id=/database /p' "$repository/archive/$stanza/archive.info" 2>/dev/null || true
for place in [0-9]*; do
    if [ -e "$place/backup.manifest" ]; then echo "backup $place"; fi
done
"""
PUBLISH = """\
cd "$repository"
for label in $labels; do
    rm -rf "backup/$stanza/$label"
    mv ".incoming/$label" "backup/$stanza/$label"
done
for kind in archive backup; do
    cp ".incoming/$kind.info" ".incoming/$kind.info.copy"
    mv ".incoming/$kind.info" "$kind/$stanza/$kind.info"
    mv ".incoming/$kind.info.copy" "$kind/$stanza/$kind.info.copy"
done
ln -sfn "$newest" "backup/$stanza/latest"
# Lists again what is here and no longer there, and lets go of what is too old.
pgbackrest --stanza="$stanza" --log-level-console=info expire
rm -rf .incoming
date -u +%Y-%m-%dT%H:%M:%SZ >.replicated.new
mv .replicated.new .replicated
cat .replicated
"""


class Failure(Exception):
    """What went wrong, in words for a person, and the exit code."""

    def __init__(self, words: str, code: int = FAILED) -> None:
        super().__init__(words)
        self.code = code


def say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def holding(name: str, *, within: float = 0.0) -> Iterator[bool]:
    """Hold a lock, which dies with its holder; whether it was got within so many seconds."""
    deadline = time.monotonic() + within
    with (LOCKS / f"taskflow.{name}").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.1)
                    continue
                yield False
            else:
                yield True
            return


# -- frozen or not --


def frozen() -> str:
    """Since when, by whom and why; empty when the backups are not frozen."""
    try:
        found = json.loads(FROZEN.read_text())
    except FileNotFoundError:
        return ""
    except ValueError:
        return f"{FROZEN} is there, and cannot be read"  # frozen all the same: the safe side
    return f"since {found['since']} by {found['by']}: {found['reason']}"


def refuse_when_frozen(what: str) -> None:
    why = frozen()
    if why:
        raise Failure(f"refused: the backups are frozen {why}; no {what}. To go on: backups unfreeze", REFUSED)


def freeze(reason: str, wait: float) -> None:
    """Write the file first and look for what runs second: whoever begins in between sees the file."""
    why = frozen()
    if not why:
        by = os.environ.get("SUDO_USER") or pwd.getpwuid(os.geteuid()).pw_name
        beside = FROZEN.with_name("frozen.new")
        with beside.open("w") as file:
            json.dump({"since": now(), "by": by, "reason": reason}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(FROZEN)
    say(f"frozen {frozen()}" + (" (already)" if why else ""))
    with holding("nightly") as free:
        if not free:
            say("a nightly job still runs: its backup goes on, and neither expiry nor replication will follow it")
    with holding("changes", within=wait) as free:
        if not free:
            raise Failure(f"an expiry or a replication that had begun has not ended within {wait:g} s", REFUSED)


def unfreeze() -> None:
    was = frozen()
    FROZEN.unlink(missing_ok=True)
    say(f"no longer frozen; was frozen {was}" if was else "the backups were not frozen")


def status() -> int:
    why = frozen()
    say(f"frozen {why}" if why else "not frozen")
    return 0 if why else NOT_FROZEN


# -- the copies --


def copies(wanted: list[str]) -> list[tuple[str, str]]:
    """Location and host of the copies that are meant; of all when none is named."""
    known = [(words[0], words[1]) for line in COPIES.read_text().splitlines() if len(words := line.split()) == 2]
    unknown = set(wanted) - {name for pair in known for name in pair}
    if unknown:
        names = ", ".join(location for location, _ in known)
        raise Failure(f"no copy is kept at {', '.join(sorted(unknown))}; there are: {names}", 2)
    return [pair for pair in known if not wanted or set(pair) & set(wanted)]


def labels_of(info: str) -> list[str]:
    """The backups that a backup.info lists, oldest first."""
    parser = configparser.RawConfigParser(delimiters=("=",), strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(info)
    return sorted(parser["backup:current"]) if parser.has_section("backup:current") else []


def remote(host: str, script: str, **values: str) -> list[str]:
    """Run a constant script on a host; its lines of output."""
    ahead = "set -eu\n" + "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    done = subprocess.run([*SSH, host, "sh", "-s"], input=ahead + script, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"ssh {host}: exit code {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.splitlines()


def send(host: str, sources: list[str], target: str, *options: str) -> list[int]:
    """Copy with rsync over ssh; the sizes of the files that were sent."""
    words = ["rsync", "-a", f"--timeout={QUIET}", "-e", " ".join(SSH), "--out-format=%l %n", *options]
    done = subprocess.run([*words, *sources, f"{host}:{target}"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"rsync to {host}: exit code {done.returncode}: {done.stderr.strip()}")
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    return [int(size) for size, name in lines if not name.endswith("/")]


def refuse_another(location: str, host: str, held: list[list[str]], info: str) -> None:
    """A repository of another database would lie on top of the copy, and neither could be restored from."""
    for kind, name in held:
        if kind == "database" and not re.search(rf"\b{name}\b", info):
            raise Failure(
                f"{location}: nothing was copied: {host} has a copy of another database (system identifier {name}). "
                "Move it away there first"
            )


def replicate_to(location: str, host: str, stage: Path) -> None:
    """Bring one copy up to date."""
    started = time.monotonic()
    backups, archive = REPOSITORY / "backup" / STANZA, REPOSITORY / "archive" / STANZA
    # Read first: all that these files list is here already, the WAL of each backup included.
    for kind in (backups / "backup.info", archive / "archive.info"):
        (stage / kind.name).write_bytes(kind.read_bytes())
    labels = labels_of((stage / "backup.info").read_text())
    if not labels:
        raise Failure(f"{location}: nothing was copied: this repository lists no backup")
    held = [line.split(" ") for line in remote(host, LIST, repository=str(REPOSITORY), stanza=STANZA)]
    there = [name for kind, name in held if kind == "backup"]
    refuse_another(location, host, held, (stage / "archive.info").read_text())
    if there and max(there) > labels[-1]:
        raise Failure(
            f"{location}: nothing was copied: {host} has the backup {max(there)}, this repository's newest is "
            f"{labels[-1]}. After the next backup here this goes on by itself"
        )
    target = f"{REPOSITORY}/.incoming"
    new = [label for label in labels if label not in there and (backups / label).is_dir()]
    lost = [label for label in labels if label not in there and label not in new]
    part = "--exclude=*.pgbackrest.tmp"
    # The files of WAL are whole under their name: they are renamed when they are complete, here and there.
    wal = send(
        host,
        [f"{archive}/"],
        f"{archive}/",
        part,
        "--exclude=archive.info*",
        "--ignore-existing",
        f"--temp-dir={target}",
    )
    files = send(host, [str(backups / label) for label in new], f"{target}/", part, "--delete") if new else []
    if (backups / "backup.history").is_dir():
        send(host, [str(backups / "backup.history")], f"{backups}/", part, f"--temp-dir={target}")
    send(host, [str(stage / "backup.info"), str(stage / "archive.info")], f"{target}/", "--ignore-times")
    refuse_when_frozen("replication")
    lists = {"labels": " ".join(new), "newest": labels[-1]}
    said = remote(host, PUBLISH, repository=str(REPOSITORY), stanza=STANZA, **lists)
    for line in said[:-1]:
        if re.search(r"repo1: (expire|remove)", line):
            say(f"{location}: {line.partition('INFO: ')[2]}")
    for label in lost:
        say(f"{location}: {label} is listed here, but its directory is gone: it could not be copied")
    megabytes = (sum(files) + sum(wal)) / 1e6
    say(
        f"{location}: {len(new)} new of {len(labels)} backups ({' '.join(new) or 'none'}), {len(files)} files; "
        f"{len(wal)} files of WAL; {megabytes:.1f} MB in {time.monotonic() - started:.1f} s; complete at {said[-1]}"
    )


def replicate_all(wanted: list[str]) -> None:
    """Bring copies up to date, each on its own: one that cannot be reached does not stop the others."""
    failures = []
    for location, host in copies(wanted):
        try:
            with tempfile.TemporaryDirectory() as stage:
                replicate_to(location, host, Path(stage))
        except Failure as failure:
            if failure.code == REFUSED:
                raise
            failures.append(f"{location}: {failure}" if location not in str(failure) else str(failure))
    if failures:
        raise Failure("\n".join(failures))


@contextmanager
def changing(what: str) -> Iterator[None]:
    """Only one expiry or replication at a time, and none while the backups are frozen."""
    with holding("changes") as free:
        if not free:
            raise Failure(f"another expiry or replication runs; no {what}")
        refuse_when_frozen(what)
        yield


def pgbackrest(*words: str) -> None:
    done = subprocess.run(["pgbackrest", f"--stanza={STANZA}", "--log-level-console=info", *words], check=False)
    if done.returncode != 0:
        raise Failure(f"pgbackrest {words[-1]} ended with exit code {done.returncode}")


def nightly() -> None:
    """What the office's clock starts at 02:00."""
    with holding("nightly") as free:
        if not free:
            raise Failure("another nightly job runs")
        refuse_when_frozen("backup, expiry or replication")
        # pgBackRest would expire by itself after a backup: that may have been frozen meanwhile.
        pgbackrest("--type=full", "--no-expire-auto", "backup")
        with changing("expiry or replication"):
            pgbackrest("expire")
            replicate_all([])


def main() -> NoReturn:
    parser = argparse.ArgumentParser(prog="backups", usage=str(__doc__).split("usage: ", 1)[1])
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("nightly", "unfreeze", "status"):
        verbs.add_parser(name)
    verbs.add_parser("replicate").add_argument("locations", nargs="*")
    freezing = verbs.add_parser("freeze")
    freezing.add_argument("--reason", default="no reason was given")
    freezing.add_argument("--wait", type=float, default=60.0)
    options = parser.parse_args()
    if pwd.getpwuid(os.geteuid()).pw_name != "postgres":
        os.execv("/usr/bin/sudo", ["sudo", "-n", "-H", "-u", "postgres", "--", *sys.argv])  # noqa: S606 (no shell is meant)
    os.chdir("/")
    code = 0
    try:
        if options.verb == "nightly":
            nightly()
        elif options.verb == "replicate":
            with changing("replication"):
                replicate_all(options.locations)
        elif options.verb == "freeze":
            freeze(options.reason, options.wait)
        elif options.verb == "unfreeze":
            unfreeze()
        else:
            code = status()
    except Failure as failure:
        sys.stdout.flush()
        sys.stderr.write(f"backups {options.verb}: {failure}\n")
        code = failure.code
    raise SystemExit(code)


if __name__ == "__main__":
    main()
