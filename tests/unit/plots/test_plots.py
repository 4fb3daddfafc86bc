"""Pictures: what they say, that they are PNG, that no evidence never looks like good news, and that pyplot stays out."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest

from runbook import plots
from runbook.facts import Facts, Missing
from runbook.facts.certificates import CertificateFact, Leaf
from runbook.facts.database import Database
from runbook.facts.log_lines import Access, Line
from runbook.facts.logs import Logs
from runbook.facts.resources import Filesystem
from runbook.facts.usage import Usage
from runbook.parameters import Parameters, Threshold, project_root, read

NOW = dt.datetime(2026, 11, 24, 8, 40, tzinfo=dt.UTC)
MIB, GIB = 1024**2, 1024**3
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    return read(project_root() / "params" / "production.example.yaml", target="production", instance="production")


def facts(**values: Any) -> Facts:
    return Facts(values, {}, seconds=1.0, begun=NOW.timestamp(), ended=NOW.timestamp())


def usage(name: str, cpu: float, memory: float) -> Usage:
    return Usage(name, cpu, memory, 50 * MIB, 100 * MIB, 1, 1, 1, 1, 1)


def leaf(since_days: float, left_days: float, sha256: str = "a") -> Leaf:
    begin, end = NOW - dt.timedelta(days=since_days), NOW + dt.timedelta(days=left_days)
    return Leaf(("pazpaz.test",), "CN=x", "CN=y", "1", begin, end, sha256, is_authority=False)


def certificate(name: str, disk: Leaf | None, served: Leaf | None = None) -> CertificateFact:
    return CertificateFact(name, disk, "", 1, True, "", True, "", served, "")


def line(minutes_ago: float, service: str, level: str = "INFO", status: int = 0) -> Line:
    access = Access("c", "GET", "/x", status, 1, "a") if status else None
    return Line(NOW - dt.timedelta(minutes=minutes_ago), service, level, "message", access)


def labels(picture: plots.Picture) -> list[str]:
    """All texts that stand at bars or lines of a picture, its axes' labels among them."""
    axes = picture.axes
    return [
        *(text.get_text() for one in axes for text in one.texts),
        *(one.get_xlabel() for one in axes),
        *(one.get_ylabel() for one in axes),
        *(text.get_text() for legend in picture.legends for text in legend.get_texts()),
    ]


def test_container_usage_names_who_is_nearest_its_limit(parameters: Parameters) -> None:
    picture = plots.container_usage(facts(usage=(usage("api", 3, 20), usage("clamav", 1, 96))), parameters)
    assert repr(picture) == "Plot: CPU and memory per container; clamav is nearest its memory limit (96 %)"
    assert picture._repr_png_().startswith(PNG)
    assert {"warning 80", "critical 95", "critical 150", "CPU (% of one processor)"} <= set(labels(picture))


def test_disk_use_says_which_is_fullest_and_what_is_free(parameters: Parameters) -> None:
    disks = (
        Filesystem("/", "/dev/a", "ext4", 100 * GIB, 50 * GIB, 50 * GIB, 50.0, 1.0, read_only=False),
        Filesystem("/srv", "/dev/b", "ext4", 10 * GIB, 9 * GIB, GIB, 90.0, 1.0, read_only=False),
    )
    picture = plots.disk_use(facts(filesystems=disks), parameters)
    assert repr(picture) == "Plot: Disk use: /srv is fullest, 90 % used and 1.0 GiB free"
    assert "90 %, 1.0 of 10.0 GiB free" in labels(picture)


def test_bars_over_a_limit_differ_without_colour() -> None:
    colours = [plots.picture.colour_of(value, 80, 92) for value in (79.9, 80, 92)]
    assert [plots.picture.HATCHES[colour] for colour in colours] == ["", "///", "xxx"]
    low = [plots.picture.colour_of(value, 21, 7, low_is_bad=True) for value in (22, 21, 7)]
    assert low == colours


def test_an_expired_certificate_is_named_first(parameters: Parameters) -> None:
    held = (certificate("public", leaf(30, 60)), certificate("minio", leaf(3650, -2)))
    picture = plots.days_left(facts(certificates=held), parameters)
    assert repr(picture) == "Plot: Days left of each certificate: minio has EXPIRED"
    assert [text for text in labels(picture) if "days" in text][:2] == ["EXPIRED 2 days ago", "60 days"]


def test_a_certificate_that_is_not_yet_served_is_said() -> None:
    held = (certificate("public", leaf(1, 89, "new"), leaf(80, 10, "old")),)
    picture = plots.expiry_dates(facts(certificates=held))
    assert repr(picture) == "Plot: When certificates end: public: served is NOT what lies on disk"
    assert " 2027-02-21" in labels(picture)


def test_errors_and_requests_are_counted() -> None:
    logs = Logs((line(30, "nginx", status=200), line(20, "nginx", "ERROR", 502), line(10, "api", "ERROR")), "1h")
    assert repr(plots.errors_over_time(facts(logs=logs))) == "Plot: Errors in the logs: 2 in the last 1h"
    picture = plots.requests_over_time(facts(logs=logs))
    assert repr(picture) == "Plot: Requests by status: 2 in the last 1h, 1 failed (5xx)"
    assert {"2xx (1)", "5xx (1)"} <= set(labels(picture))
    assert repr(plots.lines_over_time(facts(logs=logs))).endswith("3 in the last 1h, most from nginx")


def test_no_error_is_said_with_how_much_was_read() -> None:
    picture = plots.errors_over_time(facts(logs=Logs((line(30, "api"),), "1h")))
    assert "1 lines were read, and none of them is an error." in labels(picture)


def test_steps_of_time_suit_the_span() -> None:
    week = Logs((line(60 * 24 * 3, "api"), line(1, "api")), "72h")
    assert "lines in 120 minutes" in labels(plots.lines_over_time(facts(logs=week)))


def test_tables_by_size_counts_indexes() -> None:
    rows = [
        {"name": "clients", "table_bytes": 3 * MIB, "index_bytes": MIB, "estimated_rows": 2000},
        {"name": "users", "table_bytes": MIB, "index_bytes": 0, "estimated_rows": 4},
    ]
    picture = plots.table_sizes(facts(database=Database({"tables": rows})))
    assert repr(picture) == "Plot: Database tables by size: clients takes 80 % of 5.0 MiB"
    assert " 4.0 MiB, 2,000 rows" in labels(picture)


def test_trend_names_what_climbs_most() -> None:
    days = [NOW - dt.timedelta(days=number) for number in (3, 2, 1, 0)]
    series = {
        "filesystems./.used_percent": [(day, 40.0) for day in days],
        "filesystems./srv.used_percent": [(day, 50.0 + 5 * number) for number, day in enumerate(days)],
    }
    picture = plots.trend(series, "disk used (%)", Threshold(warning=80, critical=92))
    assert repr(picture) == "Plot: Trend of disk used (%): 4 records; /srv moved most upwards, by +15"
    assert {"/", "/srv", "warning 80", "critical 92"} <= set(labels(picture))
    assert repr(plots.trend({"x": series["filesystems./.used_percent"][:1]}, "y")).endswith("nothing to compare with")


@pytest.mark.parametrize(
    "name", ["lines_over_time", "errors_over_time", "requests_over_time", "expiry_dates", "table_sizes"]
)
def test_missing_evidence_is_said_in_the_picture(name: str) -> None:
    gone = {fact: Missing(fact, "docker: permission denied") for fact in ("logs", "certificates", "database")}
    picture = getattr(plots, name)(facts(**gone))
    assert repr(picture).endswith("no evidence")
    assert any("docker: permission denied" in text for text in labels(picture))


def test_pictures_come_without_pyplot() -> None:
    folder = Path(plots.__file__).parent
    assert not [
        path.name for path in folder.glob("*.py") if re.search(r"import.*pyplot", path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("minutes", [0, 0.01, 7, 90])
def test_young_logs_are_drawn_without_a_warning(minutes: float) -> None:
    logs = Logs((line(minutes, "api"), line(0, "api")), "1h")
    assert plots.lines_over_time(facts(logs=logs))._repr_png_().startswith(PNG)


@pytest.mark.parametrize("minutes", [0.001, 1, 60 * 24 * 90])
def test_trends_over_any_time_are_drawn_without_a_warning(minutes: float) -> None:
    points = [(NOW - dt.timedelta(minutes=minutes), 1.0), (NOW, 2.0)]
    assert plots.trend({"x": points}, "y")._repr_png_().startswith(PNG)
