"""The hosts of the lab are real enough: apart from each other, from the machine, and strict about keys."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from drctl.lab import Lab
from drctl.lab.topology import DATABASE_HOSTS, DRILL_HOSTS, HOSTS, SIZES
from tests.support import needs

pytestmark = pytest.mark.lab


@pytest.mark.needs(needs.SPACES, needs.BOOT_ID)
def test_every_host_is_itself(lab: Lab) -> None:
    boots = {Path("/proc/sys/kernel/random/boot_id").read_text().strip()}
    for host in set(HOSTS) - set(DRILL_HOSTS):
        done = lab.ssh(host, ["hostname; id -un; cat /proc/sys/kernel/random/boot_id"])
        assert done.returncode == 0, done.stderr
        name, user, boot = done.stdout.split()
        assert (name, user) == (host, "drctl")
        boots.add(boot)
    assert len(boots) == len(set(HOSTS) - set(DRILL_HOSTS)) + 1


@pytest.mark.needs(needs.ACCOUNTS)
def test_become_takes_a_script_on_standard_input(lab: Lab) -> None:
    for host in DATABASE_HOSTS:
        done = lab.ssh(host, ["sudo -n -H -u postgres -- sh -s"], stdin='id -un; echo "$HOME"; psql -XAtc "select 1"\n')
        assert done.stdout.split() == ["postgres", "/var/lib/postgresql", "1"], done.stderr


@pytest.mark.needs(needs.FILES)
def test_a_host_sees_neither_the_machine_nor_its_neighbours(lab: Lab) -> None:
    script = "ls -A /root /home /opt /srv; ls /etc/ssh; cat /etc/shadow | cut -d: -f2 | sort -u; ps ax -o comm="
    done = lab.ssh("edge", ["sudo", "-n", "sh", "-s"], stdin=script)
    words = done.stdout.split()
    assert "ssh_host_rsa_key" not in words, "the machine's own host key is on the host"
    assert "postgres" not in words, "another host's processes are seen"
    assert "*" in words
    writes = lab.ssh(
        "edge", ["sudo", "-n", "sh", "-c", "'touch /usr/x || echo refused; sysctl -w vm.swappiness=1 || echo refused'"]
    )
    assert writes.stdout.split().count("refused") == 2, writes.stdout


def test_a_host_key_that_is_not_known_is_refused(lab: Lab, tmp_path: Path) -> None:
    words = lab.ssh_words("edge", ["true"])
    empty = tmp_path / "known_hosts"
    empty.touch()
    refused = subprocess.run(
        [*words[:3], "-o", f"UserKnownHostsFile={empty}", *words[3:]], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr
    assert lab.ssh("edge", ["true"]).returncode == 0


def test_no_secret_is_readable_by_others_or_seen_in_a_process_list(lab: Lab) -> None:
    directory = lab.settings.directory
    assert directory.stat().st_mode & 0o077 == 0
    for path in (directory / "ssh_config", directory / "known_hosts", directory / "ssh" / "operator"):
        assert path.stat().st_mode & 0o777 == 0o600, path
    secrets = []
    for host, home in (("xneelo-jnb", "/var/lib/postgresql"), ("edge", "/var/lib/taskflow")):
        pgpass = lab.settings.disk(host, f"{home}/.pgpass")
        assert pgpass.stat().st_mode & 0o777 == 0o600
        secrets.append(pgpass.read_text().strip().rsplit(":", 1)[1])
    for host in HOSTS:
        for pid in lab.host(host).groups.processes(host):
            for place in ("cmdline", "environ"):
                try:
                    seen = Path(f"/proc/{pid}/{place}").read_text(errors="replace")
                except (FileNotFoundError, ProcessLookupError):
                    continue
                assert not any(secret in seen for secret in secrets), (host, pid, place)


@pytest.mark.needs(needs.SPACES)
def test_init_reaps_what_is_left_to_it(lab: Lab) -> None:
    lab.ssh("cloudprox", ["setsid sh -c 'sleep 0.2 & exit' >/dev/null 2>&1 </dev/null &"])
    deadline = time.monotonic() + 5
    while True:
        left = lab.ssh(
            "cloudprox", ["ps ax -o stat=,comm= | grep -E '^Z|sleep$' | grep -v infinity"]
        ).stdout.splitlines()
        # Its own endless sleep is the one that stays.
        if len(left) <= 1 and not any(line.startswith("Z") for line in left):
            return
        assert time.monotonic() < deadline, left


@pytest.mark.needs(needs.SPACES)
def test_the_micro_instance_is_micro(lab: Lab) -> None:
    done = lab.ssh("azure-san", ["awk '/^MemTotal:/ {print int($2/1024)}' /proc/meminfo; cat /etc/lab/size"])
    assert done.stdout.split() == [str(SIZES["micro"].memory_mb), "micro"]
    assert lab.psql("azure-san", "SHOW shared_buffers") == "32MB"
    assert lab.psql("azure-san", "SHOW max_connections") == lab.psql("xneelo-jnb", "SHOW max_connections")


@pytest.mark.needs(needs.LIMITS)
def test_the_micro_instance_has_no_more_memory_than_that(lab: Lab) -> None:
    # The kernel ends who wants more.
    taken = lab.ssh("azure-san", ["python3 -c 'bytearray(700 * 1024 * 1024); print(\"got it\")'"])
    assert "got it" not in taken.stdout
    assert lab.ssh("xneelo-jnb", ["python3 -c 'bytearray(700 * 1024 * 1024); print(\"got it\")'"]).stdout == "got it\n"


@pytest.mark.needs(needs.LIMITS)
def test_the_micro_instance_is_slow(lab: Lab) -> None:
    work = "python3 -c 'import time; t = time.process_time()\nwhile time.process_time() - t < 0.5: pass'"
    started = time.monotonic()
    assert lab.ssh("azure-san", [work]).returncode == 0
    assert time.monotonic() - started > 1.2, "half a second of work takes two at a quarter of a core"


@pytest.mark.needs(needs.PGBACKREST)
def test_the_database_is_set_up_as_a_careful_administrator_would(lab: Lab) -> None:
    settings = dict(
        line.split("|", 1)
        for line in lab.psql("xneelo-jnb", "SELECT name, setting FROM pg_settings").splitlines()
        if "|" in line
    )
    assert settings["data_checksums"] == "on"
    assert settings["wal_log_hints"] == "on"
    assert int(settings["max_slot_wal_keep_size"]) == 1024
    assert "archive-get" in lab.psql("azure-san", "SHOW restore_command")
    assert lab.psql("xneelo-jnb", "SELECT slot_name, active FROM pg_replication_slots") == "azure_san|t"
    assert lab.psql("xneelo-jnb", "SELECT client_addr, state FROM pg_stat_replication") == (
        f"{lab.settings.address('azure-san')}|streaming"
    )
    assert lab.psql("azure-san", "SELECT pg_is_in_recovery()") == "t"


@pytest.mark.needs(needs.PGBACKREST)
def test_the_first_backup_and_the_archive(lab: Lab) -> None:
    lab.wait_backup()
    info = lab.ssh("cloudprox", ["sudo -n -H -u postgres pgbackrest --stanza=main info"]).stdout
    assert "status: ok" in info
    assert "full backup" in info
    check = lab.ssh("xneelo-jnb", ["sudo -n -H -u postgres pgbackrest --stanza=main check"])
    assert check.returncode == 0, check.stdout + check.stderr
