"""A run of drctl as its own events tell it: what was done, and when."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from drctl.model.events import Act, Outcome
from tests.bench.bare import Done
from tests.bench.measure import ROOT
from tests.support.operator import Operator

_LOOK_EVERY_S = 0.02


def recover(operator: Operator, verb: str, *, until: str = "") -> tuple[float, list[Done]]:
    """Seconds from the first word to the end of the process, and the attempts with their times since that word.

    With ``until`` the time ends when that step has succeeded, and drctl is killed there.
    """
    output, errors = Path(f"{operator.state}.events"), Path(f"{operator.state}.errors")
    words = operator.words(verb, "taskflow-demo", "-i", str(operator.inventory), "--yes", "--no-input", "--json")
    started: dict[tuple[str, str, str], float] = {}
    done: list[Done] = []
    with output.open("w") as out, errors.open("w") as err:
        began = time.time()
        run = subprocess.Popen(words, cwd=ROOT, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
    try:
        for event in _events(run, output):
            body, at = event["body"], datetime.fromisoformat(event["at"]).timestamp() - began
            key = body.get("step", ""), body.get("host", ""), body.get("act", "")
            if body["type"] == "attempt_started":
                started[key] = at
            elif body["type"] == "attempt_finished":
                done.append(Done(key[0], key[1], Act(key[2]), started[key], at))
                if key[0] == until and body["outcome"] == Outcome.SUCCEEDED:
                    return at, done
        took_s = time.time() - began
    finally:
        run.kill()
        run.wait()
    assert (run.returncode, until) == (0, ""), errors.read_text()
    return took_s, done


def _events(run: subprocess.Popen[bytes], output: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of the file, until the process has ended and there are no more."""
    line = ""
    with output.open() as lines:
        while True:
            ended = run.poll() is not None
            line += lines.readline()
            if line.endswith("\n"):
                yield json.loads(line)
                line = ""
            elif ended:
                return
            else:
                time.sleep(_LOOK_EVERY_S)
