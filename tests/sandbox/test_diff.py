"""What changed since the last good record? Real changes on the server, told by topic; no change, nothing told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cli import run_notebook, runbook

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(400)]


def told(outputs: Path) -> dict[str, list[str]]:
    """Return what `records diff` tells, by topic."""
    done = runbook("records", "diff", "--json", outputs=outputs)
    assert done.returncode == 0, done.stderr
    topics: dict[str, list[str]] = {}
    for change in json.loads(done.stdout)["changes"]:
        topics.setdefault(change["topic"], []).append(change["what"])
    return topics


def test_diff_tells_what_was_changed_on_the_server(host: Host, tmp_path: Path) -> None:
    try:
        run_notebook("04-health/detailed", tmp_path)
        run_notebook("04-health/detailed", tmp_path)
        assert told(tmp_path) == {}
        host.sh("ufw allow 8443/tcp")
        host.sh("echo '# a line more' >> /opt/pazpaz/docker-compose.prod.yml")
        host.sh(
            "certbot renew --force-renewal --cert-name pazpaz.test --no-random-sleep-on-renew -n -q && docker exec pazpaz-nginx nginx -s reload"
        )
        host.sh("dpkg --purge --force-depends bc >/dev/null 2>&1 || dpkg --purge --force-depends less")
        host.sh("docker tag $(docker inspect -f '{{.Image}}' pazpaz-frontend) localhost:5000/pazpaz-frontend:other")
        run_notebook("04-health/detailed", tmp_path)
        topics = told(tmp_path)
        assert topics.keys() >= {"firewall", "compose file", "certificates", "packages", "images"}, topics
    finally:
        host.reset()
