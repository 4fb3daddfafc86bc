"""Work with the service as its invented staff does: a stream of requests for a bounded time, then everything made is removed.

Runs on the practice server itself with nothing but Python: `generate.py --seconds 600 --rate 2`.
"""

import argparse
import hashlib
import hmac
import http.client
import json
import random
import signal
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOST = "pazpaz.test"
STAFF = ("ada@pazpaz.test", "bruno@pazpaz.test", "chana@pazpaz.test")
PASSWORD_FILE = Path("/etc/practice/synthetic_password")
TIMEOUT_S = 10


class Caller:
    """One member of the staff at a browser."""

    def __init__(self, email: str, password: str) -> None:
        """Remember who it is; nobody is logged in yet."""
        self.email, self.password, self.token = email, password, ""
        self.clients: list[str] = []

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        """Send a request; return the answer's JSON, its status where it has none, or None where nothing answered."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= {"User-Agent": "invented-user/1", "Content-Type": kind}
        connection = http.client.HTTPSConnection(HOST, timeout=TIMEOUT_S, context=ssl.create_default_context())
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        if answer.status == http.client.UNAUTHORIZED:
            self.token = ""
        try:
            return json.loads(content) if answer.status < http.client.BAD_REQUEST else answer.status
        except ValueError:
            return answer.status

    def log_in(self, password: str | None = None) -> None:
        """Log in; a wrong password may be given on purpose."""
        body = json.dumps({"email": self.email, "password": password or self.password}).encode()
        answer = self.ask("POST", "/api/v1/auth/login", body)
        if isinstance(answer, dict):
            self.token = answer["access_token"]

    def list_clients(self) -> None:
        """Look through a page of clients and remember some."""
        answer = self.ask("GET", f"/api/v1/clients?limit=20&offset={random.randrange(0, 200, 20)}")  # noqa: S311  # no secret
        if isinstance(answer, list):
            self.clients = [client["id"] for client in answer] or self.clients

    def read_client(self) -> None:
        """Read one of the clients."""
        if self.clients:
            self.ask("GET", f"/api/v1/clients/{random.choice(self.clients)}")  # noqa: S311  # no secret

    def list_appointments(self) -> None:
        """Look at the calendar."""
        self.ask("GET", "/api/v1/appointments?since=2025-01-01T00:00:00Z&limit=30")

    def make_client(self) -> None:
        """Make a client with a note, look at it, and remove it again."""
        body = json.dumps({"name": "Passing Visitor", "medical_notes": "Invented, and gone in a moment."}).encode()
        answer = self.ask("POST", "/api/v1/clients", body)
        if isinstance(answer, dict):
            self.ask("GET", f"/api/v1/clients/{answer['id']}")
            self.ask("DELETE", f"/api/v1/clients/{answer['id']}")

    def upload(self) -> None:
        """Upload a small file, read it back, and remove it again."""
        part = 'Content-Disposition: form-data; name="file"; filename="note.txt"\r\nContent-Type: text/plain\r\n\r\n'
        body = f"--border\r\n{part}{'invented ' * 200}\r\n--border--\r\n".encode()
        answer = self.ask("POST", "/api/v1/attachments", body, "multipart/form-data; boundary=border")
        if isinstance(answer, dict):
            self.ask("GET", f"/api/v1/attachments/{answer['id']}")
            self.ask("DELETE", f"/api/v1/attachments/{answer['id']}")

    def do_job(self) -> None:
        """Have a job done."""
        self.ask("POST", "/api/v1/jobs", b'{"kind": "echo", "payload": "hello"}')

    def see_page(self) -> None:
        """Open the front page."""
        self.ask("GET", "/")

    def stray(self) -> None:
        """Ask for what is not there."""
        self.ask("GET", f"/api/v1/{random.choice(('old-page', 'clients/1', 'wp-login.php'))}")  # noqa: S311  # no secret

    def mistype(self) -> None:
        """Log in with a wrong password."""
        self.log_in("mistyped")


HABITS: dict[Callable[[Caller], None], int] = {
    Caller.list_clients: 30,
    Caller.read_client: 25,
    Caller.list_appointments: 15,
    Caller.make_client: 8,
    Caller.upload: 5,
    Caller.do_job: 5,
    Caller.see_page: 8,
    Caller.stray: 3,
    Caller.mistype: 1,
}
"""How often each is done, in parts of a hundred."""


def staff(password: str) -> list[Caller]:
    """Return the seeded users; their passwords are derived from the synthetic account's."""
    key = password.encode()
    return [Caller(email, hmac.new(key, email.encode(), hashlib.sha256).hexdigest()[:24]) for email in STAFF]


def main() -> None:
    """Read the command line and work until the time is over or SIGTERM comes; a step under way is finished first."""
    parser = argparse.ArgumentParser(description="Invented users at work.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=2)
    arguments = parser.parse_args()
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    callers = staff(PASSWORD_FILE.read_text().strip())
    end = time.monotonic() + arguments.seconds
    done = 0
    while time.monotonic() < end and not stopping:
        caller = random.choice(callers)  # noqa: S311  # no secret
        if not caller.token:
            caller.log_in()
        random.choices(list(HABITS), list(HABITS.values()))[0](caller)  # noqa: S311  # no secret
        done += 1
        time.sleep(random.expovariate(arguments.rate))  # no secret
    print(f"{done} steps done", file=sys.stderr)


if __name__ == "__main__":
    main()
