"""Plans of deploys as exact commands, and what is refused before anything is touched. What the server said was captured."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from captured import Captured

from runbook.actions.deploy import release
from runbook.changes.apply import worse_than
from runbook.changes.instructions import shell_text
from runbook.changes.plan import Context, Plan
from runbook.checks import deploy as check
from runbook.commands import Command, Result
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Facts, Missing, gather
from runbook.facts import deploy as facts
from runbook.facts.backup import Copy
from runbook.facts.compose import ComposeFile
from runbook.facts.database import Database
from runbook.facts.dump_candidates import NewestDump
from runbook.facts.logs import parse_logs
from runbook.verdict import State, Verdicts

if TYPE_CHECKING:
    from runbook.facts.deploy import Found
    from runbook.parameters import Parameters

STAMP = "20261124T120000Z"
NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
OLD, NEW = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"
NAME = "localhost:5000/pazpaz-backend"


@pytest.fixture(scope="module")
def deployed(parameters: Parameters) -> Found:
    """1.1.0 runs, 1.0.0 ran before: as captured after a deploy."""
    gate = Captured(Path("deploy/backend_before-after-a-deploy.out"))
    found: Found = gather(gate, parameters, [facts.backend_before({})])["release"]
    assert not isinstance(found, Missing), found
    return found


@pytest.fixture
def found(deployed: Found) -> Found:
    """1.0.0 runs, 1.1.0 is wanted and only in the registry."""
    return dataclasses.replace(
        deployed, version="1.1.0", variable="1.0.0", now_tag="1.0.0", now_digest=OLD, running={"api": "old", "arq-worker": "old"}, reference=f"{NAME}:1.1.0",
        digest=NEW, there="", images_now=(f"{NAME}:1.0.0",), images_wanted=(f"{NAME}:1.1.0",), schema=None, history=(), earlier=(), pull_bytes=1_000_000,
    )  # fmt: skip


def lines(*messages: str) -> Facts:
    """The log of an api that logged these errors."""
    said = "".join(
        f'2026-11-24T12:00:0{n}.0Z {{"level": "ERROR", "message": "{text}"}}\n' for n, text in enumerate(messages)
    )
    result = Result(Command(("docker", "logs")), 0, said, "", 0.1)
    return Facts({"release_logs": parse_logs({"api": result}, "1h")}, {}, seconds=0)


def test_a_kind_of_error_that_was_not_there_before_stands_out(parameters: Parameters) -> None:
    before = Verdicts.of(check.errors(lines("no such client 1", "no such client 2", "no such client 3"), parameters))
    same = Verdicts.of(check.errors(lines(*[f"no such client {n}" for n in range(9)]), parameters))
    assert worse_than(before, same) == []
    new = Verdicts.of(check.errors(lines(*[f"table {n} is gone" for n in range(3)]), parameters))
    assert worse_than(before, new) == [
        "api: table <n> is gone: error lines of one kind in the log over its limit (CRITICAL)"
    ]
    one = Verdicts.of(check.errors(lines("no such client 1"), parameters))
    assert worse_than(one, same, only_new=["deploy.errors"]) == [], "more of a kind that was there is not a new kind"
    assert worse_than(one, new, only_new=["deploy.errors"]) == worse_than(before, new)
    few = Verdicts.of(check.errors(lines("table 1 is gone"), parameters))
    assert (worse_than(before, few), few.state) == ([], State.WARNING)
    walk = Verdicts.of(check.errors(lines(*["NoSuchKey: runbook-walk-17-ab"] * 5), parameters))
    assert walk.state is State.OK, "our own walk is no news of the release"


def context(
    parameters: Parameters,
    found: Found,
    revision: str = "0004",
    age_hours: float = 1,
    dump_of: str = "pazpaz",
    **values: Any,
) -> Context:
    newest = Copy(
        "/opt/pazpaz/backups/a.dump",
        5_000_000,
        NOW - dt.timedelta(hours=age_hours),
        "0640",
        "pazpaz",
        has_checksum=True,
    )
    would = {service.container: "Running" for service in parameters.stack.services}
    known = {
        "release": found,
        "copies": {"database": (newest,)},
        "newest_dump": NewestDump(newest.path, dump_of, (), ""),
        "compose": ComposeFile(valid=True, error="", would=would, unset=False),
        "database": Database({"revision": [{"revision": revision}]}),
    }
    return Context(Facts(known, {}, seconds=0, begun=NOW.timestamp()), Verdicts(()), parameters, values, STAMP)


def names(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps]


def argv(plan: Plan, name: str) -> tuple[str, ...]:
    """A step's command without its script."""
    words = next(step.command.argv for step in plan.steps if step.name == name)
    return words[3:] if words[:2] == ("bash", "-c") else words


def test_the_image_is_pulled_and_tried_out_before_anything_that_runs_is_touched(
    parameters: Parameters, found: Found
) -> None:
    plan = release.backend(context(parameters, found))
    assert names(plan) == [
        "note-begun", "pull", "prove-schema", "try-out", "save-logs", "set-version", "swap", "wait-healthy", "prove-digest",
        "prove-answer-1", "prove-answer-2", "prove-answer-3", "note-deployed",
    ]  # fmt: skip
    assert argv(plan, "pull") == ("pull", f"{NAME}:1.1.0", NEW)
    assert argv(plan, "set-version")[1:] == ("/opt/pazpaz/.env.production", "BACKEND_VERSION", f"1.1.0@{NEW}", "set")
    swap = argv(plan, "swap")
    assert swap[swap.index("up") :] == ("up", "--detach", "--pull", "never", "api", "arq-worker")
    assert "--no-deps" not in swap, (
        "Compose would hash the services without what they depend on, and make them anew later"
    )
    tried = argv(plan, "try-out")
    assert f"BACKEND_VERSION=1.1.0@{NEW}" in tried
    assert tried[tried.index("run") :] == (
        "run",
        "--detach",
        "--no-deps",
        "--name",
        f"runbook-try-{STAMP.lower()}",
        "api",
    )
    assert "POST 401 /api/v1/auth/login {" in tried[5]
    assert "\t" not in shell_text(plan), "a shell would complete a file's name where it is pasted"
    assert plan.automatic_undo
    assert plan.pinned == {"version": f"1.1.0@{NEW}"}


def test_the_way_back_is_the_line_before_and_the_containers_made_from_it(parameters: Parameters, found: Found) -> None:
    plan = release.backend(context(parameters, found))
    back = next(step for step in plan.steps if step.name == "set-version").undo
    assert [step.name for step in back] == [
        "put-version-back",
        "swap-back",
        "wait-back",
        "prove-back-health",
        "prove-back-ready",
    ]
    assert back[0].command.argv[4:] == ("/opt/pazpaz/.env.production", "BACKEND_VERSION", "1.0.0", "set")
    unset = release.backend(context(parameters, dataclasses.replace(found, variable=None)))
    back = next(step for step in unset.steps if step.name == "set-version").undo
    assert back[0].command.argv[4:] == ("/opt/pazpaz/.env.production", "BACKEND_VERSION", "", "unset")


def test_a_resumed_run_goes_back_to_what_ran_before_the_first_one(parameters: Parameters, found: Found) -> None:
    begun = {
        "run": STAMP,
        "event": "begun",
        "part": "backend",
        "from_variable": "1.0.0",
        "from_version": "1.0.0",
        "from_digest": OLD,
    }
    half = dataclasses.replace(
        found, version=f"1.1.0@{NEW}", variable=f"1.1.0@{NEW}", now_tag="1.1.0", now_digest=NEW, there="new", running={"api": "new", "arq-worker": "old"},
        images_now=(f"{NAME}:1.1.0@{NEW}",), images_wanted=(f"{NAME}:1.1.0@{NEW}",), history=(begun,),
    )  # fmt: skip
    plan = release.backend(context(parameters, half))
    back = next(step for step in plan.steps if step.name == "set-version").undo
    assert back[0].command.argv[6] == "1.0.0"
    assert json.loads("{" + argv(plan, "note-deployed")[-1])["from_digest"] == OLD


def test_what_runs_already_is_nothing_to_do(parameters: Parameters, found: Found) -> None:
    same = dataclasses.replace(
        found, there="old", digest=OLD, version="1.0.0", images_wanted=found.images_now, reference=f"{NAME}:1.0.0"
    )
    assert release.backend(context(parameters, same)).nothing.startswith("backend runs 1.0.0")


@pytest.mark.parametrize(
    ("change", "more", "reason"),
    [
        ({"registry_error": "no such manifest: x"}, {}, "there is no 1.1.0 in the registry"),
        ({"registry_error": "connection refused"}, {}, "the registry cannot be asked for 1.1.0: connection refused"),
        ({"free_bytes": 2_999_999}, {}, "the disk is too full for the pull: /var/lib/docker has 3 MB free, and the layers need about 3 MB"),
        ({"images_wanted": (f"{NAME}:1.0.0",)}, {}, "does not take the version from BACKEND_VERSION"),
        ({"images_wanted": ("a:1", "b:1")}, {}, "do not run one image: a:1, b:1"),
        ({"variable": "1.0 # old"}, {}, "could not be put back"),
        ({"compose_error": "yaml: line 3"}, {}, "Compose refuses its files: yaml: line 3"),
        ({}, {"age_hours": 26.1}, "26.1 hours old, more than 26"),
        ({}, {"age_hours": 1, "backup_hours": 0.5}, "1.0 hours old, more than 0.5"),
    ],
)  # fmt: skip
def test_what_must_be_there_is_checked_and_not_assumed(
    parameters: Parameters, found: Found, change: dict[str, Any], more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(PreflightError) as refused:
        release.backend(context(parameters, dataclasses.replace(found, **change), **more))
    assert reason in refused.value.reason
    assert refused.value.remedy


def test_room_is_wanted_only_for_layers_that_are_not_there(parameters: Parameters, found: Found) -> None:
    assert release.backend(context(parameters, dataclasses.replace(found, free_bytes=3_000_000))).steps
    here = dataclasses.replace(found, free_bytes=0, there="new", registry_error="connection refused")
    assert release.backend(context(parameters, here)).steps, "nothing is pulled, so neither room nor registry is needed"


def test_a_dependency_that_would_be_made_anew_is_brought_in_order_first(parameters: Parameters, found: Found) -> None:
    asked = context(parameters, found)
    asked.facts.compose.would["pazpaz-db"] = "Recreate"
    with pytest.raises(PreflightError, match="db: the backend depends on it"):
        release.backend(asked)
    asked.facts.compose.would["pazpaz-db"], asked.facts.compose.would["pazpaz-nginx"] = "Running", "Recreate"
    assert release.backend(asked).steps


def test_an_image_may_be_neither_ahead_of_nor_behind_the_schema(parameters: Parameters, deployed: Found) -> None:
    ahead = dataclasses.replace(
        deployed, schema=deployed.schema_now, reference=f"{NAME}:1.1.0", running={"api": "x", "arq-worker": "x"}
    )
    with pytest.raises(PreflightError) as refused:
        release.backend_rollback(context(parameters, ahead, revision="0003"))
    assert refused.value.reason.startswith(
        "1.1.0 needs the database at revision 0004, and it is at 0003; pending: 0004 When an"
    )
    with pytest.raises(PreflightError) as refused:
        release.backend_rollback(context(parameters, deployed, revision="0004"))
    assert refused.value.reason.startswith(
        "the database is at revision 0004, which 1.0.0 (made for 0003) does not know"
    )
    assert release.backend_rollback(
        context(parameters, deployed, revision="0004", to="", accept_schema="0004")
    ).pinned == {"to": deployed.pinned}
    with pytest.raises(PreflightError):
        release.backend_rollback(context(parameters, deployed, revision="0005", accept_schema="0004"))
    labelled = parameters.model_copy(update={"deploy": parameters.deploy.model_copy(update={"schema_label": "schema"})})
    declares = dataclasses.replace(deployed, labels={"schema": "0003,0004"})
    assert release.backend_rollback(context(labelled, declares, revision="0004", to="")).steps


def test_without_an_earlier_version_there_is_nothing_to_go_back_to(parameters: Parameters, found: Found) -> None:
    none = dataclasses.replace(found, version="", reference="", digest="")
    assert "no earlier version" in release.backend_rollback(context(parameters, none, to="")).nothing
    with pytest.raises(PreflightError, match=r"2\.0.* was never deployed here"):
        release.backend_rollback(context(parameters, none, to="2.0"))


def test_a_dump_of_another_database_is_no_backup(parameters: Parameters, found: Found) -> None:
    with pytest.raises(PreflightError, match="it is a dump of the database other, not of pazpaz"):
        release.backend(context(parameters, found, dump_of="other"))


def test_a_frontend_needs_no_backup_restarts_nginx_and_must_change_the_page(
    parameters: Parameters, found: Found
) -> None:
    asked = context(parameters, dataclasses.replace(found, running={"frontend": "old"}, needs=()), age_hours=1000)
    plan = release.frontend(asked)
    assert names(plan) == [
        "note-begun", "pull", "try-out", "save-logs", "keep-page", "set-version", "swap", "wait-healthy", "restart-nginx", "wait-nginx",
        "prove-digest", "prove-answer-1", "prove-page", "note-deployed",
    ]  # fmt: skip
    assert argv(plan, "wait-healthy")[2:] == ("pazpaz-frontend:running",), (
        "the word of a badly tuned health check is worth nothing"
    )


@pytest.mark.parametrize("given", ["", "a b", "1.0@sha256:12", "$(id)", "-x", "a/b"])
def test_what_cannot_be_a_version_is_refused_before_the_server_is_asked(parameters: Parameters, given: str) -> None:
    with pytest.raises(ParametersError):
        facts.backend({"version": given}).commands(parameters)
