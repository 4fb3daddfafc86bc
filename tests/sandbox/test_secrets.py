"""Canaries: secrets of the server, of the operator and of the environment surface nowhere."""

from __future__ import annotations

import base64
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli import runbook

from runbook import notebook, parameters

if TYPE_CHECKING:
    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(900)]


def canaries(host: Host) -> dict[str, str]:
    """Return every secret there is, by where it lies."""
    settings = parameters.load(f"sandbox@{host.name}")
    found = {
        "sudo password": Path(str(settings.connection.sudo_password).removeprefix("file:")).read_text().strip(),
        "environment": "canary-of-the-environment-4711",
    }
    if settings.synthetic is not None:
        found["synthetic password"] = Path(settings.synthetic.password.removeprefix("file:")).read_text().strip()
    for line in host.sh("cat /opt/pazpaz/.env.production").splitlines():
        name, _, value = line.partition("=")
        if any(word in name for word in ("PASSWORD", "SECRET", "KEY", "URL", "CANARY")) and len(value) >= 12:
            found[name] = value
            if "://" in value and "@" in value:
                found[f"{name} password"] = value.split("@", 1)[0].rsplit(":", 1)[-1]
    return found


def surfaces(value: str) -> list[bytes]:
    """Return the forms under which a value would be seen."""
    return [value.encode(), base64.b64encode(value.encode()), urllib.parse.quote(value, safe="").encode()]


def test_no_secret_surfaces_in_any_run(host: Host, tmp_path: Path) -> None:
    host.sh("echo 'CANARY_OF_THE_SERVER=canary-of-the-server-0815' >> /opt/pazpaz/.env.production")
    try:
        secrets = canaries(host)
        assert len(secrets) >= 8
        said = b""

        def run(name: str) -> bytes:
            words = ("run", name, "--target", "sandbox", "--wait-html")
            done = runbook(*words, outputs=tmp_path, RUNBOOK_CANARY=secrets["environment"])
            return (done.stdout + done.stderr).encode()

        with ThreadPoolExecutor(2) as two_at_once:
            said += b"".join(two_at_once.map(run, notebook.names()))
        # failures too: a timeout, an unreachable address, a query that fails with its text
        for words in (
            ("run", "04-health/detailed", "--cell-timeout", "0.2"),
            ("run", "06-database/query", "-p", "query", "select no_such_column from users"),
            ("run", "02-services/logs", "-p", "service", "no-such-service"),
            ("records", "list"),
            ("records", "show", "last"),
            ("doctor",),
        ):
            done = runbook(*words, outputs=tmp_path, RUNBOOK_CANARY=secrets["environment"])
            said += (done.stdout + done.stderr).encode()
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {path.suffix for path in files} >= {".ipynb", ".html", ".jsonl"}
        seen = {"screen": said} | {str(path.relative_to(tmp_path)): path.read_bytes() for path in files}
        found = [
            (where, what)
            for where, text in seen.items()
            for what, value in secrets.items()
            for form in surfaces(value)
            if form in text
        ]
        assert found == []
    finally:
        host.sh("sed -i '/^CANARY_OF_THE_SERVER=/d' /opt/pazpaz/.env.production")
