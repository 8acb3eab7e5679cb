"""The lab for tests that need real hosts: one for the session, brought back to its beginning where a test asks."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drctl.lab import Lab
from drctl.lab.prerequisites import missing_for
from tests.contract.sshd import SSHD, Sshd
from tests.support import worker
from tests.support.operator import Operator


@dataclass
class _Session:
    """The lab and how far it is from its beginning: ``new``, ``used`` (left as it was found) or ``spent``."""

    lab: Lab
    inventory: Path
    condition: str = "new"

    def renew(self) -> None:
        """Down and up: a few seconds, and nothing of the last test can be left."""
        self.lab.down()
        self.lab.up(self.inventory)
        self.condition = "new"


@pytest.fixture(scope="session")
def _lab_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Session]:
    """One lab for all tests, apart from every other one here; DRCTL_TEST_LAB and DRCTL_TEST_LAB_NET move it."""
    name, net = worker.lab(os.environ.get("DRCTL_TEST_LAB", "test"), os.environ.get("DRCTL_TEST_LAB_NET", "10.78"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRCTL_LAB", name)
        patch.setenv("DRCTL_LAB_NET", net)
        patch.delenv("DRCTL_LAB_DIR", raising=False)
        lab = Lab.from_environment()
        missing = missing_for(lab.settings)
        if missing:
            pytest.skip("the lab cannot run here; missing: " + "; ".join(item.what for item in missing))
        # Two test sessions on one machine take turns: each begins by removing what the last one left.
        with worker.turn(name).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            session = _Session(lab, tmp_path_factory.mktemp("lab") / "lab.yml")
            session.renew()
            try:
                yield session
            finally:
                lab.down()


_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


@pytest.fixture
def lab(request: pytest.FixtureRequest, _lab_session: _Session) -> Iterator[Lab]:
    """The lab, standing and untouched. A test that takes this one leaves it so; another one takes ``fresh_lab``.

    One that failed may have left anything: the next test gets a new lab.
    """
    if _lab_session.condition == "spent":
        _lab_session.renew()
    _lab_session.condition = "used"
    yield _lab_session.lab
    if request.node.stash.get(_FAILED, False):
        _lab_session.condition = "spent"


@pytest.fixture
def fresh_lab(_lab_session: _Session) -> Lab:
    """The lab as ``lab up`` leaves it, to do anything with."""
    if _lab_session.condition != "new":
        _lab_session.renew()
    _lab_session.condition = "spent"
    return _lab_session.lab


@pytest.fixture
def lab_inventory(_lab_session: _Session) -> Path:
    """The inventory of that lab."""
    return _lab_session.inventory


@pytest.fixture
def other_lab(monkeypatch: pytest.MonkeyPatch, _lab_session: _Session) -> Iterator[Lab]:
    """A second lab beside the first, not up; whatever becomes of it is removed afterwards."""
    monkeypatch.setenv("DRCTL_LAB", f"{_lab_session.lab.settings.name[:8]}b")
    first, second = _lab_session.lab.settings.net.split(".")
    monkeypatch.setenv("DRCTL_LAB_NET", f"{first}.{int(second) + 100}")
    second_lab = Lab.from_environment()
    second_lab.down()
    yield second_lab
    second_lab.down()


@pytest.fixture
def operator(tmp_path: Path, lab_inventory: Path) -> Operator:
    """An engineer with a state directory of their own and the inventory of the lab."""
    return Operator(tmp_path / "state", lab_inventory)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A real sshd on loopback, for what needs no lab: one host, which this machine is."""
    if SSHD is None:
        pytest.skip("OpenSSH's sshd is not installed")
    directory = tmp_path / "sshd"
    directory.mkdir()
    server = Sshd(directory)
    server.start()
    yield server
    server.stop()
