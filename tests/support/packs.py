"""Signed packs of evidence to tamper with, and what drctl says of them."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from drctl.cli.main import execute
from tests.support import sample_runs
from tests.support.journals import write_run

SIGNER = "auditor@example.org"

MANIFEST = "MANIFEST.sha256"


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two keys, and a file that trusts the first."""
    place = tmp_path_factory.mktemp("keys")
    for name in ("trusted", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", place / name], check=True)
    key = (place / "trusted.pub").read_text().strip()
    (place / "allowed_signers").write_text(f'{SIGNER} namespaces="drctl-evidence" {key}\n')
    return place


@pytest.fixture(scope="session")
def _true_pack(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Path:
    state = tmp_path_factory.mktemp("state")
    run = write_run(state, sample_runs.hostile())
    target = tmp_path_factory.mktemp("packs") / "evidence"
    words = ["--state-dir", str(state), "evidence", run, "-o", str(target), "--key", str(keys / "trusted")]
    assert execute(words) == 0
    return target


@pytest.fixture
def pack(_true_pack: Path, tmp_path: Path) -> Path:
    """A copy of a signed pack, to tamper with."""
    return Path(shutil.copytree(_true_pack, tmp_path / "evidence"))


def verify(pack: Path, keys: Path, *more: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str], str]:
    """The exit code, the checks that are broken, and all that was said."""
    capsys.readouterr()
    words = ["evidence", "verify", str(pack), "--allowed-signers", str(keys / "allowed_signers"), "--json", *more]
    code = execute(words)
    said = capsys.readouterr()
    found = json.loads(said.out) if said.out else {"checks": []}
    broken = {c["name"]: c["text"] for c in found["checks"] if c["result"] == "broken"}
    return code, broken, said.out + said.err


def resigned(pack: Path, key: Path, namespace: str = "drctl-evidence") -> None:
    """Make the list of sums true again, and sign it: what somebody with a key could do."""
    (pack / f"{MANIFEST}.sig").unlink(missing_ok=True)
    names = sorted(p.relative_to(pack).as_posix() for p in pack.rglob("*") if p.is_file() and p.name != MANIFEST)
    sums = "".join(f"{hashlib.sha256((pack / n).read_bytes()).hexdigest()}  {n}\n" for n in names)
    (pack / MANIFEST).write_text(sums)
    subprocess.run(["ssh-keygen", "-Y", "sign", "-q", "-f", key, "-n", namespace, pack / MANIFEST], check=True)


def chained_anew(pack: Path, rows: list[dict[str, object]]) -> None:
    """Write these events with a chain of their own, and the head to it."""
    previous, lines = "0" * 64, []
    for number, row in enumerate(rows, start=1):
        row |= {"sequence": number, "previous": previous}
        line = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        previous = hashlib.sha256(line.encode()).hexdigest()
        lines.append(line + "\n")
    (pack / "events.jsonl").write_text("".join(lines))
    (pack / "HEAD").write_text(f"{len(rows)} {previous}\n")


def rows_of(pack: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (pack / "events.jsonl").read_bytes().splitlines()]


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(pack: Path) -> None:
        path = pack / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return change
