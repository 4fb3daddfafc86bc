"""Asks an object store whether it lives, whether the application may see its bucket, and whether its certificate is trusted.

Signed by S3's Signature Version 4 with the application's own key; health as MinIO answers it. Nothing is written.
"""

from __future__ import annotations

import datetime as dt
import glob
import hashlib
import hmac
import http.client
import re
import socket
import ssl
import time
from urllib.parse import quote

from runbook.facts.probes.common import endpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WAIT = 3.0
OF_STORES = "S3|MINIO|AWS|STORAGE"


def signed(host: str, path: str, query: str, keys: tuple[str, str]) -> dict[str, str]:
    """Return the headers of a GET that is signed with (access key, secret key) for the region us-east-1."""
    now = dt.datetime.now(dt.timezone.utc)  # noqa: UP017 (the server's Python may be 3.8)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    empty = hashlib.sha256(b"").hexdigest()
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = f"GET\n{quote(path)}\n{query}\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{stamp}\n\n{names}\n{empty}"
    scope = f"{day}/us-east-1/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{keys[1]}".encode()
    for word in (day, "us-east-1", "s3", "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    told = f"AWS4-HMAC-SHA256 Credential={keys[0]}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {"x-amz-date": stamp, "x-amz-content-sha256": empty, "Authorization": told}


def http_get(
    place: tuple[str, int], path: str, *, tls: Any = None, name: str = "", headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return status, time in milliseconds and the beginning of an answer."""
    begun = time.monotonic()
    plain = socket.create_connection(place, WAIT)
    plain.settimeout(WAIT)
    line = tls.wrap_socket(plain, server_hostname=name) if tls else plain
    connection = http.client.HTTPConnection(name or place[0], place[1], timeout=WAIT)
    connection.sock = line
    connection.request("GET", path, headers=headers or {})
    got = connection.getresponse()
    body = got.read(4000).decode(errors="replace")
    found = {
        "status": got.status,
        "milliseconds": round((time.monotonic() - begun) * 1000),
        "body": body[:600],
        "server_date": got.getheader("Date", ""),
    }
    connection.close()
    return found


def store(place: tuple[str, int], variables: dict[str, str], pid: int) -> dict[str, Any]:
    """Return whether the object store lives, and lets the application see its bucket."""

    def variable(*words: str) -> str:
        return next(
            (
                value
                for key, value in variables.items()
                if all(word in key for word in words) and re.search(OF_STORES, key)
            ),
            "",
        )

    name = next(
        (host for key, host, port in endpoints(variables) if port == place[1] and re.search(OF_STORES, key)),
        place[0],
    )
    secure = variable("SECURE").lower() not in {"0", "false", "no"}
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    found: dict[str, Any] = {}
    tls = unverified if secure else None
    try:
        found["live"] = http_get(place, "/minio/health/live", tls=tls, name=name)
    except ssl.SSLError as error:
        found["tls"] = str(error)[:200]
        return found
    found["ready"] = http_get(place, "/minio/health/ready", tls=tls, name=name)
    access, secret = variable("ACCESS", "KEY"), variable("SECRET", "KEY")
    bucket = variable("BUCKET")
    if access and secret:
        host = f"{name}:{place[1]}"
        # without a bucket's name the list of buckets is asked for, which tells at least whether the keys are taken
        path, query = (f"/{bucket}/", "list-type=2&max-keys=1") if bucket else ("/", "")
        found["bucket"] = http_get(
            place,
            f"{path}?{query}" if query else path,
            tls=tls,
            name=name,
            headers={"Host": host, **signed(host, path, query, (access, secret))},
        )
        found["bucket_name"] = bucket or "(all)"
        body = found["bucket"]["body"]
        told = re.search(r"<Code>([^<]+)</Code>.*?<Message>([^<]*)</Message>", body, re.DOTALL)
        found["bucket"]["said"] = f"{told[1]}: {told[2]}" if told else ""
        found["bucket"]["body"] = ""
    if secure and pid:
        found["trusted"], found["trust_said"] = trusted(place, name, pid)
    return found


def trusted(place: tuple[str, int], name: str, pid: int) -> tuple[bool, str]:
    """Return whether one of the authorities that are mounted into the application vouches for the store's certificate."""
    said = "no authority is mounted"
    for path in sorted(glob.glob(f"/proc/{pid}/root/certs/**/*.crt", recursive=True)):
        try:
            context = ssl.create_default_context(cafile=path)
            with socket.create_connection(place, WAIT) as plain, context.wrap_socket(plain, server_hostname=name):
                return True, ""
        except (ssl.SSLError, OSError) as error:
            said = str(getattr(error, "verify_message", "") or error)[:200]
    return False, said
