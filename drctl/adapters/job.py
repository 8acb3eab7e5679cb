"""Probes and durable jobs: what is sent to a shell, and what its answer means (design, laws 2 and 3).

A durable job belongs to its host and not to the connection that started it. ``files/job.sh`` says how it is claimed,
followed and ended there; this module writes its last line and reads its first and last answers.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Literal

from drctl.adapters.envelope import Envelope, Verdict
from drctl.adapters.hold import Hold, held
from drctl.adapters.payload import encode, file_name, script_digest, shell_quote
from drctl.adapters.transport import Exchanged, Limit, NotSent, Refused, Transport, Unreachable
from drctl.engine.ports import CommandResult, Ending, JobName, OutputSink, ShellCommand

KILL_GRACE_S = 5
"""Between TERM and KILL, in seconds."""
KILL_TIMEOUT_S = KILL_GRACE_S + 15.0
"""For all of the ending of a job on a host that answers, in seconds."""
RELEASE_TIMEOUT_S = 10.0
"""For letting a service go on a host that answers, in seconds."""

_WHY_GONE = {"never": "it was never started", "rebooted": "the host has been started anew since"}

_PROBE_BEGINS = """\
cd "${{HOME:-/}}" 2>/dev/null || cd /
( read -r stat </proc/$$/stat; set -- ${{stat##*) }}; printf '%s started %s %s\\n' {token} $$ "${{20}}" )
echo {token} >&2
"""


@cache
def _part(name: str) -> str:
    """A script without its comments: some shells read what comes on a pipe byte by byte."""
    text = (resources.files("drctl.adapters") / "files" / name).read_text("utf-8")
    return "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#"))


def job_directory(name: JobName, host: str) -> str:
    """The name of the job's directory on its host.

    The host's own name is part of it: two names in an inventory may lead to one machine, or two machines share a
    home directory, and a job of one must not be taken for the job of the other.
    """
    return file_name(f"{name}@{host}" if host else str(name)) or "job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """The answer to the wish to end something: gone is True when it was seen that nothing of it runs."""

    gone: bool
    detail: str


def probe(
    transport: Transport, script: str, *, become: str | None, timeout_s: float, output: OutputSink
) -> CommandResult:
    """Run a script that changes nothing; its process group is ended when it takes longer than ``timeout_s``."""
    token = secrets.token_hex(16)
    envelope = Envelope(token, output, last_line=False)
    feed = _PROBE_BEGINS.format(token=token) + script
    killed: list[Killed] = []

    def overdue() -> None:
        if envelope.first is None or len(envelope.first) != 3:
            killed.append(Killed(gone=False, detail="its shell had not begun"))
            return
        _, group, start = envelope.first
        killed.append(_try_to_end(transport, f"stop {{token}} {group} {start} {KILL_GRACE_S}", become))

    began = time.monotonic()
    call = f"probe {token} {shell_quote(feed)}"
    sent = _send(transport, call, become, envelope, Limit(timeout_s=timeout_s, overdue=overdue))
    duration_s = time.monotonic() - began
    if isinstance(sent, CommandResult):
        return sent
    envelope.end()
    if killed:
        return _timed_out(killed[0], timeout_s, duration_s)
    if envelope.first is None:
        return _never_began(sent, envelope, transport.label, become, duration_s)
    if sent.status is None:
        return CommandResult(ending=Ending.LOST, detail=sent.detail, duration_s=duration_s)
    return CommandResult(ending=Ending.FINISHED, exit_code=sent.status, duration_s=duration_s)


def job(
    transport: Transport,
    command: ShellCommand,
    script: str,
    *,
    directory: str,
    timeout_s: float,
    output: OutputSink,
    hold: Hold | None = None,
) -> CommandResult:
    """Start the durable job of that directory, or attach to it; its output comes from the beginning either way.

    ``timeout_s`` counts from now, also for a job that was started long ago. Nothing is started where another run than
    the one in ``hold`` may change the service.
    """
    token = secrets.token_hex(16)
    envelope = Envelope(token, output, last_line=True)
    facts = f"{time.time():.0f} {script_digest(command)} {shell_quote(script)}"
    claim = " ".join(shell_quote(word) for word in (hold.words if hold else ("", "", "")))
    worker = _part("worker.sh") + (_part("hold.sh") if hold else "")
    feed = f'{worker}drctl_work "$@" {facts} {claim} whole\n'
    call = f"job {shell_quote(directory)} {token} 0 0 {shell_quote(feed)}"
    killed: list[Killed] = []

    def overdue() -> None:
        killed.append(_try_to_end(transport, _kill_call(directory, "timeout"), command.become))

    began = time.monotonic()
    sent = _send(transport, call, command.become, envelope, Limit(timeout_s=timeout_s, overdue=overdue))
    duration_s = time.monotonic() - began
    if isinstance(sent, CommandResult):
        return sent
    verdict = envelope.end()
    attached = envelope.first is not None and envelope.first[:1] == ("attached",)
    if verdict is not None and (verdict.state != "lost" or not killed):
        return _judged(verdict, attached, killed, timeout_s, duration_s)
    if killed:
        return _timed_out(killed[0], timeout_s, duration_s, attached=attached)
    if envelope.first is None:
        never = _never_began(sent, envelope, transport.label, command.become, duration_s)
        if never.ending is Ending.LOST:
            return replace(never, detail=f"{never.detail}; whether the job was started is not known")
        return never
    if hold is not None and envelope.first[:1] == ("held",):
        return held(hold, envelope.first[1:], transport.label, duration_s)
    if envelope.first[:1] == ("refused",):
        detail = f"{transport.label} cannot hold the job: {' '.join(envelope.first[1:])}; nothing was run"
        return CommandResult(ending=Ending.REFUSED, detail=detail, duration_s=duration_s)
    detail = sent.detail or f"the shell on {transport.label} ended before the job did"
    detail = f"{detail}; the job goes on if the host does"
    return CommandResult(ending=Ending.LOST, detail=detail, attached=attached, duration_s=duration_s)


def kill(transport: Transport, *, directory: str, become: str | None) -> CommandResult:
    """End the job's process group: TERM, and KILL after ``KILL_GRACE_S``.

    FINISHED with exit code 0 when it was seen that nothing of it runs. A job that was never started cannot be started
    by that name any more.
    """
    began = time.monotonic()
    ending, exit_code = Ending.LOST, None
    try:
        killed = _end(transport, _kill_call(directory, "kill"), become)
        detail = killed.detail
        if killed.gone:
            ending, exit_code, detail = Ending.FINISHED, 0, _WHY_GONE.get(killed.detail, "")
    except Unreachable as error:
        ending, detail = Ending.UNREACHABLE, str(error)
    except Refused as error:
        ending, detail = Ending.REFUSED, str(error)
    return CommandResult(ending=ending, exit_code=exit_code, detail=detail, duration_s=time.monotonic() - began)


def release(transport: Transport, *, name: str, run_id: str, become: str | None) -> tuple[str, ...]:
    """Let a service go on a host when it is that run that holds it.

    ``free``, or ``released`` or ``held`` with the run, the epoch and the operator; ``unknown`` with why when the host
    did not answer.

    Raises:
        NotSent: no connection, or nobody who lets us in.
    """
    token = secrets.token_hex(16)
    envelope = Envelope(token, None, last_line=False)
    limit = Limit(timeout_s=RELEASE_TIMEOUT_S, overdue=lambda: None, linger_s=0.0)
    call = f"release {shell_quote(name)} {shell_quote(run_id)} {token}"
    sent = _send_raw(transport, call, become, envelope, limit, more="hold.sh")
    return envelope.first or ("unknown", sent.detail or envelope.noise() or f"no answer from {transport.label}")


def ask(
    transport: Transport, call: str, *, become: str | None, output: OutputSink, timeout_s: float
) -> tuple[str, ...]:
    """One question of ``files/left.sh``, its answer's first words, and the rest of it to ``output``.

    ``unknown`` with why when the host did not answer in time.

    Raises:
        NotSent: no connection, or nobody who lets us in.
    """
    token = secrets.token_hex(16)
    envelope = Envelope(token, output, last_line=False)
    limit = Limit(timeout_s=timeout_s, overdue=lambda: None, linger_s=0.0)
    sent = _send_raw(transport, call.replace("{token}", token), become, envelope, limit, more="left.sh")
    envelope.end()
    if sent.status is None or envelope.first is None:
        return ("unknown", sent.detail or envelope.noise() or f"no answer from {transport.label}")
    return envelope.first


def _kill_call(directory: str, reason: Literal["timeout", "kill"]) -> str:
    return f"kill {shell_quote(directory)} {{token}} {reason} {KILL_GRACE_S}"


def _try_to_end(transport: Transport, call: str, become: str | None) -> Killed:
    try:
        return _end(transport, call, become)
    except NotSent as error:
        return Killed(gone=False, detail=str(error))


def _end(transport: Transport, call: str, become: str | None) -> Killed:
    token = secrets.token_hex(16)
    envelope = Envelope(token, None, last_line=False)
    limit = Limit(timeout_s=KILL_TIMEOUT_S, overdue=lambda: None, linger_s=0.0)
    sent = _send_raw(transport, call.replace("{token}", token), become, envelope, limit)
    words = envelope.first or ()
    said = " ".join(words[1:])
    if words[:1] == ("gone",):
        return Killed(gone=True, detail=said)
    if words[:1] == ("left",):
        return Killed(gone=False, detail=f"these processes still run on {transport.label}: {said}")
    return Killed(gone=False, detail=said or sent.detail or envelope.noise() or f"no answer from {transport.label}")


def _send(
    transport: Transport, call: str, become: str | None, envelope: Envelope, limit: Limit
) -> Exchanged | CommandResult:
    try:
        return _send_raw(transport, call, become, envelope, limit)
    except Unreachable as error:
        return CommandResult(ending=Ending.UNREACHABLE, detail=str(error))
    except Refused as error:
        return CommandResult(ending=Ending.REFUSED, detail=str(error))


def _send_raw(
    transport: Transport, call: str, become: str | None, envelope: Envelope, limit: Limit, *, more: str = ""
) -> Exchanged:
    text = encode(f"{_part('job.sh')}{_part(more) if more else ''}\ndrctl {call} whole\n")
    return transport.exchange(text, become=become, take=envelope.take, limit=limit)


def _judged(
    verdict: Verdict, attached: bool, killed: list[Killed], timeout_s: float, duration_s: float
) -> CommandResult:
    ending, exit_code, detail = Ending.LOST, None, ""
    if verdict.state == "finished" and verdict.reason == "timeout":
        ending = Ending.TIMED_OUT
        limit = f"took longer than {timeout_s:g} s" if killed else "had taken longer than its timeout"
        detail = f"it {limit} and was ended with its process group"
    elif verdict.state == "finished":
        ending, exit_code = Ending.FINISHED, verdict.code
        if verdict.reason == "kill":
            ending = Ending.ENDED
            detail = "its process group was ended, as drctl was told; what it had begun is half done"
    elif verdict.state == "rebooted":
        ending, detail = Ending.REBOOTED, "the host was started anew before the job had left an exit code"
    else:
        detail = "the job's process is gone and left no exit code: something other than drctl killed it"
    return CommandResult(ending=ending, exit_code=exit_code, detail=detail, attached=attached, duration_s=duration_s)


def _timed_out(killed: Killed, timeout_s: float, duration_s: float, *, attached: bool = False) -> CommandResult:
    if killed.gone:
        ending, detail = Ending.TIMED_OUT, f"it took longer than {timeout_s:g} s and was ended with its process group"
    else:
        ending = Ending.LOST
        detail = f"it took longer than {timeout_s:g} s, and that it was ended could not be seen: {killed.detail}"
    return CommandResult(ending=ending, detail=detail, attached=attached, duration_s=duration_s)


def _never_began(
    sent: Exchanged, envelope: Envelope, label: str, become: str | None, duration_s: float
) -> CommandResult:
    if sent.status is None:
        return CommandResult(ending=Ending.LOST, detail=sent.detail, duration_s=duration_s)
    said = envelope.noise() or f"it ended with exit code {sent.status}"
    what = f"sudo to {become} on {label}" if become else f"the login shell on {label}"
    return CommandResult(
        ending=Ending.REFUSED, detail=f"{what} did not give us a shell: {said}; nothing was run", duration_s=duration_s
    )
