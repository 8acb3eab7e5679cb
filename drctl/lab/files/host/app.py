#!/usr/bin/python3 -I
"""The TaskFlow stand-in: a client's instance, as far as a disaster recovery needs one.

GET /health writes a row and reads it back; POST /heartbeat writes a row. Both answer 200 with JSON when the row
is committed, else 503 with the reason, always within about three seconds. Every request is a new session, so
that none is left on a database server that is no longer the one.
"""

import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PSQL = ["/usr/lib/postgresql/15/bin/psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]
CONNECTION = (
    "user=taskflow dbname=taskflow connect_timeout=2 sslmode=disable gssencmode=disable "
    "application_name=taskflow options='-c statement_timeout=1500'"
)
LISTENS = os.environ.get("TASKFLOW_LISTENS", "127.0.0.1:8000")
TARGET = os.environ.get("TASKFLOW_TARGET", "")  # a file with the database's address, where no HAProxy stands between
SCRIPT = """\
INSERT INTO dr_heartbeat (source) VALUES ('{source}') RETURNING id \\gset
SELECT json_build_object(
    'id', id,
    'ts', to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'server', host(inet_server_addr()),
    'in_recovery', pg_is_in_recovery())
FROM dr_heartbeat WHERE id = :id;
"""
DEADLINE_S = 2.6
SESSIONS = threading.BoundedSemaphore(16)  # more would only queue inside the database


def database() -> str:
    """How to reach the database now."""
    if not TARGET:
        return f"host=127.0.0.1 port=6432 {CONNECTION}"
    with open(TARGET, encoding="utf-8") as file:
        return f"host={file.read().strip()} port=5432 {CONNECTION}"


def write_row(source: str) -> "tuple[dict[str, object] | None, str]":
    """Insert one row and read it back. Returns (row, "") or (None, reason)."""
    if not SESSIONS.acquire(timeout=0.3):
        return None, "too many requests are waiting for the database"
    if TARGET and os.path.exists(f"{TARGET}.drained"):
        SESSIONS.release()
        return None, "the database takes no new sessions now"
    try:
        done = subprocess.run(
            [*PSQL, database()],
            input=SCRIPT.format(source=source),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"the database did not answer within {DEADLINE_S} s"
    finally:
        SESSIONS.release()
    if done.returncode != 0:
        return None, " ".join(done.stderr.split())[:300] or f"psql ended with exit code {done.returncode}"
    try:
        return json.loads(done.stdout), ""
    except ValueError:
        return None, "the row that was written could not be read back"


class Handler(BaseHTTPRequestHandler):
    """Two paths, and nothing that comes from the outside reaches the database."""

    timeout = 10
    server_version = "TaskFlow-stand-in"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path == "/health":
            self.write("health")
        else:
            self.answer(404, {"status": "not found"})

    def do_POST(self) -> None:
        if self.path == "/heartbeat":
            self.write("heartbeat")
        else:
            self.answer(404, {"status": "not found"})

    def write(self, source: str) -> None:
        row, reason = write_row(source)
        if row is None:
            self.answer(503, {"status": "unavailable", "reason": reason})
        else:
            self.answer(200, {"status": "ok", **row})

    def answer(self, status: int, body: "dict[str, object]") -> None:
        data = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """HAProxy is the door, and the monitor keeps the log that counts."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    address, _, port = LISTENS.partition(":")
    Server((address, int(port)), Handler).serve_forever()
