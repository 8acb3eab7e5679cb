"""OpenSSH's own client, for bulk data: it is three times as fast as Python's SSH, and rsync speaks through it.

Who answers has been checked by the time that it is started (``trust.py``): the control connection comes first. It is
told to check again, and never to ask anybody anything.
"""

from __future__ import annotations

from drctl.adapters.ssh.hosts import CONNECT_TIMEOUT_S
from drctl.model.plan import Endpoint

_OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "NoHostAuthenticationForLocalhost=no",
    "UpdateHostKeys=no",
    f"ConnectTimeout={CONNECT_TIMEOUT_S:.0f}",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    # A master that is open already was opened with the person's own idea of checking host keys.
    "ControlMaster=no",
    "ControlPath=none",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "LogLevel=ERROR",
)


def client_argv(endpoint: Endpoint) -> list[str]:
    """The client and its options, without the host's name, which comes next. The inventory wins over ssh_config."""
    argv = ["ssh", "-T", "-x", "-a"]
    if endpoint.ssh_config is not None:
        argv += ["-F", endpoint.ssh_config]
    if endpoint.port:
        argv += ["-p", str(endpoint.port)]
    if endpoint.user:
        argv += ["-l", endpoint.user]
    if endpoint.address and endpoint.address != endpoint.host:
        argv += ["-o", f"HostName={endpoint.address}"]
    for option in _OPTIONS:
        argv += ["-o", option]
    return argv


def for_rsync(argv: list[str]) -> str:
    """The same as one text for rsync's ``-e``, which splits it at blanks and knows quotes, doubled within quotes."""
    return " ".join('"' + word.replace('"', '""') + '"' if set(word) & set(" \t\"'") else word for word in argv)
