"""Signatures as OpenSSH makes and checks them (``ssh-keygen -Y``), so that whoever checks one needs nothing of ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

from drctl.errors import DrctlError, UsageError

LIMIT_S = 120.0  # a passphrase is typed, or a security key is touched


class SignatureError(DrctlError):
    """A signature does not hold, or cannot be made."""


def sign(path: Path, *, key: Path, namespace: str) -> Path:
    """Sign a file; the signature is beside it, under its name and ``.sig``.

    ``key`` is a private key, or a public one whose private half the ssh agent holds.

    Raises:
        UsageError: when there is no such key.
        SignatureError: when ssh-keygen does not sign.
    """
    if not key.is_file():
        raise UsageError(
            f"there is no SSH key {key}", state="nothing was signed", hint="ssh-keygen -t ed25519 -f FILE makes one"
        )
    done = _ssh_keygen(["-Y", "sign", "-q", "-f", str(key), "-n", namespace, str(path)])
    signature = path.with_name(f"{path.name}.sig")
    if done.returncode != 0 or not signature.is_file():
        raise SignatureError(
            f"ssh-keygen did not sign with {key}: {_said(done)}",
            state="nothing was signed",
            hint=f"ssh-keygen -Y sign -f {key} -n {namespace} FILE shows why",
        )
    return signature


def signer_of(path: Path, *, signature: Path, allowed_signers: Path, namespace: str, identity: str = "") -> str:
    """Whose signature of the file this is, by the allowed signers; with ``identity``, that it is theirs.

    Raises:
        UsageError: when the file of allowed signers cannot be read.
        SignatureError: when the signature is not of this file, of this namespace and of an allowed signer.
    """
    try:
        allowed_signers.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the allowed signers {allowed_signers} cannot be read: {error.strerror}",
            hint='one a line: NAME namespaces="drctl-evidence" ssh-ed25519 AAAA…',
        ) from None
    who = identity or _principal(signature, allowed_signers)
    words = ["-Y", "verify", "-f", str(allowed_signers), "-I", who, "-n", namespace, "-s", str(signature)]
    done = _ssh_keygen(words, path.read_bytes())
    if done.returncode != 0:
        raise SignatureError(f"the signature does not hold for {who}: {_said(done)}")
    return who


def _principal(signature: Path, allowed_signers: Path) -> str:
    done = _ssh_keygen(["-Y", "find-principals", "-s", str(signature), "-f", str(allowed_signers)])
    names = done.stdout.decode("utf-8", "replace").splitlines()
    if done.returncode != 0 or not names:
        raise SignatureError(f"it is signed with a key that none of the allowed signers has: {_said(done)}")
    return names[0]


def _ssh_keygen(words: list[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["ssh-keygen", *words], input=stdin, capture_output=True, timeout=LIMIT_S, check=False)
    except FileNotFoundError:
        raise UsageError("ssh-keygen is not here", hint="install the OpenSSH client") from None
    except subprocess.TimeoutExpired:
        raise SignatureError(f"ssh-keygen did not end within {LIMIT_S:.0f} s") from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split()) or f"exit code {done.returncode}"
