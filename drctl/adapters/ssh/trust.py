"""Who the host is, and who we are: host keys are checked against what is known, and our own keys are offered.

Unknown and changed are both refused, whatever ``StrictHostKeyChecking`` says (design, law 9).
"""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import paramiko
from paramiko.agent import AgentKey
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey

from drctl.adapters.ssh.hosts import Route
from drctl.adapters.transport import Refused

_AGENT_TIMEOUT_S = 30.0  # a person may have to touch a key, or say yes
_RSA = ("rsa-sha2-512", "rsa-sha2-256")


class CheckedHostKeys(paramiko.MissingHostKeyPolicy):
    """Paramiko knows no keys (so it asks here each time), and this lets only a known one through.

    Paramiko's own comparison holds one key for each name and type; files may well list two.
    """

    def __init__(self, route: Route) -> None:
        self._route = route

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Paramiko's question.

        Raises:
            Refused: the key is not known, or not the known one, or revoked.
        """
        check_host_key(self._route, key.get_name(), key.asbytes())


def check_host_key(route: Route, key_type: str, blob: bytes) -> None:
    """Let a known key pass.

    Raises:
        Refused: with the file and line that speak against it, and what to type.
    """
    who = route.name if route.name == route.address else f"{route.name} ({route.address})"
    sum_ = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    shown = f"{key_type} SHA256:{sum_}"
    for known in route.keys:
        if known.revoked and known.blob == blob:
            raise Refused(f"the host key of {who} is revoked ({known.file}:{known.line}): nothing was sent")
    usable = [known for known in route.keys if not known.revoked and not known.authority]
    if any(known.blob == blob for known in usable):
        return
    file = route.files[0] if route.files else "~/.ssh/known_hosts"
    if usable:
        other = next((known for known in usable if known.type == key_type), usable[0])
        raise Refused(
            f"the host key of {who} has changed: it shows {shown}, which is not the key in {other.file}:{other.line}; "
            f"nothing was sent. Ask whoever runs the host whether it was rebuilt, compare the key over another way, "
            f"and then: ssh-keygen -R '{route.key_name}' -f '{other.file}' and add the new key"
        )
    authority = next((known for known in route.keys if known.authority), None)
    if authority is not None:
        raise Refused(
            f"{who} is known through an authority only ({authority.file}:{authority.line}), and drctl cannot read host "
            f"certificates: nothing was sent. Add the host's own key {shown} to {file}"
        )
    port = "" if route.port == 22 else f"-p {route.port} "
    raise Refused(
        f"the host key of {who} is not known: it shows {shown}, and {' and '.join(route.files) or 'no file'} has "
        f"nothing for {route.key_name}; nothing was sent. Compare the key over another way, and then: "
        f"ssh-keyscan {port}{route.address} >> '{file}'"
    )


def preferred_key_types(route: Route, offered: tuple[str, ...]) -> tuple[str, ...]:
    """The types of the keys that are known come first, so that the host shows one that can be compared.

    A key that is listed as ssh-rsa is shown with a signature by rsa-sha2.
    """
    known: list[str] = []
    for key in route.keys:
        if not key.revoked and not key.authority:
            known += _RSA if key.type == "ssh-rsa" else (key.type,)
    first = [name for name in dict.fromkeys(known) if name in offered]
    return (*first, *(name for name in offered if name not in first))


class OurKeys(AuthStrategy):
    """Keys in OpenSSH's order: the agent's that the configuration names, the files, and then the agent's others."""

    def __init__(self, route: Route) -> None:
        super().__init__(ssh_config=paramiko.SSHConfig())
        self._route = route
        self.notes: list[str] = []
        self.tried = 0
        self._agent: _Agent | None = None

    def close(self) -> None:
        """Hang up on the agent."""
        if self._agent is not None:
            self._agent.close()
            self._agent = None

    def get_sources(self) -> Iterator[AuthSource]:
        """The keys, one after the other; one that cannot be used leaves a note for the error message."""
        in_agent = self._agent_keys()
        named: set[bytes] = set()
        for path in self._route.identities:
            public = _public_blob(Path(path))
            if public is not None:
                named.add(public)
            agent_key = next((key for key in in_agent if key.asbytes() == public), None)
            if agent_key is not None:
                yield self._source(agent_key)
            elif (key := self._from_file(Path(path))) is not None:
                named.add(key.asbytes())
                yield self._source(key)
        if not self._route.identities_only:
            for key in in_agent:
                if key.asbytes() not in named:
                    yield self._source(key)

    def _source(self, key: paramiko.PKey) -> AuthSource:
        self.tried += 1
        return InMemoryPrivateKey(self._route.user, key)

    def _from_file(self, path: Path) -> paramiko.PKey | None:
        if not path.is_file():
            return None
        try:
            return paramiko.PKey.from_path(path)
        except (paramiko.PasswordRequiredException, TypeError):  # TypeError: how cryptography says it
            self.notes.append(f"{path} has a passphrase and is not in the agent (ssh-add {path})")
        except Exception as error:  # each key type has exceptions of its own; the next key may do
            self.notes.append(f"{path} cannot be read ({error or type(error).__name__})")
        return None

    def _agent_keys(self) -> tuple[AgentKey, ...]:
        if self._route.agent is None:
            return ()
        try:
            self._agent = _Agent(self._route.agent)
            return self._agent.get_keys()
        except (OSError, paramiko.SSHException) as error:
            self.notes.append(f"the agent at {self._route.agent} does not answer ({error})")
            return ()


class _Agent(paramiko.agent.AgentSSH):
    """An agent at a path. Paramiko's own class looks at SSH_AUTH_SOCK only, and so misses IdentityAgent."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_AGENT_TIMEOUT_S)
        try:
            self._socket.connect(path)
            self._connect(self._socket)  # type: ignore[attr-defined]
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()


def _public_blob(path: Path) -> bytes | None:
    public = path if path.suffix == ".pub" else path.with_name(f"{path.name}.pub")
    try:
        return base64.b64decode(public.read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
