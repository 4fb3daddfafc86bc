"""What a line of an environment file seems to say, and why Compose makes another value of it; never a value."""

from __future__ import annotations

import json

import pytest

from runbook.facts.service_configs_probe import differences, differing, environment_differs, nanoseconds, settings_in

SECRET = "P@ss"


@pytest.mark.parametrize(
    ("text", "resolved", "reason"),
    [
        ("MAIL=P@ss$word123\n", "P@ss", "follows a $"),
        ('MAIL="P@ss$word123"\n', "P@ss", "follows a $"),
        ("MAIL=P@ss${SECRET_KEY}x\n", "P@ss0123x", "follows a $"),
        ("MAIL=P@ss #word\n", "P@ss", "before the ' #'"),
        ("MAIL=P@ss word # comment\n", "P@ss word", "before the ' #'"),
        ("MAIL=P@ss\n", "other", "the compose file sets it itself"),
        ('MAIL="P@ss" tail\n', "P@ss", None),
        ("MAIL=P@ss$$word123\n", "P@ss$word123", None),
        ("MAIL='P@ss$word123'\n", "P@ss$word123", None),
        ('MAIL="P@\\nss"\n', "P@\nss", None),
        ('MAIL="P@\nss"\n', "P@\nss", None),
        ("MAIL=P@ss#word\n", "P@ss#word", None),
        ("export MAIL = P@ss\r\n", "P@ss", None),
        ("# MAIL=P@ss\nMAIL=other\n", "other", None),
        ("MAIL=\n", "", None),
    ],
)
def test_the_reason_is_told_and_no_value(text: str, resolved: str, reason: str | None) -> None:
    found = differences(settings_in(text), {"MAIL": resolved}, {"MAIL"})
    assert [item["name"] for item in found] == (["MAIL"] if reason else [])
    assert all(reason in item["reason"] for item in found if reason)
    assert SECRET not in json.dumps(found)


def test_a_variable_that_stands_twice_is_told_with_its_lines() -> None:
    (found,) = differences(settings_in("A=1\nB=1\nA=2\n"), {"A": "2", "B": "1"}, set())
    assert (found["name"], found["lines"], found["kind"]) == ("A", [1, 3], "twice")
    (found,) = differences(settings_in("A=1\nA=1\n"), {"A": "1"}, set())
    assert "with the same value" in found["reason"]


def test_a_quoted_value_goes_over_lines_and_does_not_set_what_stands_in_it() -> None:
    found = settings_in('KEY="first\nNOT=one\nlast"\nNEXT=1\n')
    assert [(line.name, line.number) for line in found] == [("KEY", 1), ("NEXT", 4)]


def test_durations_are_compared_as_docker_keeps_them() -> None:
    assert nanoseconds("1m30s") == 90e9
    assert nanoseconds("1h0m0.5s") == 3600.5e9


def container(**changes: object) -> dict[str, object]:
    config = {"Image": "app:1", "Cmd": ["run"], "Entrypoint": None, "User": "", "Env": ["A=1", "PATH=/bin"]}
    host = {
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "80"}]},
        "Memory": 512,
        "RestartPolicy": {"Name": "unless-stopped"},
        "LogConfig": {"Type": "json-file", "Config": {}},
    }
    made: dict[str, object] = {"Config": config, "HostConfig": host, "Mounts": [], "NetworkSettings": {"Networks": {}}}
    for place, value in changes.items():
        part, _, key = place.partition("__")
        made[part][key] = value  # type: ignore[index] # a dict of dicts, spelt out above
    return made


SERVICE = {
    "image": "app:1",
    "environment": {"A": "1"},
    "ports": [{"target": 80, "published": "80", "protocol": "tcp", "mode": "ingress"}],
    "mem_limit": "512",
    "restart": "unless-stopped",
}
IMAGE = {"Config": {"Cmd": ["run"], "Env": ["PATH=/bin"]}}


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({}, []),
        ({"Config__Image": "app:2"}, ["image"]),
        ({"Config__Cmd": ["walk"]}, ["command"]),
        ({"HostConfig__Memory": 600}, ["mem_limit"]),
        ({"HostConfig__PortBindings": {}}, ["ports"]),
        ({"HostConfig__RestartPolicy": {"Name": "always"}}, ["restart"]),
    ],
)
def test_the_setting_that_differs_is_named(changes: dict[str, object], settings: list[str]) -> None:
    assert differing(SERVICE, {}, container(**changes), IMAGE) == settings


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        (["A=1", "PATH=/bin"], []),
        (["A=2", "PATH=/bin"], ["A"]),
        (["PATH=/bin"], ["A"]),
        (["A=1", "PATH=/bin", "OLD=1"], ["OLD"]),
    ],
)
def test_the_variable_that_differs_is_named(environment: list[str], names: list[str]) -> None:
    assert environment_differs(SERVICE, container(Config__Env=environment), IMAGE) == names
