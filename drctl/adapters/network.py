"""HTTP and TCP from the operator's machine, by httpx and by a plain socket.

Proxies of the environment are not used: a health check must see the service, and not what a proxy says of it.
"""

from __future__ import annotations

import errno
import importlib
import json
import socket
import threading

from drctl.engine.ports import NetworkAnswer
from drctl.model.plan import Http, Tcp

BODY_LIMIT = 65_536  # bytes of an answer that are read


class OperatorNetwork:
    """The engine's ``Network`` port. ``soon``: a request will come: httpx is imported while hosts are waited for."""

    def __init__(self, *, soon: bool = False) -> None:
        if soon:
            threading.Thread(target=importlib.import_module, args=("httpx",), name="drctl-httpx", daemon=True).start()

    def http(self, request: Http, *, timeout_s: float) -> NetworkAnswer:
        """Send the request; the answer is good when its status and its JSON members are as expected."""
        import httpx

        told = f"{request.method} {request.url}"
        try:
            with (
                httpx.Client(timeout=timeout_s, trust_env=False) as client,
                client.stream(request.method, request.url) as response,
            ):
                body = b""
                for chunk in response.iter_bytes():
                    body += chunk[: BODY_LIMIT - len(body)]
                    if len(body) >= BODY_LIMIT:
                        break
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            return NetworkAnswer(ok=False, detail=f"{told}: no connection ({_words(error)})", sent=False)
        except httpx.HTTPError as error:
            return NetworkAnswer(ok=False, detail=f"{told}: no answer ({_words(error)})")
        text = body.decode("utf-8", "replace")
        problem = _unexpected(request, response.status_code, text)
        return NetworkAnswer(ok=not problem, detail=f"{told}: {problem or response.status_code}", body=text)

    def tcp(self, request: Tcp, *, timeout_s: float) -> NetworkAnswer:
        """Connect and hang up. "Closed" is a refusal or a time-out: both mean that nothing answers there."""
        where = f"{request.address}:{request.port}"
        try:
            with socket.create_connection((request.address, request.port), timeout=timeout_s):
                found, how = "open", "it answers"
        except TimeoutError:
            found, how = "closed", "no answer in time"
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.EACCES) or isinstance(error, socket.gaierror):
                return NetworkAnswer(ok=False, detail=f"tcp {where}: {error.strerror or error}", sent=False)
            found, how = "closed", (error.strerror or str(error)).lower()
        return NetworkAnswer(ok=found == request.expect, detail=f"tcp {where}: {found} ({how})")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _unexpected(request: Http, status: int, body: str) -> str:
    if status != request.expect_status:
        return f"status {status}, and {request.expect_status} was expected: {body.strip()[:300]}"
    if not request.expect_json:
        return ""
    try:
        found = json.loads(body)
    except ValueError:
        return f"the answer is not JSON: {body.strip()[:300]}"
    if not isinstance(found, dict):
        return "the answer is not a JSON object"
    for name, wanted in request.expect_json:
        have = found.get(name)
        text = have if isinstance(have, str) else json.dumps(have)
        if text != wanted:
            return f"{name} is {text}, and {wanted} was expected"
    return ""
