"""The main job on real hosts, on good days and on bad ones. What the engineer reads is checked too."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from drctl.lab import Lab
from tests.support import needs
from tests.support.operator import ROOT, SERVICE, Operator, at_home, lose_the_primary_with_a_lagging_standby, until

pytestmark = pytest.mark.lab


# Where there is no pgBackRest a failover brings the service back, and fails at the new backup.
RECOVERED = 0 if needs.has(needs.PGBACKREST) else 1


def runs_of(lab: Lab, host: str, step: str) -> int:
    """How often a step began on a host, counted from the directories that its jobs claimed there."""
    homes = [at_home(lab, host, home) for home in ("/root", "/home/drctl", "/var/lib/postgresql")]
    found = lab.ssh(host, ["sudo", "find", *homes, "-path", "*/drctl/jobs/*", "-prune"])
    return len([line for line in found.stdout.splitlines() if f".{step}." in line])


def lost_is_what_the_report_says(lab: Lab, operator: Operator) -> None:
    """Replication is asynchronous: a write of the last moment may be lost, and then the RPO must say so."""
    compared = lab.acknowledged()
    assert compared.acknowledged > 0
    rpo = operator.report()["rpo"]["actual_s"]
    assert (rpo > 0) == bool(compared.missing), f"{rpo} s, and missing: {compared.missing}"
    assert rpo < 5


def test_the_power_of_the_whole_site_fails_and_the_service_is_back_with_nothing_lost(
    fresh_lab: Lab, operator: Operator
) -> None:
    fresh_lab.load(seconds=2, rate=20)
    fresh_lab.power_off("xneelo-jnb")
    done = operator.failover("--reason", "INC-1", code=RECOVERED)
    assert "RTO MET" in done.stderr
    assert "RPO MET" in done.stderr
    report = operator.report()
    assert report["rto"]["verdict"] == "met"
    assert report["rto"]["actual_s"] > 0
    lost_is_what_the_report_says(fresh_lab, operator)
    assert fresh_lab.psql("azure-san", "select pg_is_in_recovery()").strip() == "f"
    assert "microsoft" not in done.stderr.lower()
    # A second failover finds no standby any more, and says so.
    again = operator.failover(code=7)
    assert "perhaps this service has failed over already" in again.stderr
    assert f"drctl status {SERVICE}" in again.stderr


def test_a_primary_that_is_alive_is_refused_and_switchover_is_named(lab: Lab, operator: Operator) -> None:
    done = operator.failover(code=7)
    assert f"drctl switchover {SERVICE}" in done.stderr
    assert "nothing was changed" in done.stderr
    assert lab.psql("azure-san", "select pg_is_in_recovery()").strip() == "t"


def no_power_switch(inventory: dict) -> None:
    inventory["services"][SERVICE]["commands"]["power_off_primary"] = ["false"]


@pytest.mark.needs(needs.LINKS)
def test_without_a_fence_it_stops_and_a_typed_override_goes_into_the_evidence(
    fresh_lab: Lab, operator: Operator
) -> None:
    """The old primary cannot be reached by anybody, and its power cannot be switched: it may be alive."""
    operator.changed(no_power_switch)
    for host in ("operator", "edge", "azure-san", "cloudprox"):
        fresh_lab.cut("xneelo-jnb", host)
    done = operator.failover(code=6)
    assert "it needs proof of primary_fenced, and there is none" in done.stderr
    assert "drctl resume" in done.stderr
    assert fresh_lab.psql("azure-san", "select pg_is_in_recovery()").strip() == "t"
    # An override without a reason is none; with one it goes on, and the reason is in the report.
    assert "a reason is needed" in operator.types("resume", "--override", "primary_fenced=", code=2).stderr
    operator.types("resume", "--no-input", "--override", "primary_fenced=Thandi pulled the plug")
    assert "Thandi pulled the plug" in operator.types("report").stdout
    assert fresh_lab.psql("azure-san", "select pg_is_in_recovery()").strip() == "f"


def test_a_frozen_primary_is_fenced_and_cannot_come_back_to_write(fresh_lab: Lab, operator: Operator) -> None:
    """A paused host accepts connections and never answers; thawed after the promotion it would write again."""
    fresh_lab.freeze("xneelo-jnb")
    operator.failover(code=RECOVERED)
    fresh_lab.thaw("xneelo-jnb")
    assert {h.name: h.power for h in fresh_lab.status().hosts}["xneelo-jnb"] == "off"
    lost_is_what_the_report_says(fresh_lab, operator)


@pytest.mark.needs(needs.LINKS)
def test_a_standby_that_lags_beyond_the_rpo_waits_for_a_person(fresh_lab: Lab, operator: Operator) -> None:
    def tight(inventory: dict) -> None:
        inventory["services"][SERVICE]["objectives"] = {"rpo": "2s"}

    operator.changed(tight)
    lose_the_primary_with_a_lagging_standby(fresh_lab, seconds=6)
    done = operator.failover(code=6)
    assert "more than the RPO" in done.stderr
    assert fresh_lab.psql("azure-san", "select pg_is_in_recovery()").strip() == "t"
    # With the approval it recovers, and says that the objective was missed.
    done = operator.types("resume", "--no-input", "--approve", "approve-the-loss=INC-2, the client agreed", code=4)
    assert "RPO MISSED" in done.stderr
    assert fresh_lab.acknowledged().missing
    assert "the client agreed" in operator.types("report").stdout


def test_drctl_killed_in_the_middle_of_the_promotion_goes_on_and_promotes_once(
    fresh_lab: Lab, operator: Operator
) -> None:
    fresh_lab.power_off("xneelo-jnb")
    with operator.begins() as running:
        until(running, lambda e: e["body"]["type"] == "attempt_started" and e["body"].get("step") == "promote")
        os.kill(running.pid, signal.SIGKILL)
    assert "drctl resume" in operator.types("status").stdout
    operator.types("resume", "--no-input", code=RECOVERED)
    report = operator.report()
    assert report["rto"]["verdict"] == "met"
    assert runs_of(fresh_lab, "azure-san", "promote") == 1
    timeline = fresh_lab.psql("azure-san", "select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)").strip()
    assert timeline == "00000002"
    lost_is_what_the_report_says(fresh_lab, operator)


def test_two_operators_at_once_and_a_first_ctrl_c(fresh_lab: Lab, operator: Operator) -> None:
    fresh_lab.power_off("xneelo-jnb")
    with operator.begins() as running:
        until(running, lambda e: e["body"]["type"] == "attempt_started" and e["body"].get("step") == "resize")
        second = operator.failover(code=5)
        assert re.search(r"is held by the run \S+ of \S+@\S+ \(process \d+\) since ", second.stderr)
        os.kill(running.pid, signal.SIGINT)
        ended = until(running, lambda e: e["body"]["type"] == "run_ended")
        assert ended["body"]["ended"] == "paused"
        assert running.stderr
        assert "stopping after the current step" in running.stderr.read()
    assert running.returncode == 130
    operator.types("resume", "--no-input", code=RECOVERED)
    assert runs_of(fresh_lab, "azure-san", "promote") == 1


def test_a_host_key_that_has_changed_is_refused_and_nothing_is_sent(
    lab: Lab, operator: Operator, tmp_path: Path
) -> None:
    config = Path(yaml.safe_load(operator.inventory.read_text())["ssh"]["config"]).read_text()
    known = re.search(r"UserKnownHostsFile\s+(\S+)", config)
    assert known
    other = tmp_path / "known_hosts"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "k"], check=True)
    key = " ".join((tmp_path / "k.pub").read_text().split()[:2])
    lines = [" ".join([line.split()[0], key]) for line in Path(known.group(1)).read_text().splitlines() if line]
    other.write_text("\n".join(lines) + "\n")
    changed = tmp_path / "ssh_config"
    changed.write_text(config.replace(known.group(1), str(other)))
    operator.changed(lambda inventory: inventory["ssh"].update(config=str(changed)))
    done = operator.failover(code=7)
    assert "host key" in done.stderr
    assert str(other) in done.stderr
    assert "nothing was changed" in done.stderr
    other.write_text("")
    assert "host key" in operator.failover(code=7).stderr


def test_the_wrong_key_is_refused(lab: Lab, operator: Operator, tmp_path: Path) -> None:
    config = Path(yaml.safe_load(operator.inventory.read_text())["ssh"]["config"]).read_text()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "wrong"], check=True)
    changed = tmp_path / "ssh_config"
    changed.write_text(re.sub(r"(IdentityFile\s+)\S+", rf"\g<1>{tmp_path / 'wrong'}", config))
    operator.changed(lambda inventory: inventory["ssh"].update(config=str(changed)))
    done = operator.failover(code=7)
    user = lab.settings.login_user
    assert f"took none of the 1 keys offered for user {user}; nothing was sent" in done.stderr
    assert "perhaps this service has failed over already" not in done.stderr, "a refusal is not a no"


@pytest.mark.needs(needs.SPACES)
def test_a_dry_run_renders_everything_and_connects_to_nothing(lab: Lab, operator: Operator) -> None:
    before = time.time()
    done = subprocess.run(
        ["unshare", "--net", *operator.words("failover", SERVICE, "-i", str(operator.inventory), "--dry-run")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pg_ctl" in done.stdout
    assert "power" in done.stdout
    assert not (operator.state / "journal.db").exists()
    assert before < time.time()


def test_the_doctor_reaches_every_host(lab: Lab, operator: Operator) -> None:
    done = operator.types("doctor", "-i", str(operator.inventory))
    for host in ("operator", "edge", "xneelo-jnb", "azure-san", "cloudprox"):
        assert re.search(rf"^ok\s+{host}\s+reached", done.stdout, re.M), done.stdout
