"""How a host is reached: what OpenSSH itself makes of its configuration, and what it knows of the host's keys.

Both questions go to OpenSSH's own programs (``ssh -G``, ``ssh-keygen -F``): what ``Include``, ``Match``, wildcards and
hashed names mean is then what it means there (design, law 9).
"""

from __future__ import annotations

import base64
import binascii
import getpass
import os
import re
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from drctl.adapters.transport import Refused
from drctl.model.plan import Endpoint

CONNECT_TIMEOUT_S = 10.0
_ASK_TIMEOUT_S = 15.0
_FOUND = re.compile(r"# Host .* found: line (\d+)\s*(\w*)\s*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """A line of a known_hosts file: a key's type and its bytes."""

    type: str
    blob: bytes
    file: str
    line: int
    revoked: bool = False
    authority: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One hop: where it is, who we are there, and the keys that it may have. ``through`` leads to it, when needed."""

    name: str  # what people call it
    address: str
    port: int
    user: str
    key_name: str  # what it is called in known_hosts files
    keys: tuple[KnownKey, ...]
    files: tuple[str, ...]  # the known_hosts files, whether they are there or not
    identities: tuple[str, ...]
    identities_only: bool
    agent: str | None  # the socket of the agent
    connect_timeout_s: float
    through: Route | None = None
    proxy_command: str | None = None
    ssh_config: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    name: str
    address: str = ""
    port: int = 0
    user: str = ""
    config: str | None = None
    hops: tuple[str, ...] = field(default=())


def route_to(endpoint: Endpoint) -> Route:
    """How to reach a host. What the inventory says of address, port and user wins over the configuration.

    Raises:
        Refused: the configuration cannot be read, or a gateway leads back to itself.
    """
    return _route(
        _Wanted(
            name=endpoint.host,
            address=endpoint.address,
            port=endpoint.port,
            user=endpoint.user,
            config=endpoint.ssh_config,
        )
    )


def _route(wanted: _Wanted) -> Route:
    settings = _ask_ssh(wanted)
    address = _first(settings, "hostname", wanted.name)
    port = int(_first(settings, "port", "22"))
    user = _first(settings, "user", getpass.getuser())
    tokens = {"h": address, "n": wanted.name, "p": str(port), "r": user, "d": str(Path.home()), "u": getpass.getuser()}
    files = tuple(
        _expand(path, tokens)
        for word in ("userknownhostsfile", "globalknownhostsfile")
        for path in _paths(_first(settings, word, ""))
    )
    alias = _first(settings, "hostkeyalias", "")
    timeout = _first(settings, "connecttimeout", "none")
    jump = _first(settings, "proxyjump", "none")
    command = _first(settings, "proxycommand", "none")
    key_name = alias or (address if port == 22 else f"[{address}]:{port}").lower()
    keys = known_keys(key_name, files)
    if not keys and not alias and port != 22:
        keys = known_keys(address.lower(), files)  # as OpenSSH does: the same key, listed without the port
    return Route(
        name=wanted.name,
        address=address,
        port=port,
        user=user,
        key_name=key_name,
        keys=keys,
        files=files,
        identities=tuple(_expand(path, tokens) for path in settings.get("identityfile", ()) if path != "none"),
        identities_only=_first(settings, "identitiesonly", "no") == "yes",
        agent=_agent(_first(settings, "identityagent", "SSH_AUTH_SOCK"), tokens),
        connect_timeout_s=CONNECT_TIMEOUT_S if timeout in ("none", "0") else float(timeout),
        through=_gateway(jump, wanted) if jump != "none" else None,
        proxy_command=_percent(command, tokens) if command != "none" and jump == "none" else None,
        ssh_config=wanted.config,
    )


def _gateway(jump: str, wanted: _Wanted) -> Route | None:
    """The last of the hops, each reached through the one before it."""
    route: Route | None = None
    for hop in jump.split(","):
        match = re.fullmatch(r"(?:ssh://)?(?:(.*)@)?(\[[^\]]*\]|[^:@]+)(?::(\d+))?/?", hop.strip())
        if match is None:
            raise Refused(f"the ProxyJump of {wanted.name} cannot be understood: {hop!r}")
        user, name, port = match[1] or "", match[2].strip("[]"), int(match[3] or 0)
        if name == wanted.name and route is None:
            return None  # "Host *" with a ProxyJump is meant for the others, and not for the gateway itself
        if hop in wanted.hops:
            raise Refused(f"the gateway {name} of {wanted.name} leads back to itself: nothing was sent")
        step = _Wanted(name=name, port=port, user=user, config=wanted.config, hops=(*wanted.hops, hop))
        # Only the first hop may have a gateway of its own; the others are reached through the one before.
        before = route
        route = _route(step)
        if before is not None:
            route = replace(route, through=before, proxy_command=None)
    return route


def _ask_ssh(wanted: _Wanted) -> Mapping[str, list[str]]:
    argv = ["ssh", "-G", "-T"]
    if wanted.config is not None:
        argv += ["-F", wanted.config]
    if wanted.port:
        argv += ["-p", str(wanted.port)]
    if wanted.user:
        argv += ["-l", wanted.user]
    # An inventory that gives no address has the host's name there, which is no reason to pass over HostName.
    if wanted.address and wanted.address != wanted.name:
        argv += ["-o", f"HostName={wanted.address}"]
    try:
        done = subprocess.run(
            [*argv, "--", wanted.name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise Refused(f"OpenSSH's ssh is needed and cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise Refused(f"ssh -G {wanted.name} did not answer within {_ASK_TIMEOUT_S:.0f} s") from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Refused(f"the ssh configuration of {wanted.name} cannot be read: {said[-1] if said else 'ssh -G failed'}")
    settings: dict[str, list[str]] = {}
    for line in done.stdout.decode("utf-8", "surrogateescape").splitlines():
        word, _, value = line.partition(" ")
        settings.setdefault(word.lower(), []).append(value.strip())
    return settings


def known_keys(name: str, files: tuple[str, ...]) -> tuple[KnownKey, ...]:
    """What the files say of a host by that name: hashed names, wildcards, revoked keys and authorities included."""
    keys: list[KnownKey] = []
    for file in files:
        if not Path(file).is_file():
            continue
        found = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", file],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_TIMEOUT_S,
            check=False,
        )
        number, marker = 0, ""
        for line in found.stdout.decode("utf-8", "surrogateescape").splitlines():
            if match := _FOUND.match(line):
                number, marker = int(match[1]), match[2]
                continue
            words = line.split()
            if words and words[0].startswith("@"):
                del words[0]
            if len(words) < 3:
                continue
            try:
                blob = base64.b64decode(words[2], validate=True)
            except binascii.Error:
                continue
            keys.append(
                KnownKey(
                    type=words[1],
                    blob=blob,
                    file=file,
                    line=number,
                    revoked=marker == "REVOKED",
                    authority=marker == "CA",
                )
            )
    return tuple(keys)


def _first(settings: Mapping[str, list[str]], word: str, default: str) -> str:
    values = settings.get(word)
    return values[0] if values and values[0] else default


def _paths(text: str) -> list[str]:
    """``ssh -G`` writes several paths with blanks between them, and a path with a blank in it no differently."""
    if text == "none":
        return []
    words = text.split(" ")
    paths: list[str] = []
    while words:
        # The longest run of words that is a file; else one word.
        for count in range(len(words), 0, -1):
            path = " ".join(words[:count])
            if count == 1 or Path(path).expanduser().is_file():
                break
        if path:
            paths.append(path)
        words = words[count:]
    return paths


def _agent(setting: str, tokens: Mapping[str, str]) -> str | None:
    if setting == "none":
        return None
    if setting == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK") or None
    if setting.startswith("$") and not setting.startswith("${"):
        return os.environ.get(setting[1:]) or None
    return _expand(setting, tokens)


def _expand(path: str, tokens: Mapping[str, str]) -> str:
    path = re.sub(r"\$\{(\w+)\}", lambda match: os.environ.get(match[1], ""), _percent(path, tokens))
    return str(Path(path).expanduser()) if path.startswith("~") else path


def _percent(text: str, tokens: Mapping[str, str]) -> str:
    """The tokens that ssh_config(5) has in common for paths and ProxyCommand."""
    more = {"%": "%", "l": socket.gethostname(), "L": socket.gethostname().split(".")[0], "i": str(os.getuid())}
    known = {**more, **tokens}
    return re.sub(r"%(.)", lambda match: known.get(match[1], match[0]), text)
