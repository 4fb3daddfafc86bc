"""The search for surfaced secrets finds them in every place, and finds none on an untouched server."""

from __future__ import annotations

import base64
import subprocess
import urllib.parse
from typing import TYPE_CHECKING

import canaries
import pytest

from sandbox.inside import execute

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(120)]

PLANTED = "planted/4711+of=this test"
LEAK = {  # shell on the server, with the secret on standard input as $secret -> the place that is told
    "the system's journal": 'logger "$secret"',
    "the log of pazpaz-api": 'docker exec -i pazpaz-api sh -c "cat > /proc/1/fd/1" <<< "$secret"',
    "/root/.bash_history": 'echo "psql $secret" > /root/.bash_history',
    "/var/spool/left-over": 'base64 <<< "password=$secret" > /var/spool/left-over',
    "/var/log/left-over": 'echo "$secret" > /var/log/left-over',
    "/opt/pazpaz/.env.production.old": 'echo "$secret" > /opt/pazpaz/.env.production.old',
    "/var/lib/runbook/open": 'mkdir -p /var/lib/runbook; (umask 022; echo "$secret" > /var/lib/runbook/open)',
    "a process list: timeout": 'timeout 0.3 tail -f /dev/null "$secret" || true',
}
CLEAN = "rm -rf /root/.bash_history /var/spool/left-over /var/log/left-over /opt/pazpaz/.env.production.old /var/lib/runbook/open"


def test_none_are_found_on_an_untouched_server(host: Host, tmp_path: Path) -> None:
    with canaries.Watch(host) as watch:
        host.sh("sleep 0.5")
    assert watch.hits(canaries.secrets_of(host), tmp_path) == []
    assert watch.local_looks > 5
    assert watch.server_looks > 5


def test_one_is_found_wherever_it_surfaces(host: Host, tmp_path: Path) -> None:
    try:
        with canaries.Watch(host) as watch:
            for script in LEAK.values():
                execute(host.name, ["bash", "-c", f"read -r secret; {script}"], stdin=PLANTED, check=True)
            subprocess.run(["sh", "-c", "sleep 0.3; true", PLANTED], check=True)
        (tmp_path / "record.html").write_text(f"<a href='redis://:{urllib.parse.quote(PLANTED)}@redis'>")
        (tmp_path / "record.ipynb").write_text(base64.b64encode(f"Bearer {PLANTED}".encode()).decode())
        hits = watch.hits({"canary": PLANTED, "other": "of which there is no trace"}, tmp_path)
    finally:
        host.sh(CLEAN)
    for leaked in LEAK:
        assert any(hit.startswith(f"on the server: canary in {leaked}") for hit in hits), f"{leaked}: {hits}"
    for place in (tmp_path / "record.html", tmp_path / "record.ipynb", "a process list: sh"):
        assert any(hit.startswith(f"here: canary in {place}") for hit in hits), f"{place}: {hits}"
    assert not [hit for hit in hits if "other" in hit or PLANTED in hit]
