"""A run of drctl as its own events tell it: what was done, and when."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import datetime
from pathlib import Path

from drctl.model.events import Act, Outcome
from tests.bench.bare import Done
from tests.bench.measure import ROOT
from tests.support.operator import Operator


def recover(operator: Operator, verb: str, *, until: str = "") -> tuple[float, list[Done]]:
    """Seconds from the first word to the end of the process, and the attempts with their times since that word.

    With ``until`` the time ends when that step has succeeded, and drctl is killed there.
    """
    errors = Path(f"{operator.state}.errors")
    words = operator.words(verb, "taskflow-demo", "-i", str(operator.inventory), "--yes", "--no-input", "--json")
    started: dict[tuple[str, str, str], float] = {}
    done: list[Done] = []
    with errors.open("w") as told:
        began = time.time()
        run = subprocess.Popen(
            words, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=told, stdin=subprocess.DEVNULL
        )
        assert run.stdout
        with run.stdout:
            for line in run.stdout:
                event = json.loads(line)
                body, at = event["body"], datetime.fromisoformat(event["at"]).timestamp() - began
                key = body.get("step", ""), body.get("host", ""), body.get("act", "")
                if body["type"] == "attempt_started":
                    started[key] = at
                elif body["type"] == "attempt_finished":
                    done.append(Done(key[0], key[1], Act(key[2]), started[key], at))
                    if key[0] == until and body["outcome"] == Outcome.SUCCEEDED:
                        run.kill()
                        run.wait()
                        return at, done
        code = run.wait()
        took_s = time.time() - began
    assert code == 0, errors.read_text()
    return took_s, done
