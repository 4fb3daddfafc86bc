"""The question whether it is up is answered whatever happened to the way in: users are served and only SSH is gone, or the host is gone."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from cli import runbook

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Host

pytestmark = pytest.mark.sandbox

WITHIN_S = 15.0  # on a machine that has nothing else to do


def within() -> float:
    """The bound on a machine as busy as this one is now."""
    return WITHIN_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


SERVED = "users are served; only the way in over SSH is gone"
# how the way in is lost, and how it comes back; through the engine outside, since SSH is what is broken
HANGS = r"""systemctl stop ssh.socket ssh.service
systemd-run --quiet --unit=practice-silent python3 -c '
import socket, time
listening = socket.socket(); listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listening.bind(("0.0.0.0", 22)); listening.listen(); time.sleep(3600)'
for _ in $(seq 50); do ss -tln | grep -q ':22 ' && break; sleep 0.1; done"""
SSH_BACK = "systemctl stop practice-silent.service 2>/dev/null; systemctl start ssh.service; for _ in $(seq 50); do ss -tln | grep -q ':22 ' && break; sleep 0.1; done"
WAYS = {
    "closed": ("systemctl stop ssh.socket ssh.service", SSH_BACK, SERVED),
    "hanging": (HANGS, SSH_BACK, SERVED),
    "another host key": (
        "cd /etc/ssh; mv ssh_host_ed25519_key keep.key; mv ssh_host_ed25519_key.pub keep.pub; ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key; systemctl restart ssh.service",
        "cd /etc/ssh; mv keep.key ssh_host_ed25519_key; mv keep.pub ssh_host_ed25519_key.pub; systemctl restart ssh.service",
        SERVED,
    ),
    "sudo refuses": (
        "echo 'Defaults requiretty' > /etc/sudoers.d/00-practice; chmod 440 /etc/sudoers.d/00-practice",
        "rm /etc/sudoers.d/00-practice",
        "",
    ),
    "no right to Docker": ("gpasswd -d pazpaz docker", "gpasswd -a pazpaz docker", ""),
}


def look(notebook: str, outputs: Path) -> tuple[dict[str, Any], float]:
    begun = time.monotonic()
    done = runbook("run", notebook, "--target", "sandbox", "--json", "--no-html", outputs=outputs)
    told: dict[str, Any] = json.loads(done.stdout)
    return told, time.monotonic() - begun


LOOKS = [("04-health/quick", way) for way in WAYS] + [("04-health/detailed", "hanging")]
ALL_LOOKS = [("04-health/detailed", way) for way in WAYS if way != "hanging"]


@pytest.mark.parametrize(
    ("notebook", "way"), [*LOOKS, *(pytest.param(*look, marks=pytest.mark.matrix) for look in ALL_LOOKS)]
)
def test_it_answers_whatever_is_lost(host: Host, tmp_path: Path, notebook: str, way: str) -> None:
    lose, give_back, sentence = WAYS[way]
    host.sh(lose)
    try:
        told, seconds = look(notebook, tmp_path)
    finally:
        host.sh(give_back, check=False)
    print(f"{way}, {notebook}: {told['state']} in {seconds:.1f} s: {told['sentence'][:160]}")
    assert told["exit_code"] in {2, 3}, told
    assert seconds < within()
    assert sentence in told["sentence"]
    rows = {(row["check"], row["state"]) for row in told["findings"]}
    assert not {row for row in rows if row[0].startswith(("web.", "synthetic.")) and row[0] != "web.proxy-config"}
    assert any(state == "UNKNOWN" for _, state in rows), "what could not be looked at is not OK"


def test_a_host_that_is_gone_is_told_from_one_that_only_shuts_its_door(host: Host, tmp_path: Path) -> None:
    host.sh("systemctl stop ssh.socket ssh.service; docker stop --time 1 pazpaz-nginx")
    try:
        told, seconds = look("04-health/quick", tmp_path)
    finally:
        host.sh(f"docker start pazpaz-nginx; {SSH_BACK}", check=False)
    assert "neither users nor operators get through" in told["sentence"], told["sentence"]
    assert seconds < within()


def test_what_changes_something_goes_on_refusing(host: Host, tmp_path: Path) -> None:
    host.sh(WAYS["closed"][0])
    try:
        told, _ = look("02-services/control", tmp_path)
    finally:
        host.sh(SSH_BACK, check=False)
    assert told["exit_code"] >= 4
    assert told["change"] == ""
