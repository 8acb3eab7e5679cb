"""What can be done to the lab: power, freezing, links, sizes; and that each really happens."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drctl.cli.lab import app
from drctl.errors import LabError, UsageError
from drctl.lab import Lab
from drctl.lab.commands import wait_until
from drctl.lab.edge import health
from drctl.lab.latency import Latency
from tests.support import needs
from tests.support.operator import at_home

pytestmark = pytest.mark.lab


def database(lab: Lab, host: str, *verbs: str) -> list[str]:
    """The words that do this to a host's PostgreSQL, one after the other."""
    return ["; ".join(at_home(lab, host, f"/opt/taskflow/bin/database {verb}") for verb in verbs)]


def boot_id(lab: Lab, host: str) -> str:
    return lab.ssh(host, ["cat /proc/sys/kernel/random/boot_id"]).stdout.strip()


def reaches(address: str, port: int = 22, timeout: float = 0.6) -> bool:
    """Whether a TCP connection stands within the time; a refusal is an error: the host would be there."""
    try:
        socket.create_connection((address, port), timeout).close()
    except ConnectionRefusedError:
        raise
    except OSError:
        return False
    return True


@pytest.mark.needs(needs.BOOT_ID)
def test_power_off_is_proved_and_power_on_boots_again(fresh_lab: Lab) -> None:
    lab, name = fresh_lab, "xneelo-jnb"
    before = boot_id(lab, name)
    # What others started on the host over ssh and detached dies with it.
    lab.ssh(name, ["setsid sleep 4321 >/dev/null 2>&1 </dev/null &"])
    host = lab.host(name)
    assert host.groups.processes(name)
    assert lab.power_off(name) == {name: True}
    assert host.groups.processes(name) == []
    assert not host.is_on
    assert not reaches(lab.settings.address(name))
    assert lab.power_off(name) == {name: False}
    with pytest.raises(LabError, match="power is off"):
        lab.psql(name, "SELECT 1")

    assert lab.power_on(name) == {name: True}
    assert lab.power_on(name) == {name: False}
    assert boot_id(lab, name) not in ("", before)
    assert lab.ssh(name, ["pgrep -f 'sleep 4321'"]).stdout == ""
    assert wait_until(lambda: lab.status().application == "ok", within=20), lab.status()
    assert wait_until(lambda: lab.status().hosts[2].streaming_to == ("azure_san",), within=20), lab.status()


def test_the_application_itself_says_so_when_the_primary_is_lost(fresh_lab: Lab) -> None:
    lab = fresh_lab
    lab.power_off("xneelo-jnb")
    for _ in range(2):
        # health() gives up after four seconds, and then says that the application does not answer at all.
        with pytest.raises(LabError, match=r"503.*reason"):
            health(lab.settings)


def test_a_database_that_was_fenced_over_ssh_stays_down_after_a_reboot(fresh_lab: Lab) -> None:
    lab, name = fresh_lab, "xneelo-jnb"
    done = lab.ssh(name, database(lab, name, "disable"))
    assert done.returncode == 0, done.stderr
    lab.power_off(name)
    lab.power_on(name)
    assert lab.ssh(name, database(lab, name, "status")).stdout == "stopped disabled\n"
    assert lab.ssh(name, database(lab, name, "enable", "start")).returncode == 0
    assert lab.psql(name, "SELECT pg_is_in_recovery()") == "f"


def test_postgresql_that_was_killed_can_be_started_again(fresh_lab: Lab) -> None:
    lab, name = fresh_lab, "xneelo-jnb"
    script = at_home(lab, name, 'kill -9 "$(head -1 /var/lib/postgresql/15/main/postmaster.pid)"\n')
    assert lab.ssh(name, ["sudo", "-n", "-u", "postgres", "sh", "-s"], stdin=script).returncode == 0
    # Its process number must be free at once: nobody reaps it but the host's own init.
    assert wait_until(lambda: lab.ssh(name, database(lab, name, "start")).returncode == 0, within=15)
    assert lab.psql(name, "SELECT 1") == "1"


@pytest.mark.needs(needs.PGBACKREST)
def test_a_process_number_of_the_last_boot_does_not_keep_postgresql_from_starting(fresh_lab: Lab) -> None:
    lab, name = fresh_lab, "azure-san"
    # After a power failure the file is still there, and its number may be another program's of the same user.
    script = (
        "/opt/taskflow/bin/database stop\n"
        "file=/var/lib/postgresql/15/main/postmaster.pid\n"
        "pgrep -o -u postgres pgbackrest >$file && chown postgres $file && chmod 600 $file\n"
        "/opt/taskflow/bin/database boot\n"
    )
    done = lab.ssh(name, ["sudo", "-n", "sh", "-es"], stdin=script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.psql(name, "SELECT pg_is_in_recovery()") == "t"


def test_a_frozen_primary_answers_nothing_and_goes_on_when_it_is_thawed(fresh_lab: Lab) -> None:
    lab, name = fresh_lab, "xneelo-jnb"
    before = boot_id(lab, name)
    assert lab.freeze(name)
    assert not lab.freeze(name)
    with pytest.raises(LabError, match="503"):
        health(lab.settings)
    assert reaches(lab.settings.address(name), lab.settings.ssh_port), (
        "the kernel still answers for a host that is frozen"
    )
    assert lab.status().hosts[2].power == "frozen"
    with pytest.raises(LabError, match="is frozen"):
        lab.psql(name, "SELECT 1")
    assert lab.thaw(name)
    assert not lab.thaw(name)
    assert wait_until(lambda: lab.status().application == "ok", within=10)
    assert boot_id(lab, name) == before
    lab.freeze(name)
    assert lab.power_off(name) == {name: True}, "power off ends a frozen host too"


@pytest.mark.needs(needs.LINKS)
def test_cut_and_heal(fresh_lab: Lab) -> None:
    lab = fresh_lab
    address = lab.settings.address("azure-san")
    lab.cut("operator", "azure-san")
    assert not reaches(address), "this machine's own traffic is the operator's"
    assert reaches(lab.settings.address("xneelo-jnb"))
    assert lab.status().cuts == (("azure-san", "operator"),)
    assert lab.heal("azure-san", "operator")
    assert not lab.heal("azure-san", "operator")
    assert reaches(address)
    # By the site's name, and all at once.
    lab.cut("teraco-cpt", "xneelo-jnb")
    with pytest.raises(LabError, match="503"):
        health(lab.settings)
    lab.heal_all()
    assert wait_until(lambda: lab.status().application == "ok", within=10)
    assert lab.status().cuts == ()


@pytest.mark.needs(needs.LINKS)
def test_a_link_that_is_cut_one_way_still_carries_the_other(lab: Lab) -> None:
    """What is asked arrives and the answer does not: whoever asks takes the other end for dead."""
    init = lab.host("cloudprox").init
    assert init is not None

    def arrived() -> int:
        """Datagrams that came to a port where nobody listens."""
        counters = Path(f"/proc/{init.pid}/net/snmp").read_text().splitlines()
        names, values = (line.split() for line in counters if line.startswith("Udp:"))
        return int(values[names.index("NoPorts")])

    assert lab.cut("cloudprox", "operator", one_way=True) == [("cloudprox", "operator")]
    try:
        assert (lab.status().cuts, lab.status().one_way_cuts) == ((), (("cloudprox", "operator"),))
        before = arrived()
        assert not reaches(lab.settings.address("cloudprox"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", (lab.settings.address("cloudprox"), 9))
        assert wait_until(lambda: arrived() > before, within=10)
        # Cut both ways it is one cut, and healing takes both away.
        lab.cut("operator", "cloudprox", one_way=True)
        assert (lab.status().cuts, lab.status().one_way_cuts) == ((("cloudprox", "operator"),), ())
        assert lab.heal("operator", "cloudprox")
        assert reaches(lab.settings.address("cloudprox"))
        lab.cut("cloudprox", "operator", one_way=True)
        assert lab.heal("operator", "cloudprox")
        assert not lab.heal("operator", "cloudprox")
    finally:
        lab.heal_all()


@pytest.mark.needs(needs.LINKS)
def test_power_on_does_not_need_the_operators_link(fresh_lab: Lab) -> None:
    lab = fresh_lab
    lab.cut("operator", "azure-san")
    lab.power_off("azure-san")
    assert lab.power_on("azure-san") == {"azure-san": True}


@pytest.mark.needs(needs.LINKS)
def test_rate_slows_a_link_down(fresh_lab: Lab) -> None:
    lab = fresh_lab

    def seconds() -> float:
        started = time.monotonic()
        done = lab.ssh("cloudprox", ["head -c 2000000 /dev/zero"])
        assert len(done.stdout) == 2_000_000
        return time.monotonic() - started

    # 16 Mbit at 8 Mbit/s take two seconds, however quick the machine is; without the limit one of a few tries is
    # quicker, however busy it is.
    assert wait_until(lambda: seconds() < 1.5, within=60)
    lab.rate("cloudprox", 8)
    assert min(seconds() for _ in range(3)) > 1.5
    lab.rate("cloudprox", 0)
    assert wait_until(lambda: seconds() < 1.5, within=60)


def round_trip_ms(address: str) -> float:
    """The shortest of a few TCP handshakes: what the machine is busy with can only make one longer."""
    times = []
    for _ in range(3):
        started = time.monotonic()
        socket.create_connection((address, 22), 5).close()
        times.append((time.monotonic() - started) * 1000)
    return min(times)


@pytest.mark.needs(needs.LINKS)
def test_latency_makes_a_link_longer_and_the_others_not(lab: Lab) -> None:
    near, far = lab.settings.address("edge"), lab.settings.address("cloudprox")
    ssh_from_edge = "exec 3<>/dev/tcp/cloudprox/22; read -r banner <&3; echo $banner"
    try:
        assert lab.latency(["operator", "cloudprox"], 400) == [("operator", "cloudprox")]
        assert lab.status().latencies == (("cloudprox", "operator", 400.0),)
        assert lab.status().relay == "running"
        assert round_trip_ms(far) >= 400
        started = time.monotonic()
        assert lab.ssh("cloudprox", ["hostname"]).stdout == "cloudprox\n"
        assert time.monotonic() - started >= 0.4
        # More than a window of TCP, in frames that the kernel would send in one piece: they come whole.
        assert len(lab.ssh("cloudprox", ["head -c 3000000 /dev/zero"]).stdout) == 3_000_000
        assert round_trip_ms(near) < 400
        # All links of a host; one of them is given another length afterwards.
        lab.latency(["cloudprox"], 300)
        lab.latency(["cloudprox", "operator"], 0)
        others = set(lab.hosts) - {"cloudprox", "operator"}
        slow = {(one, other) for one, other, _ in lab.status().latencies}
        assert slow == {(min("cloudprox", other), max("cloudprox", other)) for other in others}
        assert round_trip_ms(far) < 300
        started = time.monotonic()
        assert lab.ssh("edge", [f"bash -c '{ssh_from_edge}'"]).stdout.startswith("SSH-2.0")
        assert time.monotonic() - started >= 0.3
        relay = Latency(lab.settings).relay
        assert relay is not None
    finally:
        lab.latency(["cloudprox"], 0)
    assert lab.status().latencies == ()
    assert not relay.is_alive()
    assert round_trip_ms(far) < 300


@pytest.mark.needs(needs.LINKS)
def test_a_relay_that_was_lost_is_seen_and_made_again(lab: Lab) -> None:
    address = lab.settings.address("cloudprox")
    try:
        lab.latency(["operator", "cloudprox"], 1)
        relay = Latency(lab.settings).relay
        assert relay is not None
        relay.kill()
        assert wait_until(lambda: lab.status().relay == "ended", within=5)
        assert not reaches(address), "packets passed without their delay"
        assert "has ended" in CliRunner().invoke(app, ["status"]).stdout
        lab.latency(["operator", "cloudprox"], 1)
        assert reaches(address, timeout=5)
    finally:
        lab.latency(["operator", "cloudprox"], 0)
    assert reaches(address, timeout=5)


@pytest.mark.needs(needs.LINKS)
def test_a_latency_that_cannot_be(lab: Lab) -> None:
    for names, ms, said in (
        (["edge", "edge"], 5.0, "same host"),
        (["edge", "operator", "cloudprox"], 5.0, "two ends"),
        (["edge"], -1.0, "cannot be added"),
        (["edge"], 10_001.0, "cannot be added"),
    ):
        with pytest.raises(UsageError, match=said):
            lab.latency(names, ms)
    assert lab.status().latencies == ()


@pytest.mark.needs(needs.BOOT_ID)
def test_resize_reboots_once_and_then_is_done(fresh_lab: Lab) -> None:
    lab, name = fresh_lab, "azure-san"
    before = boot_id(lab, name)
    assert lab.resize(name, "standard")
    after = boot_id(lab, name)
    assert after != before
    assert lab.ssh(name, ["awk '/^MemTotal:/ {print int($2/1024)}' /proc/meminfo"]).stdout == "2048\n"
    assert wait_until(lambda: lab.status().hosts[3].database == "standby", within=15)
    assert lab.psql(name, "SHOW shared_buffers") == "256MB"
    assert not lab.resize(name, "standard")
    assert boot_id(lab, name) == after
    assert wait_until(lambda: lab.status().hosts[2].streaming_to == ("azure_san",), within=20)


def test_a_host_that_is_off_is_resized_and_stays_off(fresh_lab: Lab) -> None:
    lab = fresh_lab
    lab.power_off("azure-san")
    assert lab.resize("azure-san", "standard")
    assert lab.status().hosts[3].power == "off"
    lab.power_on("azure-san")
    assert lab.ssh("azure-san", [at_home(lab, "azure-san", "cat /etc/lab/size")]).stdout == "standard\n"


@pytest.mark.needs(needs.HAPROXY)
def test_repoint_holds_over_a_reboot_and_ends_old_sessions(fresh_lab: Lab) -> None:
    lab = fresh_lab
    old, new = lab.settings.address("xneelo-jnb"), lab.settings.address("azure-san")
    assert lab.ssh("edge", ["/opt/taskflow/bin/repoint --show"]).stdout == f"{old}\n"
    session = 'exec 3<>/dev/tcp/127.0.0.1/6432; echo open; timeout 20 cat <&3 >/dev/null; echo "ended $?"'
    words = lab.ssh_words("edge", [f"bash -c '{session}'"])
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == "open\n"
        done = lab.ssh("edge", ["/opt/taskflow/bin/repoint", new])
        assert done.stdout == f"database traffic goes to {new}:5432\n", done.stderr
        assert held.stdout.readline() == "ended 0\n", "the session to the old primary outlived the change"
    assert "not an IPv4 address" in lab.ssh("edge", ["/opt/taskflow/bin/repoint 'x;y'"]).stderr
    # A standby takes no writes, and the application says so.
    with pytest.raises(LabError, match="read-only"):
        health(lab.settings)
    lab.power_off("edge")
    lab.power_on("edge")
    assert wait_until(lambda: lab.ssh("edge", ["/opt/taskflow/bin/repoint --show"]).stdout == f"{new}\n", within=10)
