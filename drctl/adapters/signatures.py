"""Signatures of people, made and checked by OpenSSH's own ``ssh-keygen -Y``: no key is ever read by drctl."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from drctl.errors import UsageError

_TIMEOUT_S = 60.0  # a key in hardware waits for a touch
BEGIN = "-----BEGIN SSH SIGNATURE-----"
END = "-----END SSH SIGNATURE-----"
_GOOD = re.compile(r'Good ".*" signature for (?P<who>\S+) with \S+ key (?P<key>SHA256:\S+)')


class BadSignature(ValueError):
    """A signature that is not of who may sign this; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed, as the allowed signers name them, and the fingerprint of the key."""

    principal: str
    fingerprint: str


def sign(text: str, *, key: Path, namespace: str, asking: bool = True) -> str:
    """The armoured signature of a text, by a private key or by an agent's key whose public half ``key`` is.

    Without ``asking`` nobody is asked for a passphrase, and a key that needs one signs nothing.

    Raises:
        UsageError: when ssh-keygen cannot sign with that key.
    """
    done = _keygen(["-Y", "sign", "-n", namespace, "-f", str(key)], stdin=text, asking=asking)
    if done.returncode or BEGIN not in done.stdout:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise UsageError(
            f"ssh-keygen cannot sign with {key}: {said}",
            state="nothing was signed",
            hint="name your own key: --key ~/.ssh/id_ed25519",
        )
    return done.stdout


def verify(text: str, signature: str, *, allowed_signers: str, namespace: str, identity: str = "") -> Signer:
    """Who signed the text, when it is one of the allowed signers (the text of such a file, see ssh-keygen(1)).

    With ``identity`` it must be this one of them.

    Raises:
        BadSignature: when it is nobody of them, or the text is not the one that was signed.
    """
    with tempfile.TemporaryDirectory(prefix="drctl-") as place:
        signers, given = Path(place, "allowed_signers"), Path(place, "signature")
        signers.write_text(allowed_signers)
        given.write_text(signature)
        principal = identity or _principal(given, signers)
        words = ["-Y", "verify", "-f", str(signers), "-I", principal, "-n", namespace, "-s", str(given)]
        done = _keygen(words, stdin=text)
    good = _GOOD.search(done.stdout)
    if done.returncode or good is None:
        raise BadSignature(f"the signature is not {principal}'s for this text: {' '.join(done.stderr.split())[:200]}")
    return Signer(principal=good["who"], fingerprint=good["key"])


def _principal(signature: Path, signers: Path) -> str:
    found = _keygen(["-Y", "find-principals", "-s", str(signature), "-f", str(signers)])
    principal = (found.stdout.split("\n") or [""])[0].strip()
    if found.returncode or not principal:
        raise BadSignature("no allowed signer has that key")
    return principal


def own_fingerprints() -> tuple[str, ...]:
    """The fingerprints of the SSH keys of whoever runs this: those in ~/.ssh and those of the agent."""
    found: list[str] = []
    for public in sorted(Path.home().glob(".ssh/*.pub")):
        found += _fingerprints(_keygen(["-l", "-f", str(public)]).stdout)
    if os.environ.get("SSH_AUTH_SOCK"):
        found += _fingerprints(_run(["ssh-add", "-l"]).stdout)
    return tuple(dict.fromkeys(found))


def split_signed(text: str) -> tuple[str, str]:
    """A text and the armoured signature behind it, as ``cat FILE FILE.sig`` gives.

    Raises:
        ValueError: when there is no signature.
    """
    before, begin, rest = text.replace("\r\n", "\n").partition(BEGIN)
    inner, end, _ = rest.partition(END)
    if not begin or not end:
        raise ValueError("there is no SSH signature in it")
    return before, f"{begin}{inner}{end}\n"


def _fingerprints(listing: str) -> list[str]:
    return re.findall(r"SHA256:\S+", listing)


def _keygen(words: list[str], *, stdin: str = "", asking: bool = True) -> subprocess.CompletedProcess[str]:
    return _run(["ssh-keygen", *words], stdin=stdin, asking=asking)


def _run(argv: list[str], *, stdin: str = "", asking: bool = True) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C"} | ({} if asking else {"SSH_ASKPASS_REQUIRE": "never"}),
            start_new_session=not asking,  # without a terminal there is nobody to ask
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(argv, 127, "", str(error))
