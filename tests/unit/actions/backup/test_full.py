"""Plans of a full backup, of retention and of restored uploads: which steps, what is refused, and that no secret is in them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from captured import Captured

from runbook.actions.backup import choices, full, retention, uploads
from runbook.actions.database import dump
from runbook.changes.plan import Context, Step
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Facts, Missing, dumps, gather, repository, stored_copies
from runbook.facts.repository import MirroredRepository, OffSite
from runbook.offhost.mirror import folder_of
from runbook.verdict import Verdicts

if TYPE_CHECKING:
    from runbook.parameters import Parameters

STAMP = "20261124T130000Z"
NOW = dt.datetime(2026, 11, 24, 13, tzinfo=dt.UTC)
PLACE = OffSite("~/offsite", free_bytes=10**12)
RUN = "20261124T113239Z"
WHOLE = ["set-password", "prepare-repository", "dump-database", "copy-database", "copy-configuration", "copy-certificates", "copy-uploads",
         "wait-minio", "list-objects", "check-repository", "manifest", "catalogue", "carry-off-host"]  # fmt: skip


@pytest.fixture(scope="module")
def found(parameters: Parameters) -> repository.Repository:
    seen = gather(Captured(Path("repository/repository-full.out")), parameters, [repository.repository])["repository"]
    assert isinstance(seen, repository.Repository)
    return dataclasses.replace(seen, source_bytes=dict.fromkeys(repository.sources(parameters), 1000))


@pytest.fixture(scope="module")
def copies(parameters: Parameters) -> stored_copies.StoredCopies:
    seen = gather(
        Captured(Path("stored_copies/stored_copies-old-ones.out")), parameters, [stored_copies.stored_copies]
    )["stored_copies"]
    assert isinstance(seen, stored_copies.StoredCopies)
    return seen


def database(parameters: Parameters) -> Facts:
    """The dumps that are there, their room, and the databases, as captured."""
    gate = Captured(*(Path(f"dumps/{name}-healthy.out") for name in ("dumps", "room", "databases")))
    return gather(gate, parameters, [dumps.dumps, dumps.room, dumps.databases])


def context(parameters: Parameters, values: dict[str, Any] | None = None, stamp: str = STAMP, **facts: Any) -> Context:
    at = NOW.timestamp()
    seen = database(parameters)
    return Context(
        Facts({"off_site": PLACE} | {name: seen[name] for name in seen} | facts, {}, seconds=0, begun=at, ended=at),
        Verdicts.of([]),
        parameters,
        values or {},
        stamp,
    )


def test_everything_is_copied_proven_and_carried_in_this_order(
    parameters: Parameters, found: repository.Repository
) -> None:
    plan = full.full(context(parameters, repository=found))
    assert [step.name for step in plan.steps] == WHOLE
    assert plan.downtime_seconds == full.FROZEN_SECONDS
    some = full.full(context(parameters, {"classes": "certificates", "off_server": False}, repository=found))
    assert [step.name for step in some.steps] == ["set-password", "prepare-repository", "copy-certificates", "check-repository", "manifest", "catalogue"]  # fmt: skip


def test_the_plan_survives_the_journal_and_another_time(parameters: Parameters, found: repository.Repository) -> None:
    plan = full.full(context(parameters, repository=found))
    assert tuple(Step.from_json(json.loads(json.dumps(step.as_json()))) for step in plan.steps) == plan.steps
    later = full.full(context(parameters, stamp="20261125T093000Z", repository=found))
    assert plan.digest == later.digest
    other = full.full(context(parameters, {"read_back": False}, repository=found))
    assert plan.digest != other.digest


def test_the_password_is_only_named(parameters: Parameters, found: repository.Repository) -> None:
    (lay, *others) = full.full(context(parameters, repository=found)).steps
    assert lay.stdin_secret == parameters.backup.repository_password
    assert all(step.stdin_secret == "" for step in others)


@pytest.mark.parametrize(
    ("changed", "away", "said"),
    [
        ({"restic": ""}, PLACE, "apt-get install restic"),
        ({"restic": "0.14.0"}, PLACE, "too old"),
        ({"free_bytes": 10}, PLACE, "MB are free"),
        ({"source_bytes": {}}, PLACE, "/etc/letsencrypt"),
        ({}, dataclasses.replace(PLACE, password_error="the file x does not exist"), "the file x does not exist"),
        ({}, Missing("off_site", "the bucket is away"), "the bucket is away"),
    ],
)
def test_what_is_in_the_way_is_named(
    parameters: Parameters, found: repository.Repository, changed: dict[str, Any], away: Any, said: str
) -> None:
    with pytest.raises(PreflightError, match=said):
        full.full(context(parameters, repository=dataclasses.replace(found, **changed), off_site=away))


def test_the_dump_and_its_copy_must_fit(parameters: Parameters, found: repository.Repository) -> None:
    seen = database(parameters)
    need = 2 * seen["dumps"][0].bytes
    small = dataclasses.replace(seen["room"], dumps_free_bytes=need - 1)
    with pytest.raises(PreflightError, match="no room for a backup"):
        full.full(context(parameters, repository=found, room=small))
    # as much as the sources need, and a dump, but not its copy
    tight = dataclasses.replace(found, free_bytes=2 * sum(size or 0 for size in found.source_bytes.values()) + 2 * need - 1)  # fmt: skip
    with pytest.raises(PreflightError, match="MB are free where the repository lies"):
        full.full(context(parameters, repository=tight))
    (taken, *_) = seen["dumps"]
    own = dataclasses.replace(taken, path=dump.path_of(parameters, STAMP))
    assert full.full(context(parameters, repository=tight, room=small, dumps=(own,))).steps  # resumed: it is there
    assert full.full(context(parameters, {"classes": "configuration"}, repository=tight, room=small)).steps
    with pytest.raises(PreflightError, match="the database is down"):
        full.full(context(parameters, repository=found, databases=Missing("databases", "the database is down")))


def test_an_unknown_class_is_refused(parameters: Parameters, found: repository.Repository) -> None:
    with pytest.raises(ParametersError, match="no such class"):
        full.full(context(parameters, {"classes": "database, letters"}, repository=found))


def test_old_dumps_go_with_what_lies_beside_them(
    parameters: Parameters, copies: stored_copies.StoredCopies, found: repository.Repository
) -> None:
    plan = retention.retention(context(parameters, stored_copies=copies, repository=found))
    assert [step.name for step in plan.steps] == ["set-aside", "delete"]
    listed = plan.steps[0].command.argv[5:]
    assert len(listed) == 9
    assert all(path.removesuffix(".sha256") in listed for path in listed)
    assert not [path for path in listed if "-20261124-" in path]
    assert len(plan.losses) == 5


@pytest.mark.parametrize("days", [-1, float("nan")])
def test_days_that_are_no_age_are_refused(
    parameters: Parameters, copies: stored_copies.StoredCopies, found: repository.Repository, days: float
) -> None:
    with pytest.raises(ParametersError, match="is no age"):
        retention.retention(context(parameters, {"keep_days": days}, stored_copies=copies, repository=found))


def test_where_the_reader_found_nothing_good_nothing_goes(
    parameters: Parameters, copies: stored_copies.StoredCopies, found: repository.Repository
) -> None:
    blind = dataclasses.replace(copies, looked=())
    plan = retention.retention(context(parameters, stored_copies=blind, repository=found))
    assert plan.steps == ()
    assert "nothing is too old that may go" in plan.nothing


def test_a_damaged_repository_loses_no_run(parameters: Parameters, copies: stored_copies.StoredCopies) -> None:
    assert copies.repository is not None
    old = tuple(
        dataclasses.replace(one, time=NOW - dt.timedelta(days=100), run="20260816T130000Z")
        for one in copies.repository.snapshots
    )
    for whole in (True, False):
        read = repository.RepositoryRead((*copies.repository.snapshots, *old), whole, "")
        judged = choices.runs_of(
            read,
            parameters.model_copy(update={"backup": parameters.backup.model_copy(update={"keep_verified": 1})}),
            NOW,
            None,
        )
        assert [choice.stays for choice in judged] == [True, not whole]


def test_what_an_earlier_run_left_is_finished(
    parameters: Parameters, copies: stored_copies.StoredCopies, found: repository.Repository
) -> None:
    aside = dataclasses.replace(copies, looked=(), aside={"/opt/pazpaz/backups/set-aside-x": 5})
    plan = retention.retention(context(parameters, stored_copies=aside, repository=found))
    assert [step.name for step in plan.steps] == ["delete"]
    assert copies.repository is not None
    (first, second, *others) = copies.repository.snapshots
    less = dataclasses.replace(
        copies, looked=(), repository=repository.RepositoryRead(tuple(others), whole=True, said="")
    )
    forgotten = dataclasses.replace(less, forgotten=frozenset({first.id, second.id, "one that went long ago"}))
    plan = retention.retention(context(parameters, stored_copies=forgotten, repository=found))
    assert [step.name for step in plan.steps] == ["prune", "catalogue"]


@pytest.mark.parametrize("forgotten", [0, 1])
def test_what_nobody_took_out_is_not_pruned_away(
    parameters: Parameters, copies: stored_copies.StoredCopies, found: repository.Repository, forgotten: int
) -> None:
    assert copies.repository is not None
    (first, second, *others) = copies.repository.snapshots
    old = tuple(dataclasses.replace(one, id=f"old-{one.kind}", time=NOW - dt.timedelta(days=100), run="20260816T130000Z") for one in copies.repository.snapshots)  # fmt: skip
    read = repository.RepositoryRead((*others, *old), whole=True, said="")
    seen = dataclasses.replace(copies, looked=(), repository=read, forgotten=frozenset([first.id][:forgotten]))
    settings = parameters.model_copy(update={"backup": parameters.backup.model_copy(update={"keep_verified": 1})})
    plan = retention.retention(context(settings, stored_copies=seen, repository=found))
    assert plan.steps == ()
    assert f"{2 - forgotten} copies that the catalogue names are not in the repository" in plan.nothing
    assert second.id[:8] in plan.nothing


def test_copies_off_the_server_alone_go_only_when_they_are_old(
    parameters: Parameters, copies: stored_copies.StoredCopies, found: repository.Repository
) -> None:
    assert found.catalogue is not None
    assert copies.repository is not None
    less = dataclasses.replace(
        copies, looked=(), repository=repository.RepositoryRead(copies.repository.snapshots[1:], whole=True, said="")
    )
    after = dataclasses.replace(found, catalogue=dataclasses.replace(found.catalogue, snapshots=copies.repository.snapshots[1:]))  # fmt: skip
    away = MirroredRepository(folder_of(found.config_sha256), parameters.target, NOW, 1, 1, dataclasses.replace(found.catalogue, snapshots=copies.repository.snapshots))  # fmt: skip
    plan = retention.retention(
        context(
            parameters, stored_copies=less, repository=after, off_site=dataclasses.replace(PLACE, repositories=(away,))
        )
    )
    assert plan.steps == ()
    assert "1 copies off the server are no longer on the server" in plan.nothing


@pytest.mark.parametrize("whole", [True, False])
def test_old_copies_off_the_server_alone_go_after_a_check_and_only_where_the_server_s_repository_is_whole(
    parameters: Parameters, copies: stored_copies.StoredCopies, found: repository.Repository, *, whole: bool
) -> None:
    assert found.catalogue is not None
    assert copies.repository is not None
    here = copies.repository.snapshots
    old = tuple(dataclasses.replace(one, id=f"old-{one.kind}", time=NOW - dt.timedelta(days=100), run="20260816T130000Z") for one in here)  # fmt: skip
    read = repository.RepositoryRead(here, whole, "Fatal: repository contains errors")
    seen = dataclasses.replace(copies, looked=(), repository=read)
    away = MirroredRepository(folder_of(found.config_sha256), parameters.target, NOW, 1, 1, dataclasses.replace(found.catalogue, snapshots=(*here, *old)))  # fmt: skip
    settings = parameters.model_copy(update={"backup": parameters.backup.model_copy(update={"keep_verified": 1})})
    plan = retention.retention(
        context(settings, stored_copies=seen, repository=dataclasses.replace(found, catalogue=dataclasses.replace(found.catalogue, snapshots=here)),
                off_site=dataclasses.replace(PLACE, repositories=(away,)))
    )  # fmt: skip
    assert [step.name for step in plan.steps] == (["check-repository", "prune-off-host"] if whole else [])
    if whole:
        assert plan.steps[1].local
        assert plan.steps[1].local["gone"] == sorted(one.id for one in old)
    else:
        assert "is not whole (Fatal: repository contains errors)" in plan.nothing


def test_uploads_come_back_from_a_verified_copy(parameters: Parameters, found: repository.Repository) -> None:
    everything = uploads.restore(context(parameters, {"upload": "all"}, repository=found))
    assert [step.name for step in everything.steps] == [
        "fetch-copy",
        "swap",
        "wait-minio",
        "prove-health",
        "prove-ready",
        "compare",
    ]
    assert everything.pinned == {"backup": RUN}
    assert everything.automatic_undo
    one = uploads.restore(context(parameters, {"upload": "a b/'c"}, repository=found))
    assert [step.name for step in one.steps] == ["fetch-copy", "put-object", "clean"]
    assert one.steps[1].command.argv[-1] == "a b/'c"
    empty = dataclasses.replace(found, catalogue=None)
    assert "make one" in uploads.restore(context(parameters, {"upload": "all"}, repository=empty)).nothing
    for values in ({"upload": ""}, {"upload": "x" * 2000}, {"upload": "all", "backup": "last week"}):
        with pytest.raises(ParametersError):
            uploads.restore(context(parameters, values, repository=found))
    with pytest.raises(PreflightError, match=RUN):
        uploads.restore(context(parameters, {"upload": "all", "backup": "20200101T000000Z"}, repository=found))
