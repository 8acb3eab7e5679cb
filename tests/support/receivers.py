"""Real receivers of notifications, on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "s3cret-T0ken-9f"


class Receiver(ThreadingHTTPServer):
    """Keeps what is posted to it, and refuses the first ``refused`` of them."""

    def __init__(self, refused: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refused, self.got = refused, list[dict[str, Any]]()
        self.paths: list[str] = []
        self.seen: set[bytes] = set()
        self.looks: Callable[[], set[bytes]] = set
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://drctl:{SECRET}@127.0.0.1:{self.server_port}/hook/{SECRET}-path"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        self.server.seen |= self.server.looks()
        if self.server.refused > 0:
            self.server.refused -= 1
            self.send_response(503)
        else:
            self.server.got.append(json.loads(body))
            self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Mailbox:
    """An SMTP server's handler that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        self.mails.append(envelope.content)
        return "250 OK"
