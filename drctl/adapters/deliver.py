"""One attempt to deliver a message: to a service by way of Apprise, to a program, or to a file."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from drctl.adapters import apprise_child
from drctl.adapters.child import run_child
from drctl.adapters.local import clean_environment
from drctl.adapters.redact import SHORTEST, Redactor
from drctl.adapters.secrets import SecretError, SecretResolver
from drctl.engine.messages import Message
from drctl.model.messages import ALERTS, Fate, Moment, Notifier
from drctl.model.units import format_duration, format_instant

# What a program needs to get out of a company's network, besides what local scripts get.
_WAYS_OUT = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE",
             "SSL_CERT_FILE", "SSL_CERT_DIR")  # fmt: skip
_KINDS = dict.fromkeys(ALERTS, "failure") | {
    Moment.STEP_FAILED: "failure",
    Moment.DEADLINE_NEAR: "warning",
    Moment.PERSON_NEEDED: "warning",
    Moment.APPROVAL_ASKED: "warning",
    Moment.SERVICE_RESTORED: "success",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How an attempt ended. ``detail`` says why it did not arrive, without anything secret."""

    fate: Fate
    detail: str = ""


Left = Callable[[], float]
"""How many seconds there are."""


class Deliverer:
    """Delivers messages. Safe to use from several threads; nothing is raised for what goes wrong."""

    def __init__(self, secrets: SecretResolver, *, redactor: Redactor, environ: Mapping[str, str]) -> None:
        self._secrets, self._redactor = secrets, redactor
        self._environment = clean_environment(environ) | {n: environ[n] for n in _WAYS_OUT if n in environ}

    def deliver(self, notifier: Notifier, message: Message, *, at: datetime, left_s: Left) -> Delivery:
        """Deliver the message. What could be told twice is told twice rather than not at all."""
        try:
            if notifier.url is not None:
                said = {"title": message.title, "text": message.text, "kind": _KINDS.get(message.moment, "info")}
                return self._by_apprise(notifier.url, said, left_s)
            line = (json.dumps(_as_line(message, at)) + "\n").encode()
            if notifier.path is not None:
                append_line(notifier.path, line)
                return Delivery(fate=Fate.DELIVERED)
            return self._by_program(list(notifier.words), line, left_s)
        except SecretError as error:
            return Delivery(fate=Fate.FAILED, detail=error.message)
        except (OSError, ValueError) as error:
            detail = (error.strerror if isinstance(error, OSError) else None) or str(error)
            return Delivery(fate=Fate.FAILED, detail=f"{notifier.way}: {detail}")

    def could(self, notifier: Notifier, *, left_s: Left) -> Delivery:
        """Whether it looks as if it could be delivered; nothing is sent anywhere."""
        try:
            if notifier.url is not None:
                return self._by_apprise(notifier.url, {}, left_s)
            if notifier.path is not None:
                path = Path(notifier.path)
                good = os.access(path if path.exists() else path.parent, os.W_OK)
            else:
                from shutil import which

                good = which(notifier.words[0], path=self._environment.get("PATH")) is not None
        except SecretError as error:
            return Delivery(fate=Fate.FAILED, detail=error.message)
        what = "cannot be written" if notifier.path else "is not there"
        return Delivery(fate=Fate.DELIVERED) if good else Delivery(fate=Fate.FAILED, detail=f"{notifier.way} {what}")

    def _by_apprise(self, reference: str, said: Mapping[str, str], left_s: Left) -> Delivery:
        url = self._secrets.resolve(reference)
        hidden = _without_parts_of(url)
        if len(password := unquote(urlsplit(url).password or "")) >= SHORTEST:
            self._redactor.add(password)
        order = [json.dumps({"url": url, "path": sys.path, **said}).encode(), b""]
        answer: list[bytes] = []
        ended = run_child(
            [sys.executable, "-c", apprise_child.PROGRAM],
            left_s=left_s,
            take=answer.append,
            feed=lambda: order.pop(0),
            environment=self._environment,
        )
        if ended.status is None:
            return Delivery(fate=Fate.SENT, detail="no answer in time: it may have arrived")
        try:
            told = json.loads(b"".join(answer).splitlines()[-1])
        except (ValueError, IndexError):
            return Delivery(fate=Fate.SENT, detail=f"the sender ended with {ended.status} and said nothing")
        if told["delivered"]:
            return Delivery(fate=Fate.DELIVERED)
        return Delivery(fate=Fate.FAILED, detail=hidden.clean_text(str(told["why"])))

    def _by_program(self, words: list[str], line: bytes, left_s: Left) -> Delivery:
        began_s, pieces = time.monotonic(), [line, b""]
        ended = run_child(
            words,
            left_s=left_s,
            take=lambda _: None,
            feed=lambda: pieces.pop(0) if pieces else b"",
            environment=self._environment,
        )
        if ended.status is None:
            took = format_duration(time.monotonic() - began_s)
            return Delivery(fate=Fate.SENT, detail=f"{words[0]} did not end within {took}: it may have arrived")
        if ended.status != 0:
            # Not what it printed: nobody knows what that holds.
            return Delivery(fate=Fate.FAILED, detail=f"{words[0]} ended with exit code {ended.status}")
        return Delivery(fate=Fate.DELIVERED)


def _without_parts_of(url: str) -> Redactor:
    """Takes every part of a URL out of a text: which of them are secret depends on the service."""
    found, parts = Redactor(), urlsplit(url)
    texts = [url, parts.netloc, parts.username, parts.password, parts.hostname, *parts.path.split("/")]
    texts += [pair.partition("=")[2] for pair in parts.query.split("&")]
    for text in {form for part in texts if part for form in (part, unquote(part))}:
        if len(text) >= SHORTEST:
            found.add(text)
    return found


def append_line(path: str, line: bytes) -> None:
    """Add the line to a file, whole, and return when it would survive a power cut.

    Raises:
        OSError: when it cannot be written.
    """
    handle = os.open(Path(path).expanduser(), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, line)
        os.fsync(handle)
    finally:
        os.close(handle)


def _as_line(message: Message, at: datetime) -> dict[str, object]:
    """The message for programs: with the head of the chain as ``drctl evidence verify --heads`` reads it."""
    return {
        "run_id": message.run_id,
        "events": message.events,
        "head": message.head,
        "at": format_instant(at),
        "moment": message.moment.value,
        "service": message.service,
        "mode": message.mode,
        "title": message.title,
        "text": message.text,
    }
