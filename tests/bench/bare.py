"""A recovery as the bare script that an engineer would write: the plan's own commands over OpenSSH, one after another.

The blocks are those of the page that ``drctl show`` prints for people, so the script cannot drift from the runbook.
It keeps no journal, claims nothing and survives nothing; what it did, and when, is all that it writes down.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from drctl.model.events import Act
from drctl.model.plan import Endpoint, Http, OnFailure, OnUnreachable, Plan, Section, Shell, Step, Verify
from drctl.report.by_hand import blank, request_block, shell_block

_SECTIONS = (Section.PRECONDITIONS, Section.STEPS, Section.ALWAYS)
# `tried STEP HOST ACT COMMAND`: does it once, keeps its output in $out, and writes down when it began and ended.
_HEAD = r"""
set -u
ssh() { command ssh -o ControlMaster=auto -o ControlPersist=60 -o "ControlPath=$control/%C" "$@"; }
tried() {
    local began=$EPOCHREALTIME code=0
    out=$("$4") || code=$?
    printf '%s %s %s %s %s\n' "$1" "$2" "$3" "$began" "$EPOCHREALTIME" >>"$log"
    return "$code"
}
held() { [ "$1" != yes ] || [ "$out" = "$2" ]; }
"""


@dataclass(frozen=True, slots=True)
class Done:
    """One try of one command; the times are seconds since the epoch."""

    step: str
    host: str
    act: Act
    began: float
    ended: float


def bare_script(plan: Plan) -> str:
    """For bash, which knows the time without starting a program. ``$control`` and ``$log`` are a directory and a file.

    Approvals are left out, as nothing asks for one here, and so is a second fence after the first has held.
    """
    lines = [_HEAD]
    captured: dict[str, str] = {}
    proved: set[str] = set()
    number = 0
    for stage in plan.stages:
        if stage.section not in _SECTIONS:
            continue
        calls = []
        for step in stage.steps:
            if not isinstance(step.action, Shell | Http) or step.unless_proved in proved or not _wanted(step):
                continue
            for endpoint in step.endpoints or (None,):
                number += 1
                lines += _function(f"step_{number}", step, endpoint, captured)
                calls.append(f"step_{number}")
            captured |= {capture.name: step.id for capture in step.captures}
            proved |= {step.proves} if step.proves else set()
        lines += calls if len(calls) < 2 else [*(f"{call} & {call}=$!" for call in calls), *_awaited(calls)]
    return "\n".join(lines) + "\n"


def read_log(log: Path) -> list[Done]:
    """What the script has done."""
    rows = [line.split() for line in log.read_text().splitlines()]
    return [
        Done(step, "" if host == "-" else host, Act(act), float(began), float(ended))
        for step, host, act, began, ended in rows
    ]


def _wanted(step: Step) -> bool:
    """Whether its ``when`` holds, as far as the plan says; what only the fallback captures says no."""
    known = {variable.name: variable.text for variable in step.variables}
    return all(known.get(name) == text for name, text in step.when)


def _awaited(calls: list[str]) -> Iterator[str]:
    for call in calls:
        yield f'wait "${call}" || exit 1'


def _function(name: str, step: Step, endpoint: Endpoint | None, captured: Mapping[str, str]) -> Iterator[str]:
    """The command, its retries, what it must print, what is taken from its output, and its ``verify``."""
    lenient = step.on_failure is OnFailure.CONTINUE or step.on_unreachable is OnUnreachable.CONTINUE
    yield from (f"{name}_run() {{", _block(step, step.action, endpoint, captured), "}")
    if step.verify:
        yield from (f"{name}_verify() {{", _block(step, step.verify.action, endpoint, captured), "}")
    told = f"{shlex.quote(step.id)} {endpoint.host if endpoint else '-'}"
    yield f"{name}() {{"
    yield from _loop(f"tried {told} run {name}_run && {_held(step.expect)}", step.retry.attempts, step.retry.delay_s,
                     "return 0" if lenient else "exit 1")  # fmt: skip
    if step.captures:
        reads = " ".join(f"IFS= read -r {capture.name};" for capture in step.captures)
        yield f'    {{ {reads} }} <<<"$out"'
    if step.verify:
        yield from _verify(step.verify, f"tried {told} verify {name}_verify")
    yield "}"


def _verify(verify: Verify, attempt: str) -> Iterator[str]:
    tries = int(verify.within_s // verify.every_s)
    yield from _loop(f"{attempt} && {_held(verify.expect)}", tries, verify.every_s, "exit 1")


def _loop(attempt: str, attempts: int, delay_s: float, otherwise: str) -> Iterator[str]:
    yield "    local n=1"
    yield f"    until {attempt}; do"
    yield f'        [ "$n" -lt {attempts} ] || {otherwise}'
    yield f"        n=$((n + 1)); sleep {delay_s:g}"
    yield "    done"


def _held(expect: str | None) -> str:
    return "held no ''" if expect is None else f"held yes {shlex.quote(expect)}"


def _block(step: Step, action: object, endpoint: Endpoint | None, captured: Mapping[str, str]) -> str:
    """The lines of the page, with the shell's own variables in its blanks."""
    if isinstance(action, Http):
        request = request_block(action, step.timeout_s, captured).split(" ", 1)[1]
        return f"curl --fail {request}"
    assert isinstance(action, Shell), action
    first, *body = shell_block(step, action, endpoint, captured).split("\n")
    command, _, last = first.rpartition(" <<")
    text = "\n".join(body)
    for sign in ("\\", "$", "`"):
        text = text.replace(sign, f"\\{sign}")
    for name in captured:
        text = text.replace(f"'{blank(name)}'", f"'${name}'")
    return f"{command} <<{last.strip(chr(39))}\n{text}"
