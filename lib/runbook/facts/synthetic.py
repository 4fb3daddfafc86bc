"""The user's way through the application, walked by an account of its own.

Log in, read, write, change, upload, be refused with a virus, see a job done, and remove everything again. Liveness is
not health: what reads, writes and uploads is what users come for. Several ways are walked side by side after the login.
What an earlier walk left behind when it was cut off is removed too. Its password only travels over verified TLS.

Longer than 300 lines: it is one journey, each of its steps with what can be wrong with the answer.
"""

from __future__ import annotations

import hashlib
import json
import secrets as random_source
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook import secrets
from runbook.facts import LocalFact
from runbook.facts.http import Answer, Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.parameters import Parameters, SyntheticUser

MARK = "runbook-walk"
STALE_SECONDS = 600  # a walk ends well within this, so what is older was left behind
POLL_SECONDS = 0.05
UPLOAD_BYTES = 200_000
HTTP_OK, CREATED, ACCEPTED, GONE_QUIETLY = 200, 201, 202, 204
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, REFUSED_CONTENT = 401, 403, 404, 422
CLIENTS, APPOINTMENTS, ATTACHMENTS, JOBS = (
    f"/api/v1/{name}" for name in ("clients", "appointments", "attachments", "jobs")
)
FIRST = ("login", "guard", "me", "read")
CHANGING = ("old-data", "write", "read-back", "change", "upload", "download", "scan", "job", "cleanup")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the walk. `passed` is None where it was not reached."""

    name: str
    passed: bool | None
    milliseconds: float
    reason: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class UserJourney:
    """All steps in the order of the walk; `skipped` says why nothing was walked."""

    steps: tuple[Step, ...]
    skipped: str = ""
    removed_leftovers: int = 0

    def step(self, name: str) -> Step | None:
        """Return the step of this name."""
        return next((step for step in self.steps if step.name == name), None)


class _Wrong(Exception):
    """A step's answer is wrong."""

    def __init__(self, reason: str, evidence: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.evidence = evidence


def virus() -> bytes:
    """Return the harmless test virus of EICAR, put together here so that no scanner trips over this file."""
    return ("X5O!P%@AP[4" + "\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-" + "ANTIVIRUS-TEST-FILE" + "!$H+H*").encode()


@dataclass(slots=True)
class _Journey:
    """One chain of steps on one kept connection."""

    site: Site
    token: str = ""
    until: float = float("inf")
    """When the whole journey has to be over, by the monotonic clock."""
    steps: list[Step] = field(default_factory=list)

    def ask(self, method: str, path: str, *, body: Any = None, token: bool = True) -> tuple[Answer, bytes]:
        """Send JSON (or a ready multipart body) and return the answer; raise _Wrong where there is none."""
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if token else {})
        content = None
        if isinstance(body, _Form):
            content, headers["Content-Type"] = body.content, body.kind
        elif body is not None:
            content, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        left = self.until - time.monotonic()
        if left <= 0:
            raise _Wrong(f"{method} {path}: not asked, since the time for the whole journey is over (timed out)")
        self.site.timeout = min(self.site.timeout, left)
        answer, whole = self.site.request(method, path, body=content, headers=headers)
        if answer.error:
            raise _Wrong(f"{method} {path}: {answer.error}")
        return answer, whole

    def want(self, status: int, method: str, path: str, *, body: Any = None, token: bool = True) -> Any:
        """Send and return the JSON answer; raise _Wrong for another status or for what is no JSON."""
        answer, whole = self.ask(method, path, body=body, token=token)
        if answer.status != status:
            raise _Wrong(f"{method} {path} answered {answer.status} instead of {status}", _shown(answer))
        try:
            return json.loads(whole) if whole else None
        except ValueError:
            raise _Wrong(f"{method} {path} answered something that is no JSON", _shown(answer)) from None

    def step(self, name: str, walk: Callable[[], str]) -> bool:
        """Walk one step and note how it went; `walk` returns what was seen."""
        begun = time.monotonic()
        try:
            seen = walk()
        except _Wrong as wrong:
            self.steps.append(Step(name, False, _since(begun), wrong.reason, wrong.evidence))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            self.steps.append(
                Step(name, False, _since(begun), f"the answer has another form than expected: {error!r:.120}")
            )
        else:
            self.steps.append(Step(name, True, _since(begun), seen))
            return True
        return False


@dataclass(frozen=True, slots=True)
class _Form:
    """A multipart form with one file in it."""

    content: bytes
    kind: str

    @classmethod
    def of(cls, name: str, content: bytes) -> _Form:
        boundary = f"runbook{random_source.token_hex(12)}"
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        return cls(
            head.encode() + content + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
        )


def _since(begun: float) -> float:
    return round((time.monotonic() - begun) * 1000, 1)


def _shown(answer: Answer) -> str:
    return f"{answer.status} {answer.content_type} {' '.join(answer.text.split())[:200]}"


def user_journey(parameters: Parameters) -> UserJourney:
    """Walk the user's way. With depth quick only what reads. Raises SecretError when the password cannot be had."""
    account = parameters.synthetic
    if account is None:
        return UserJourney((), skipped="no account of its own is named in the params file (synthetic)")
    password = secrets.resolve(account.password, what=f"password of {account.email}")
    full = parameters.depth == "full"
    with Site(parameters.web, timeout_seconds=account.step_timeout_seconds, verified=True) as site:
        until = time.monotonic() + account.journey_timeout_seconds
        way = _Journey(site, until=until)
        logged_in = way.step("login", lambda: _login(way, account, password))
        if logged_in:
            secrets.redactor.learn(way.token)
            way.step("guard", lambda: _guard(way))
            way.step("me", lambda: _me(way, account))
            way.step("read", lambda: _read(way))
        steps, leftovers = list(way.steps), 0
        if logged_in and full:
            run = f"{MARK}-{int(time.time())}-{random_source.token_hex(4)}"
            steps += _change(parameters, account, way, run)
            leftovers = _clean(way, run, steps)
        elif logged_in:
            way.step("old-data", lambda: _old_data(way, account))
            steps = list(way.steps)
        wanted = (*FIRST, *(CHANGING if full else CHANGING[:1]))
        steps += [
            Step(name, None, 0.0, "not reached: the login failed")
            for name in wanted
            if name not in {step.name for step in steps}
        ]
        steps.sort(key=lambda step: wanted.index(step.name))
    return UserJourney(tuple(steps), removed_leftovers=leftovers)


def _change(parameters: Parameters, account: SyntheticUser, first: _Journey, run: str) -> list[Step]:
    """Walk the ways that need different parts, side by side: one that hangs holds up no other."""

    def walked(ways: Callable[[_Journey], object]) -> list[Step]:
        with Site(parameters.web, timeout_seconds=account.step_timeout_seconds, verified=True) as site:
            way = _Journey(site, first.token, first.until)
            ways(way)
            return way.steps

    ways: tuple[Callable[[_Journey], object], ...] = (
        lambda way: _write_way(way, run),
        lambda way: _upload_way(way, run),
        lambda way: _scan_way(way, run),
        lambda way: way.step("old-data", lambda: _old_data(way, account)),
        lambda way: _job_way(way, account, run),
    )
    with ThreadPoolExecutor(max_workers=len(ways), thread_name_prefix="walk") as threads:
        return [step for future in [threads.submit(walked, way) for way in ways] for step in future.result()]


def _login(way: _Journey, account: SyntheticUser, password: str) -> str:
    answered = way.want(
        HTTP_OK, "POST", "/api/v1/auth/login", body={"email": account.email, "password": password}, token=False
    )
    way.token = str(answered["access_token"])
    return f"token for {answered['expires_in']} s"


def _guard(way: _Journey) -> str:
    answer, _ = way.ask("GET", CLIENTS, token=False)
    if answer.status not in {UNAUTHORIZED, FORBIDDEN}:
        raise _Wrong(
            f"GET {CLIENTS} without a login answered {answer.status} instead of 401", f"status {answer.status}"
        )
    return "refused without a login"


def _me(way: _Journey, account: SyntheticUser) -> str:
    answered = way.want(HTTP_OK, "GET", "/api/v1/me")
    if str(answered["email"]).lower() != account.email.lower():
        raise _Wrong("the login leads to another account", str(answered["email"]))
    return "the account's own data"


def _read(way: _Journey) -> str:
    clients = _list(way, f"{CLIENTS}?limit=200")
    _list(way, f"{APPOINTMENTS}?since=2000-01-01T00:00:00Z&limit=5")
    return f"{len(clients)} clients listed"


def _list(way: _Journey, path: str) -> list[dict[str, Any]]:
    listed = way.want(HTTP_OK, "GET", path)
    if not isinstance(listed, list):
        raise _Wrong(f"GET {path} answered no list", str(type(listed).__name__))
    return listed


def _old_data(way: _Journey, account: SyntheticUser) -> str:
    """Read what was written long ago: the note under the master key, and every stored file against its checksum."""
    notes = 0
    clients = {str(item["name"]): item for item in _list(way, f"{CLIENTS}?limit=200")}
    for name, note in account.standing_notes.items():
        if name not in clients:
            raise _Wrong(f"the standing client {name!r} is gone", f"{len(clients)} clients listed")
        stored = way.want(HTTP_OK, "GET", f"{CLIENTS}/{clients[name]['id']}")["medical_notes"]
        if stored != note:
            raise _Wrong(f"the encrypted note of {name!r} does not read as it was written", "the text differs")
        notes += 1
    files = [item for item in _list(way, ATTACHMENTS) if not str(item["file_name"]).startswith(MARK)]
    if len(files) < account.standing_files:
        raise _Wrong(f"{len(files)} stored files instead of {account.standing_files}", "files are missing in the list")
    for item in files[: account.standing_files]:
        answer, content = way.ask("GET", f"{ATTACHMENTS}/{item['id']}")
        if answer.status != HTTP_OK:
            raise _Wrong(f"the stored file {item['file_name']} answered {answer.status}", _shown(answer))
        if hashlib.sha256(content).hexdigest() != item["sha256"]:
            raise _Wrong(f"the stored file {item['file_name']} differs from its checksum", f"{len(content)} bytes")
    return f"{notes} notes and {min(len(files), account.standing_files)} files as they were written"


def _write_way(way: _Journey, run: str) -> None:
    note = f"{run}: täglich geübt, 5 von 10"
    made: dict[str, Any] = {}

    def write() -> str:
        made.update(way.want(CREATED, "POST", CLIENTS, body={"name": run, "medical_notes": note}))
        body = {"client_id": made["id"], "starts_at": "2001-01-01T08:00:00Z", "ends_at": "2001-01-01T08:50:00Z"}
        made["appointment"] = way.want(CREATED, "POST", APPOINTMENTS, body=body)["id"]
        return "a client and an appointment made"

    def read_back() -> str:
        answered = way.want(HTTP_OK, "GET", f"{CLIENTS}/{made['id']}")
        if answered["medical_notes"] != note or answered["name"] != run:
            raise _Wrong("what was written reads back differently", "name or encrypted note differs")
        window = "since=2001-01-01T00:00:00Z&until=2001-01-02T00:00:00Z"
        if made["appointment"] not in {item["id"] for item in _list(way, f"{APPOINTMENTS}?{window}")}:
            raise _Wrong("the appointment that was made is not listed", f"id {made['appointment']}")
        return "as written, encrypted note included"

    def change() -> str:
        way.want(HTTP_OK, "PATCH", f"{CLIENTS}/{made['id']}", body={"medical_notes": f"{note} 2"})
        if way.want(HTTP_OK, "GET", f"{CLIENTS}/{made['id']}")["medical_notes"] != f"{note} 2":
            raise _Wrong("a change was accepted but not kept", "the old note is read back")
        return "a change is kept"

    way.step("write", write) and way.step("read-back", read_back) and way.step("change", change)
    _not_reached(way, ("write", "read-back", "change"))


def _upload_way(way: _Journey, run: str) -> None:
    clean = random_source.token_bytes(UPLOAD_BYTES)
    made: dict[str, Any] = {}

    def upload() -> str:
        made.update(way.want(CREATED, "POST", ATTACHMENTS, body=_Form.of(f"{run}.bin", clean)))
        if made["sha256"] != hashlib.sha256(clean).hexdigest():
            raise _Wrong("the upload arrived with another checksum", str(made["size"]))
        return f"{len(clean)} bytes taken"

    def download() -> str:
        answer, content = way.ask("GET", f"{ATTACHMENTS}/{made['id']}")
        if answer.status != HTTP_OK:
            raise _Wrong(f"the file that was uploaded answered {answer.status}", _shown(answer))
        if content != clean:
            raise _Wrong("the file that was uploaded reads back differently", f"{len(content)} of {len(clean)} bytes")
        return "the same bytes came back"

    way.step("upload", upload) and way.step("download", download)
    _not_reached(way, ("upload", "download"))


def _scan_way(way: _Journey, run: str) -> None:
    def scan() -> str:
        answer, _ = way.ask("POST", ATTACHMENTS, body=_Form.of(f"{run}.com", virus()))
        if answer.status == CREATED:
            raise _Wrong("the test virus was accepted", f"status {answer.status}")
        if answer.status != REFUSED_CONTENT or "FOUND" not in answer.text:
            raise _Wrong(f"the test virus got {answer.status} instead of the scanner's refusal", _shown(answer))
        return "the test virus was refused"

    way.step("scan", scan)


def _job_way(way: _Journey, account: SyntheticUser, run: str) -> None:
    def job() -> str:
        begun = time.monotonic()
        number = way.want(ACCEPTED, "POST", JOBS, body={"kind": "echo", "payload": run})["job_id"]
        while True:
            state = way.want(HTTP_OK, "GET", f"{JOBS}/{number}")
            if state["status"] == "complete":
                break
            if time.monotonic() - begun > account.job_timeout_seconds:
                raise _Wrong(f"the job was not done within {account.job_timeout_seconds:g} s", f"{state['status']}")
            time.sleep(POLL_SECONDS)
        if state["result"] != run:
            raise _Wrong("the job's result is not what it must be", f"{state['result']!r:.120}")
        return "a job was done"

    way.step("job", job)


def _not_reached(way: _Journey, names: tuple[str, ...]) -> None:
    reached = {step.name for step in way.steps}
    way.steps += [
        Step(name, None, 0.0, "not reached: the step before it failed") for name in names if name not in reached
    ]


def _clean(way: _Journey, run: str, steps: list[Step]) -> int:
    """Remove what this walk made and what earlier ones left behind; note the step; return how many leftovers there were."""
    leftovers = 0

    def cleanup() -> str:
        nonlocal leftovers
        removed = 0
        for path, name in ((CLIENTS, "name"), (ATTACHMENTS, "file_name")):
            for item in _list(way, f"{path}?limit=100"):
                text = str(item[name])
                if text.startswith(run) or _is_stale(text):
                    leftovers += not text.startswith(run)
                    way.want(GONE_QUIETLY, "DELETE", f"{path}/{item['id']}")
                    answer, _ = way.ask("GET", f"{path}/{item['id']}")
                    if answer.status != NOT_FOUND:
                        raise _Wrong(f"removed, but GET {path}/... still answers {answer.status}", _shown(answer))
                    removed += 1
        return f"{removed} removed and verified gone"

    way.step("cleanup", cleanup)
    steps.append(way.steps[-1])
    return leftovers


def _is_stale(name: str, now: float | None = None) -> bool:
    """Whether this is the name of something an earlier walk left behind.

    >>> _is_stale("runbook-walk-1000-ab12.bin", now=2000), _is_stale("runbook-walk-1900-ab12", now=2000), _is_stale("Ada")
    (True, False, False)
    """
    if not name.startswith(f"{MARK}-"):
        return False
    seconds = name.removeprefix(f"{MARK}-").split("-")[0]
    return seconds.isdigit() and (time.time() if now is None else now) - int(seconds) > STALE_SECONDS


synthetic = LocalFact("synthetic", user_journey)
