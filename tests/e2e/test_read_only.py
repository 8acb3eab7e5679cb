"""A step that says ``read_only`` changes nothing: hosts are fingerprinted before and after a check of each runbook."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from drctl.lab import Lab
from tests.support import needs
from tests.support.operator import SERVICE, Operator

pytestmark = [pytest.mark.lab, pytest.mark.needs(needs.PGBACKREST)]
# What moves by itself while clients write and logs are kept; what a step changes there is asked of PostgreSQL.
MOVES = (
    "var/log",
    "var/lib/postgresql/15/main",
    "var/lib/pgbackrest/archive",
    "var/spool/pgbackrest",
    "var/lib/taskflow",
)
SETTINGS = (
    "select md5(string_agg(name || coalesce(setting, ''), ',' order by name)) from pg_settings where name !~ '^in_'"
)
OBJECTS = """
select string_agg(x, ',' order by x) from (
    select 'slot ' || slot_name from pg_replication_slots union all
    select 'role ' || rolname from pg_roles union all
    select 'table ' || relname from pg_class where relkind = 'r' union all
    select 'rows of ' || source || ' ' || count(*) from dr_heartbeat where source not in ('heartbeat', 'health')
        group by source) as found(x)
"""

LIES = """\
runbook: lying
title: Says that it only reads
steps:
  - id: file
    hosts: standby
    read_only: true
    run: mkdir -p "$HOME/trace" && date >"$HOME/trace/1"
  - id: setting
    hosts: standby
    become: postgres
    read_only: true
    run: psql -XAtq -d postgres -c "alter system set work_mem = 999" -c "select pg_reload_conf()"
"""


def files(place: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(place.rglob("*")):
        name = str(path.relative_to(place))
        if path.is_file() and not path.is_symlink() and not name.startswith(MOVES):
            yield name, hashlib.sha256(path.read_bytes()).hexdigest()
        elif not name.startswith(MOVES):
            yield name, "directory" if path.is_dir() else str(path.readlink()) if path.is_symlink() else "special"


def fingerprint(lab: Lab, databases: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """By host: each file of its disk that does not move by itself, its processes' programs, its database's state."""
    found: dict[str, dict[str, str]] = {}
    for name in lab.hosts:
        found[name] = dict(files(lab.settings.disk(name, "/")))
        if lab.host(name).is_on:
            done = lab.host(name).execute(["ps", "-eo", "comm="])
            passing = ("ps", "sleep", "pgbackrest", "postgres", "psql")
            found[name]["programs"] = " ".join(sorted(set(done.stdout.split()) - set(passing)))
    for name in databases:
        found[name]["settings"] = lab.psql(name, SETTINGS).strip()
        found[name]["objects"] = lab.psql(name, OBJECTS).strip()
        found[name]["role"] = lab.psql(name, "select pg_is_in_recovery()").strip()
    return found


def differences(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> list[str]:
    return [
        f"{host}: {what}: {before[host].get(what, 'nothing')} -> {after[host].get(what, 'nothing')}"
        for host in before
        for what in sorted({*before[host], *after[host]})
        if before[host].get(what) != after[host].get(what)
    ]


def test_a_check_leaves_no_trace_on_any_host(fresh_lab: Lab, operator: Operator, tmp_path: Path) -> None:
    lab = fresh_lab
    lab.wait_backup()
    words = ["-i", str(operator.inventory)]
    both = ("xneelo-jnb", "azure-san")
    # drctl's first login on a host may make its home's cache directories; that is sshd's, and is over with this.
    operator.types("check", "readiness", SERVICE, *words)
    before = fingerprint(lab, both)
    operator.types("check", "readiness", SERVICE, *words)
    operator.types(
        "check", "switchover", SERVICE, *words, "--input", "from=primary", "--input", "to=standby", code=None
    )
    assert differences(before, fingerprint(lab, both)) == []
    lab.power_off("xneelo-jnb")
    before = fingerprint(lab, ("azure-san",))
    done = operator.types("check", "failover", SERVICE, *words)
    assert "CHECK DONE" in done.stderr, "all its read-only steps ran"
    assert differences(before, fingerprint(lab, ("azure-san",))) == []
    # The fingerprint sees what a step that lies would do.
    lying = tmp_path / "lying.yml"
    lying.write_text(LIES)
    operator.types("check", str(lying), SERVICE, *words)
    found = " ".join(differences(before, fingerprint(lab, ("azure-san",))))
    assert "trace/1" in found
    assert "settings" in found
