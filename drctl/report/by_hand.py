"""What a person types to do a step without drctl: ssh lines, variables and scripts, as drctl itself would send them.

A script goes to ``sh -s`` as the body of a here-document, between braces: so the shell reads it whole before it
begins, and its commands have an empty standard input, as in a run. A value that a step captures is a blank that the
person fills in, and a secret is only named.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from drctl.engine.perform import mentions
from drctl.model.plan import Endpoint, Http, Shell, Step, Tcp, Transfer, Variable
from drctl.model.units import format_duration
from drctl.read.template import fill

_WORDS_ONLY = 'exec "$@"'
_LAST_LINE = "END-OF-STEP"


def blank(name: str) -> str:
    """What stands where a person puts a captured value."""
    return f"<{name}>"


def ssh_line(endpoint: Endpoint) -> str:
    """The ssh command up to the remote one; ssh_config's entry of the host holds, as it does for drctl."""
    words = ["ssh"]
    if endpoint.ssh_config:
        words += ["-F", endpoint.ssh_config]
    if endpoint.address != endpoint.host:
        words += ["-o", f"HostName={endpoint.address}"]
    if endpoint.port:
        words += ["-p", str(endpoint.port)]
    if endpoint.user:
        words += ["-l", endpoint.user]
    return shlex.join([*words, endpoint.host])


def shell_block(step: Step, shell: Shell, endpoint: Endpoint | None, captured: Mapping[str, str]) -> str:
    """The lines to type for a script or a list of words, on this machine or on a host."""
    remote = endpoint if not shell.local else None
    become = step.become if remote is not None else None
    last = _LAST_LINE
    # sudo stays in the first user's home, which the second may not be able to read.
    body = [
        *(["cd || cd /"] if become else []),
        *_assignments(step, shell, endpoint, captured),
        *_script(shell, captured),
    ]
    while last in "\n".join(body).split("\n"):
        last += "-X"
    runner = f"{_sudo(become)}sh -s"
    first = f"{ssh_line(remote)} {shlex.quote(runner)}" if remote is not None else runner
    return "\n".join([f"{first} <<'{last}'", *body, last])


def transfer_block(step: Step, transfer: Transfer, endpoint: Endpoint, captured: Mapping[str, str]) -> str:
    """The lines that bring a file over, and that compare its sums."""
    blanks = {name: blank(name) for name in captured}
    here, there = fill(transfer.local, blanks), fill(transfer.remote, blanks)
    near, far = shlex.quote(here if here.startswith("/") else f"./{here}"), shlex.quote(there)
    sudo = _sudo(step.become)
    ssh = ssh_line(endpoint)
    if transfer.direction == "put":
        move = f"{ssh} {shlex.quote(f'{sudo}tee -- {far} >/dev/null')} <{near}"
    else:
        move = f"{ssh} {shlex.quote(f'{sudo}cat -- {far}')} >{near}"
    return "\n".join([move, f"sha256sum -- {near}", f"{ssh} {shlex.quote(f'{sudo}sha256sum -- {far}')}"])


def request_block(request: Http | Tcp, timeout_s: float, captured: Mapping[str, str]) -> str:
    """The request as curl or nc makes it."""
    blanks = {name: blank(name) for name in captured}
    if isinstance(request, Tcp):
        return shlex.join(["nc", "-z", "-v", "-w", "5", fill(request.address, blanks), str(request.port)])
    head = ["--head"] if request.method == "HEAD" else ["--request", request.method]
    words = ["curl", "--silent", "--show-error", "--max-time", f"{timeout_s:g}", *head]
    return shlex.join([*words, "--write-out", r"\n%{http_code}\n", fill(request.url, blanks)])


def request_answer(request: Http | Tcp) -> str:
    """What must be seen of a request."""
    if isinstance(request, Tcp):
        return "the connection succeeds" if request.expect == "open" else "the connection is refused, or times out"
    members = "".join(f", and {name} is {value}" for name, value in request.expect_json)
    return f"status {request.expect_status}{members}"


def limits(step: Step) -> str:
    """How long it usually takes and how long at the most, in words."""
    usual = f"usually {format_duration(step.expected_s)}" if step.expected_s is not None else "usual time not known"
    tries = f", tried up to {step.retry.attempts} times" if step.retry.attempts > 1 else ""
    return f"{usual}; given up after {format_duration(step.timeout_s)}{tries}"


def _sudo(become: str | None) -> str:
    return f"sudo -n -H -u {shlex.quote(become)} -- " if become else ""


def _assignments(step: Step, shell: Shell, endpoint: Endpoint | None, captured: Mapping[str, str]) -> Iterator[str]:
    """The variables that the script uses: a captured value wins, then the host's own, as in a run."""
    known: dict[str, Variable] = {variable.name: variable for variable in step.variables}
    known |= {variable.name: variable for variable in (endpoint.variables if endpoint is not None else ())}
    for name, variable in known.items():
        if name in captured or not mentions(shell.script, name):
            continue
        if variable.secret is not None:
            yield f"{name}={shlex.quote(blank(name))}  # a secret, from {variable.secret}: never on paper"
        else:
            yield f"{name}={shlex.quote(variable.text or '')}"
    for name, step_id in captured.items():
        if mentions(shell.script, name):
            yield f"{name}={shlex.quote(blank(name))}  # from step {step_id}; none: leave this line out"


def _script(shell: Shell, captured: Mapping[str, str]) -> Iterator[str]:
    if shell.script == _WORDS_ONLY:
        blanks = {name: blank(name) for name in captured}
        yield f"{shlex.join([fill(word, blanks) for word in shell.words])} </dev/null"
        return
    yield "{"
    yield shell.script.rstrip("\n")
    yield "} </dev/null"
