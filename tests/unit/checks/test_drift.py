"""Why Compose would make a container anew, and whether that is a finding."""

from __future__ import annotations

import pytest

from runbook.checks.compose import explain_drift
from runbook.facts.service_configs import ServiceConfig

RECREATE = {"api": "Recreate", "nginx": "Recreate", "db": "Running"}


def config(**changes: object) -> ServiceConfig:
    known: dict[str, object] = {
        "takes_file": True,
        "depends_on": ("db",),
        "differences": (),
        "made": "otherwise",
        "made_by": "",
        "other_image": False,
        "settings": (),
        "variables": (),
    }
    return ServiceConfig(**(known | changes))  # type: ignore[arg-type] # the test's own keywords


@pytest.mark.parametrize(
    ("changes", "good", "reason"),
    [
        ({"made": "alone"}, True, "without all its dependencies (up --no-deps)"),
        ({"variables": ("MAIL_PASSWORD",)}, False, "its environment was changed since it was made: MAIL_PASSWORD"),
        ({"made": "alone", "variables": ("A",)}, False, "its environment was changed"),
        ({"made": "as stated", "other_image": True}, False, "its tag means another image now"),
        (
            {"settings": ("mem_limit", "ports")},
            False,
            "the compose file was changed since it was made: mem_limit, ports",
        ),
        ({"made": "as stated", "depends_on": ("nginx", "db")}, True, "along with nginx, which it depends on"),
        ({"made": "as stated"}, False, "although its settings and its image are those"),
        ({"made_by": "2.20.2"}, True, "made by Compose 2.20.2, which counts settings in another way"),
        ({"made_by": "2.20.2", "settings": ("ports",)}, False, "the compose file was changed since it was made: ports"),
        ({}, False, "in none of these settings: image, command"),
    ],
)
def test_the_reason_is_told_apart(changes: dict[str, object], good: bool, reason: str) -> None:
    found = explain_drift("api", RECREATE, {"api": config(**changes)})
    assert found[0] is good
    assert reason in found[1]


def test_without_the_comparison_it_is_still_a_finding() -> None:
    good, reason = explain_drift("api", RECREATE, {})
    assert not good
    assert "the file or its environment changed" in reason


def test_a_service_that_the_file_does_not_know_is_told() -> None:
    assert explain_drift("api", {"api": ""}, {"api": config()}) == (
        False,
        "the compose file does not know this service",
    )
