"""PostgreSQL and pgBackRest in the lab: settings, secrets, the first primary, its standby and their backups."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from drctl.errors import LabError
from drctl.lab.commands import run, wait_until
from drctl.lab.disk import Disk, shipped_text
from drctl.lab.host import Host
from drctl.lab.topology import (
    DATABASE,
    DATABASE_HOSTS,
    DRILL_DATABASES,
    INITIAL_PRIMARY,
    PGBACKREST_HOSTS,
    PGDATA,
    POSTGRESQL_BIN,
    REPOSITORY,
    REPOSITORY_HOST,
    REPOSITORY_HOSTS,
    SIZES,
    STANZA,
    Settings,
    slot_name,
)

SETTINGS_DIRECTORY = "/etc/taskflow/postgresql"
_CERTIFICATES = "/etc/pgbackrest/tls"
BACKUP_LOG = "/var/log/pgbackrest/first-backup.log"
BACKUP_CODE = "/var/log/pgbackrest/first-backup.code"


@dataclass(frozen=True)
class Passwords:
    """Made anew for every lab. They travel in files with mode 0600 and on standard input only."""

    replicator: str
    taskflow: str

    @classmethod
    def new(cls) -> Passwords:
        """Two new ones."""
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24))


def make_certificates(settings: Settings) -> None:
    """One authority for this lab, and a certificate for each host that speaks pgBackRest's protocol."""
    place = settings.directory / "tls"
    place.mkdir(mode=0o700)
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-days", "365"]
    authority = [str(place / "ca.key"), str(place / "ca.crt")]
    run(
        [*make, "-subj", "/CN=lab-authority", "-keyout", authority[0], "-out", authority[1]],
        what="make the certificate authority",
    )
    for host in (*PGBACKREST_HOSTS, *DRILL_DATABASES):
        words = ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-CA", authority[1]]
        words += ["-CAkey", authority[0], "-keyout", str(place / f"{host}.key"), "-out", str(place / f"{host}.crt")]
        run([*make, *words], what=f"make the certificate of {host}")


def write_pgbackrest(disk: Disk) -> None:
    """The host's pgBackRest configuration and its TLS key. The certificates must have been made."""
    host, place = disk.spec.name, disk.settings.directory / "tls"
    for name, source in (("ca.crt", "ca.crt"), ("host.crt", f"{host}.crt"), ("host.key", f"{host}.key")):
        disk.write_for_postgres(f"{_CERTIFICATES}/{name}", (place / source).read_text())
    disk.write_for_postgres("/etc/pgbackrest/pgbackrest.conf", pgbackrest_configuration(host), mode=0o640)


def _client(prefix: str, peer: str) -> str:
    return (
        f"{prefix}-host={peer}\n{prefix}-host-type=tls\n{prefix}-host-ca-file={_CERTIFICATES}/ca.crt\n"
        f"{prefix}-host-cert-file={_CERTIFICATES}/host.crt\n{prefix}-host-key-file={_CERTIFICATES}/host.key\n"
    )


def pgbackrest_configuration(host: str) -> str:
    """pgbackrest.conf of a database host, or of a repository or a copy of it, which list both database hosts.

    A database host may read any of them: ``pgbackrest --repo1-host=vault restore``.
    """
    is_repository = host in REPOSITORY_HOSTS
    peers = (*DATABASE_HOSTS, *DRILL_DATABASES) if is_repository else REPOSITORY_HOSTS
    text = (
        "[global]\nlog-level-console=warn\nlog-level-file=info\nlog-path=/var/log/pgbackrest\n"
        "lock-path=/run/lock/pgbackrest\nspool-path=/var/spool/pgbackrest\n"
        # One core is left for PostgreSQL; more than two processes gain nothing on two cores.
        "process-max=2\ncompress-type=zst\ncompress-level=1\n"
        # How long a peer that has lost its power is waited for; a restore_command waits this long per file.
        "io-timeout=5\n"
        f"tls-server-address=*\ntls-server-ca-file={_CERTIFICATES}/ca.crt\n"
        f"tls-server-cert-file={_CERTIFICATES}/host.crt\ntls-server-key-file={_CERTIFICATES}/host.key\n"
    )
    text += "".join(f"tls-server-auth={peer}={STANZA}\n" for peer in peers)
    if is_repository:
        # Nothing expires by itself after a backup: that is the nightly job's, and may be frozen.
        text += "expire-auto=n\n"
        # Seven *days*: without the type, retention counts backups.
        text += f"repo1-path={REPOSITORY}\nrepo1-retention-full=7\nrepo1-retention-full-type=time\nstart-fast=y\n"
        text += f"\n[{STANZA}]\n"
        for number, peer in enumerate(DATABASE_HOSTS, start=1):
            text += _client(f"pg{number}", peer) + f"pg{number}-path={PGDATA}\n"
    else:
        text += "archive-async=y\narchive-timeout=60\n" + _client("repo1", REPOSITORY_HOST)
        text += f"\n[{STANZA}]\npg1-path={PGDATA}\n"
    return text


def write_postgresql(disk: Disk, passwords: Passwords) -> None:
    """Everything of PostgreSQL that is not in its data directory, which pg_rewind and restores overwrite."""
    disk.write_for_postgres(f"{SETTINGS_DIRECTORY}/10-common.conf", shipped_text("postgresql.conf"), mode=0o644)
    disk.write_for_postgres(f"{SETTINGS_DIRECTORY}/40-host.conf", f"cluster_name = '{slot_name(disk.spec.name)}'\n")
    if disk.spec.name in DRILL_DATABASES:
        # What a drill archived would be taken for the service's own WAL.
        disk.write_for_postgres(f"{SETTINGS_DIRECTORY}/60-drill.conf", "archive_mode = off\n", mode=0o644)
    write_size(disk, disk.spec.size)
    rules = shipped_text("pg_hba.conf").replace("NETWORK", disk.settings.network)
    disk.write_for_postgres("/etc/taskflow/pg_hba.conf", rules)
    disk.write_for_postgres("/var/lib/postgresql/.pgpass", f"*:*:*:replicator:{passwords.replicator}\n")


def write_size(disk: Disk, size: str) -> None:
    """The settings that follow from the host's size. Only while the host is off: its disk is not in use then."""
    row = SIZES[size]
    disk.write_for_postgres(
        f"{SETTINGS_DIRECTORY}/50-size.conf",
        f"# size: {row.name}\nshared_buffers = {row.shared_buffers}\nwork_mem = {row.work_mem}\n"
        f"maintenance_work_mem = {row.maintenance_work_mem}\n",
        mode=0o644,
    )
    disk.write("/etc/lab/size", f"{row.name}\n")


def psql(host: Host, sql: str, *, database: str = "postgres", timeout: float = 30.0) -> str:
    """Run SQL as the host's postgres over the socket. The SQL goes in on standard input: it may hold a secret."""
    words = [f"{POSTGRESQL_BIN}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]
    return host.execute(words, user="postgres", stdin=sql, timeout=timeout).stdout.strip()


def build_primary(host: Host, passwords: Passwords) -> str:
    """initdb, start, roles, database, table and the standby's slot. Returns the system identifier."""
    initdb = [f"{POSTGRESQL_BIN}/initdb", "-D", PGDATA, "--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8"]
    # Not synced: power off ends processes, and the machine's page cache outlives them.
    initdb += [
        "--username=postgres",
        "--auth-local=peer",
        "--auth-host=scram-sha-256",
        "--no-sync",
        "--no-instructions",
    ]
    host.execute(initdb, user="postgres")
    # From the data directory where all hosts share the machine's files: a copy of it then reads its own host's.
    place = os.path.relpath(SETTINGS_DIRECTORY, PGDATA) if host.settings.loopback else SETTINGS_DIRECTORY
    include = f"\ninclude_dir = '{place}'\n"
    host.execute(["tee", "-a", f"{PGDATA}/postgresql.conf"], user="postgres", stdin=include)
    host.execute(["/opt/taskflow/bin/database", "start"])
    # Sent as literals: both are URL-safe, so hold no quote.
    setup = shipped_text("primary.sql").replace("REPLICATOR_PASSWORD", passwords.replicator)
    psql(host, setup.replace("TASKFLOW_PASSWORD", passwords.taskflow))
    psql(host, shipped_text("taskflow.sql"), database=DATABASE)
    return psql(host, "SELECT system_identifier FROM pg_control_system()")


def build_standby(host: Host) -> None:
    """Copy the first primary and start as its hot standby, streaming by its own slot."""
    slot = slot_name(host.name)
    source = f"host={host.settings.reached_as(INITIAL_PRIMARY)} user=replicator application_name={slot}"
    copy = [f"{POSTGRESQL_BIN}/pg_basebackup", "-d", source, "-D", PGDATA, "-X", "stream", "-S", slot, "-R"]
    host.execute([*copy, "-c", "fast", "--no-sync"], user="postgres")
    host.execute(["/opt/taskflow/bin/database", "start"])


def create_stanza(repository: Host, primary: Host) -> None:
    """Prepare the repository, and forget the archiver's failures of the time before."""
    # Not --online checks of the standby: it is being copied while this runs, and pgBackRest only warns about it.
    words = ["pgbackrest", f"--stanza={STANZA}", "--log-level-console=error", "stanza-create"]

    def created() -> bool:
        # The primary archives as soon as it stands, and its push may hold the archive's lock for a moment.
        done = repository.execute(words, user="postgres", timeout=60, check=False)
        problem[:] = [done.stderr.strip() or done.stdout.strip()]
        return done.returncode == 0

    problem: list[str] = []
    if not wait_until(created, within=20, every=0.25):
        raise LabError(f"{repository.name}: pgbackrest stanza-create failed: {problem[0]}", hint="type: drctl lab up")
    psql(primary, "SELECT pg_stat_reset_shared('archiver')")


def start_first_backup(repository: Host) -> None:
    """Start the first full backup and its replication on the repository host; an exit code will be in a file there."""
    script = (
        f"pgbackrest --stanza={STANZA} --type=full --log-level-console=info backup && "
        "/opt/taskflow/bin/replicate-backups; code=$?; "
        f"echo $code >{BACKUP_CODE}.new; mv {BACKUP_CODE}.new {BACKUP_CODE}"
    )
    repository.start(["sh", "-c", script], user="postgres", log=BACKUP_LOG)


def first_backup_code(settings: Settings) -> int | None:
    """The first backup's exit code; None while it runs."""
    try:
        return int(settings.disk(REPOSITORY_HOST, BACKUP_CODE).read_text())
    except (FileNotFoundError, ValueError):
        return None


def first_backup_log(settings: Settings) -> Path:
    """What the first backup said."""
    return settings.disk(REPOSITORY_HOST, BACKUP_LOG)


@dataclass(frozen=True)
class Role:
    """What PostgreSQL on a host is now: ``primary``, ``standby`` or ``stopped``; and who streams from it."""

    name: str
    streaming: tuple[str, ...] = ()


def role_of(host: Host) -> Role:
    """Ask PostgreSQL on a host what it is. A host that is off, frozen or without an answer is ``stopped``."""
    question = (
        "SELECT json_build_object('recovery', pg_is_in_recovery(), 'streaming', (SELECT coalesce("
        "json_agg(application_name ORDER BY 1), '[]') FROM pg_stat_replication WHERE state = 'streaming'))"
    )
    try:
        answer = json.loads(psql(host, question, timeout=5))
    except (LabError, ValueError):
        return Role("stopped")
    return Role("standby" if answer["recovery"] else "primary", tuple(answer["streaming"]))
