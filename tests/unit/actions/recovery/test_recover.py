"""Disaster recovery as a plan: the copy that is chosen, what is refused, and the order of the steps."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from runbook import parameters
from runbook.actions.recovery import recover
from runbook.changes.plan import Context
from runbook.errors import PreflightError, RunbookError
from runbook.facts import Facts, Missing
from runbook.facts.recovery import Copy, NewHost, choose
from runbook.facts.repository import Catalogue, MirroredRepository, Snapshot
from runbook.parameters import project_root
from runbook.verdict import Verdicts

STAMP, RUN = "20261124T120000Z", "20261124T110000Z"
SETTINGS = parameters.read(project_root() / "params" / "production.example.yaml", target="new", instance="new")
CLASSES = [item.name for item in SETTINGS.backup.classes]
HOST = NewHost((), False, (), (), (), "", "debian 13", 50_000_000_000, "pazpaz")
COPY = Copy(
    place="/offsite", folder="repository-1", lost="old", run=RUN, snapshots={name: name for name in (*CLASSES, "manifest")},
    manifest={
        "database": {"dump": "/opt/pazpaz/backups/pazpaz.dump"}, "objects": {"count": 1},
        "frozen": {item.name: {"paths": ["/var/lib/docker/volumes/v/_data"]} for item in SETTINGS.backup.classes if item.kind == "uploads"},
    },
    files=10, size_bytes=1_000_000, options={}, password="env:PASSWORD", classes=SETTINGS.backup.classes,
)  # fmt: skip


def context(host: Any = HOST, copy: Any = COPY, **values: Any) -> Context:
    facts = Facts({"new_host": host, "copy": copy}, {}, seconds=0)
    return Context(facts, Verdicts(()), SETTINGS, {"apply": True} | values, STAMP)


def away(
    run: str, *, target: str = "new", kinds: tuple[str, ...] = (*CLASSES, "manifest"), finished: bool = True
) -> MirroredRepository:
    at = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
    snapshots = tuple(Snapshot(f"{kind}-{run}", run, kind, at, 1) for kind in kinds)
    return MirroredRepository(
        "repository-1", target, at, 3, 4, Catalogue(at, snapshots, {run: {"run": run}} if finished else {})
    )


def test_the_database_starts_alone_and_the_store_is_filled_before_it_starts() -> None:
    names = [step.name for step in recover.recover(context()).steps]
    order = ["make-folders", "install-packages", "bring-copies", "set-password", "read-copies", "pull-images", "start-database",
             "fill-database", "create-store", "fill-uploads", "compare-objects", "start-everything", "wait-healthy", "measure"]  # fmt: skip
    assert [name for name in names if name in order] == order
    started = next(step for step in recover.recover(context()).steps if step.name == "start-database")
    assert started.command.argv[-1] == SETTINGS.database.service


def test_objects_are_compared_once_and_before_users_can_delete_any() -> None:
    steps = recover.recover(context()).steps
    names = [step.name for step in steps]
    at = names.index("compare-objects")
    assert names[at - 2 : at + 2] == ["start-reader", "wait-reader", "compare-objects", "start-everything"]
    assert steps[at - 2].command.argv[-2:] == ("minio", "api")
    for step in steps[at - 2 : at + 1]:
        assert step.done
        assert step.done.argv[-1] == f"/var/lib/runbook/{STAMP}/objects-compared"


def test_the_plan_says_what_is_lost_and_needs_the_phrase() -> None:
    plan = recover.recover(context())
    assert plan.danger
    assert "2026-11-24T11:00:00Z" in plan.losses[0]
    assert plan.pinned == {"backup": RUN}


def test_a_password_is_never_in_the_plan() -> None:
    plan = recover.recover(context())
    assert [step.stdin_secret for step in plan.steps if step.stdin_secret] == ["env:PASSWORD"]


@pytest.mark.parametrize(
    ("host", "copy", "reason"),
    [
        (dataclasses.replace(HOST, containers=("pazpaz-db",)), COPY, "not bare: pazpaz-db"),
        (dataclasses.replace(HOST, files=(".env.production",)), COPY, "not bare: .env.production"),
        (dataclasses.replace(HOST, begun="20260101T000000Z"), COPY, "was begun here"),
        (dataclasses.replace(HOST, free_bytes=1_000), COPY, "about 4 MB are needed"),
        (dataclasses.replace(HOST, system="alpine 3"), COPY, "Debian and Ubuntu only"),
        (HOST, dataclasses.replace(COPY, password_error="no password is named"), "cannot be opened"),
        (HOST, Missing("copy", "there is no folder"), "no copy to recover from"),
        (Missing("new_host", "no sudo"), COPY, "could not be looked at"),
    ],
)
def test_what_is_in_the_way_is_refused_and_a_dry_run_says_so(host: Any, copy: Any, reason: str) -> None:
    with pytest.raises(PreflightError, match=reason):
        recover.recover(context(host, copy))
    shown = recover.recover(context(host, copy, apply=False))
    assert not shown.steps
    assert reason in shown.nothing


def test_a_recovery_that_was_begun_goes_on_though_the_host_is_no_longer_bare() -> None:
    begun = dataclasses.replace(HOST, containers=("pazpaz-db",), files=("backups",), begun=RUN)
    assert recover.recover(context(begun)).steps


def test_the_newest_whole_run_of_the_lost_server_is_chosen() -> None:
    there = (
        away("20261101T000000Z"),
        away("20261103T000000Z", kinds=("database",)),
        away("20261102T000000Z"),
        away("20261104T000000Z", target="other"),
        away("20261105T000000Z", finished=False),
    )
    found = choose(there, SETTINGS, "", "/offsite", "")
    assert found.run == "20261102T000000Z"
    assert found.older == ("20261101T000000Z",)
    assert choose(there, SETTINGS, "20261101T000000Z", "/offsite", "").run == "20261101T000000Z"
    with pytest.raises(RunbookError, match="no whole backup 20261103T000000Z"):
        choose(there, SETTINGS, "20261103T000000Z", "/offsite", "")
