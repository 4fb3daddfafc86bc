"""What changed between two records, and what only looks as if it had."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from runbook.records.compare import changes

WAS: dict[str, Any] = {
    "containers": {
        "expected": {
            "api": {"id": "1", "state": "running", "image": "sha256:aa", "reference": "api:1.0.0", "restarts": 0, "status": "Up 1 hour", "config_hash": "c1"},
        },
        "all": [{"name": "pazpaz-api", "image": "api:1.0.0", "state": "running", "status": "Up 1 hour"}],
    },
    "compose": {"valid": True, "would": {"api": "Running"}, "unset": False},
    "certificates": [{"name": "public", "serial": "0a", "not_after": "2027-02-22T00:00:00+00:00", "days_left": 90.1}],
    "firewall": {"active": True, "rules": ["22/tcp ALLOW", "443/tcp ALLOW"]},
    "packages": {"versions": {"openssl": "3.5.0"}},
    "filesystems": [{"mount": "/", "used_percent": 40.0, "used_bytes": 400, "inodes_used_percent": 3.0}],
    "machine": {"load_1": 0.3, "memory_used_percent": 12.0},
    "clock": 1795508064.28,
}  # fmt: skip


def changed(**edits: Any) -> list[tuple[str, str, str, str]]:
    now = copy.deepcopy(WAS)
    for path, value in edits.items():
        node: Any = now
        *way, last = path.split("__")
        for step in way:
            node = node[int(step) if step.isdigit() else step]
        node[int(last) if last.isdigit() else last] = value
    return [(item.topic, item.what, item.was, item.now) for item in changes(WAS, now)]


def test_nothing_changed() -> None:
    assert changed() == []


@pytest.mark.parametrize(
    "edits",
    [
        {"clock": 1795599999.9},
        {"machine__load_1": 9.9, "machine__memory_used_percent": 60.0},
        {"containers__expected__api__id": "2"},
        {"containers__expected__api__status": "Up 2 hours"},
        {"filesystems__0__used_percent": 41.5, "filesystems__0__used_bytes": 415},
        {"certificates__0__days_left": 89.0},
    ],
)
def test_what_is_never_the_same_twice_is_left_out(edits: dict[str, Any]) -> None:
    assert changed(**edits) == []


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ({"containers__expected__api__image": "sha256:bb"}, ("images", "containers.expected.api.image", "sha256:aa", "sha256:bb")),
        ({"containers__expected__api__config_hash": "c2"}, ("compose file", "containers.expected.api.config_hash", "c1", "c2")),
        ({"containers__expected__api__restarts": 3}, ("containers", "containers.expected.api.restarts", "0", "3")),
        ({"compose__unset": True}, ("compose file", "compose.unset", "no", "yes")),
        ({"certificates__0__serial": "0b"}, ("certificates", "certificates.public.serial", "0a", "0b")),
        ({"firewall__active": False}, ("firewall", "firewall.active", "yes", "no")),
        ({"firewall__rules": ["22/tcp ALLOW"]}, ("firewall", "firewall.rules", "22/tcp ALLOW, 443/tcp ALLOW", "22/tcp ALLOW")),
        ({"packages__versions__openssl": "3.5.1"}, ("packages", "packages.versions.openssl", "3.5.0", "3.5.1")),
        ({"filesystems__0__used_percent": 43.0}, ("disk", "filesystems./.used_percent", "40.0 %", "43.0 %")),
    ],
)  # fmt: skip
def test_what_matters_is_told(edits: dict[str, Any], expected: tuple[str, str, str, str]) -> None:
    assert changed(**edits) == [expected]


def test_a_new_container_is_one_change() -> None:
    now = copy.deepcopy(WAS)
    now["containers"]["all"].append({"name": "miner", "image": "x:1", "state": "running", "status": "Up"})
    (change,) = changes(WAS, now)
    assert (change.topic, change.what, change.was) == ("containers", "containers.all.miner", "")
    assert "x:1" in change.now


def test_a_fact_that_is_missing_or_was_not_asked_for_is_no_change() -> None:
    now = copy.deepcopy(WAS)
    del now["firewall"]
    now["packages"] = {"fact": "packages", "reason": "dpkg: not found", "command": "", "exit_code": 127, "stderr": ""}
    assert changes(WAS, now) == []


def test_counts_of_the_database_are_no_change() -> None:
    answers = {
        "roles": [{"role": "pazpaz", "used": 3}],
        "checksums": [{"database": "pazpaz", "failed_seconds_ago": 5}],
        "lock_holders": [],
    }
    later = {
        "roles": [{"role": "pazpaz", "used": 9}],
        "checksums": [{"database": "pazpaz", "failed_seconds_ago": 70}],
        "lock_holders": [{"pid": 7, "mode": "x"}],
    }
    assert changes({"database": {"answers": answers}}, {"database": {"answers": later}}) == []
