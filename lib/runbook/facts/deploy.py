"""A release on the server: what the files name, what the registry holds, what runs, and what was deployed before.

One script on the server answers (release_probe.py): its questions depend on each other, and lines of the environment file
other than the one that names the version stay there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook.commands import Command
from runbook.errors import ParametersError, ParseError
from runbook.facts import STATE_FOLDER, Fact
from runbook.facts.compose import compose_argv
from runbook.facts.database import psql
from runbook.facts.logs import Logs, parse_logs
from runbook.facts.revisions import Migration, Revisions, read_migration, read_revisions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters, Release

PROBE = Path(__file__).with_name("release_probe.py")
HISTORY = f"{STATE_FOLDER}/deploys.jsonl"
ALEMBIC = ("alembic",)
# a tag as the registry's rules have it, with a digest or without (distribution reference grammar)
VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(@sha256:[0-9a-f]{64})?", re.ASCII)
REVISION = re.compile(r"[A-Za-z0-9_-]{0,64}", re.ASCII)
LOOK_BACK = "1h"


@dataclass(frozen=True, slots=True)
class Deployed:
    """A version that was deployed before: tag (it may be unknown) and digest."""

    version: str
    digest: str

    @property
    def pinned(self) -> str:
        """The variable's value that names just this image."""
        return f"{self.version or 'unknown'}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Stranger:
    """A database's revision that neither the running nor the wanted image knows.

    `came` is when it came, as far as can be told ("after 2026-11-27 01:08", UTC), `asked` the tags on the server that were asked, `knowing` those that know it.
    """

    at: str
    came: str
    asked: tuple[str, ...]
    knowing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a release would be made of, and what is there now.

    Attributes:
        version: the version asked for, as tag or tag@digest; empty where none was asked for, or none was found.
        variable: the variable's text in the environment file; None where it does not stand there.
        running: image id by service; "" where there is no container.
        now: image id, digest and tag of what runs; each "" where it has none.
        reference: repository:tag wanted, without digest. `digest`: what the tag means in the registry now.
        there: image id where the wanted image is on the server already, else "".
        pull_bytes: packed size of the layers that are not there yet; None where the registry did not say.
        schema: revisions that the wanted image knows; None where it is not on the server, or has no migrations (`schema_error`).
        earlier: versions deployed before, newest first.
        images_now, images_wanted: the images that Compose resolves, now and with the version; more than one is not one release.
        stranger: the database's revision where neither image knows it, else None.
        needs: other services that these depend on; Compose brings them up together.
    """

    version: str
    variable: str | None
    running: dict[str, str]
    now_id: str
    now_digest: str
    now_tag: str
    reference: str
    digest: str
    there: str
    labels: dict[str, str]
    pull_bytes: int | None
    free_bytes: int
    root: str
    images_now: tuple[str, ...]
    images_wanted: tuple[str, ...]
    needs: tuple[str, ...]
    compose_error: str
    registry_error: str
    schema: Revisions | None
    schema_error: str
    schema_now: Revisions | None
    history: tuple[dict[str, Any], ...] = field(repr=False)
    earlier: tuple[Deployed, ...] = ()
    migration: Migration | None = None
    stranger: Stranger | None = None

    @property
    def tag(self) -> str:
        """The wanted tag."""
        return self.reference.rpartition(":")[2]

    @property
    def repository(self) -> str:
        """The wanted image without tag and digest."""
        return self.reference.rpartition(":")[0]

    @property
    def pinned(self) -> str:
        """The variable's value for the wanted image: tag and digest."""
        return f"{self.tag}@{self.digest}"

    @property
    def by_digest(self) -> str:
        """The wanted image named by its digest."""
        return f"{self.repository}@{self.digest}"

    @property
    def runs_already(self) -> bool:
        """Whether every service runs the wanted image."""
        return bool(self.there) and all(image == self.there for image in self.running.values())


def checked_version(text: str, *, may_be_empty: bool) -> str:
    """Given a notebook's `version`, return it. Raises ParametersError for what cannot be a tag."""
    given = text.strip()
    if not given and may_be_empty:
        return ""
    if not VERSION.fullmatch(given):
        problem = f"{given[:80]!r} is no version" if given else "it is empty"
        raise ParametersError(
            "version", [problem], remedy='name the tag in the registry, such as "1.1.0", or "1.1.0@sha256:..."'
        )
    return given


def settings_of(parameters: Parameters, part: str) -> Release:
    """Given "backend" or "frontend", return its settings."""
    return parameters.deploy.backend if part == "backend" else parameters.deploy.frontend


def _release(
    part: str,
    wanted: str,
    *,
    earlier: bool = False,
    may_be_empty: bool = False,
    migration: Mapping[str, object] | None = None,
) -> Fact[Found]:
    """Return the fact. It raises ParametersError for what cannot be a version before the server is asked."""

    def ask(parameters: Parameters) -> dict[str, Command]:
        version = checked_version(wanted, may_be_empty=may_be_empty)
        settings = settings_of(parameters, part)
        unknown = sorted(set(settings.services) - {service.name for service in parameters.stack.services})
        if unknown:
            raise ParametersError(
                f"deploy.{part}.services", [f"{', '.join(unknown)}: no such service"], remedy="name services of `stack`"
            )
        asked = {
            "part": part,
            "version": version,
            "earlier": earlier,
            "variable": settings.variable,
            "compose": compose_argv(parameters),
            "services": settings.services,
            "containers": {name: parameters.stack.container(name) for name in settings.services},
            "env_file": f"{parameters.stack.directory}/{parameters.stack.env_file}",
            "history": HISTORY,
            "alembic": ALEMBIC if part == "backend" else (),
            "migration": migration,
            "psql": psql(parameters, stdin="").argv[:-2],
        }
        argv = ("python3", "-", json.dumps(asked))
        return {"probe": Command(argv, stdin=PROBE.read_text(encoding="utf-8"), sudo=True, timeout=150, why="the release, its registry and its history")}  # fmt: skip

    return Fact("release", ask, parse_release)


def backend(values: Mapping[str, Any]) -> Fact[Found]:
    """Given a notebook's `version`, return the fact about this release of the backend."""
    return _release("backend", str(values.get("version", "")))


def frontend(values: Mapping[str, Any]) -> Fact[Found]:
    """Given a notebook's `version`, return the fact about this release of the frontend."""
    return _release("frontend", str(values.get("version", "")))


def backend_before(values: Mapping[str, Any]) -> Fact[Found]:
    """Given a notebook's `to` (tag, digest, or empty for the last), return the fact about that earlier release."""
    wanted = str(values.get("to", "")).strip().removeprefix("sha256:")
    return _release("backend", wanted, earlier="@" not in wanted, may_be_empty=True)


def upgrade(values: Mapping[str, Any]) -> Fact[Found]:
    """Given a notebook's `version` (empty: the deployed one) and `to` (empty: its newest), return the fact about the way up."""
    wanted = {"up": True, "to": _revision(values)}
    return _release("backend", str(values.get("version", "")), may_be_empty=True, migration=wanted)


def downgrade(values: Mapping[str, Any]) -> Fact[Found]:
    """Given a notebook's `version` (empty: the deployed one) and `to` (empty: one step), return the fact about the way down."""
    wanted = {"up": False, "to": _revision(values)}
    return _release("backend", str(values.get("version", "")), may_be_empty=True, migration=wanted)


def _revision(values: Mapping[str, Any]) -> str:
    given = str(values.get("to", "")).strip()
    if not REVISION.fullmatch(given):
        raise ParametersError(
            "to",
            [f"{given[:80]!r} is no revision"],
            remedy='name it as alembic does, such as "0003", or leave it empty',
        )
    return given


def parse_release(results: Mapping[str, Result], _parameters: Parameters) -> Found:
    """Read the script's answer."""
    text = results["probe"].stdout.strip()
    if not text.startswith("{"):
        raise ParseError("the answer about the release", text[:200] or "(nothing)")
    told = json.loads(text)
    now, there, manifest = told["now"] or {}, told["there"] or {}, told["manifest"]
    references = sorted(set(told["wanted"].get("images", {}).values()))
    reference = references[0].partition("@")[0] if references else ""
    running = {name: (box or {}).get("id", "") for name, box in told["running"].items()}
    here = told["manifest_now"].get("layers", {}) if now else {}
    layers = manifest.get("layers")
    schema = told.get("schema", {})
    strange = told.get("stranger") or {}
    return Found(
        version=told["version"],
        variable=told["variable"],
        running=running,
        now_id=now.get("id", ""),
        now_digest=next((name.partition("@")[2] for name in now.get("digests") or ()), ""),
        now_tag=_tag(next((box["reference"] for box in told["running"].values() if box), "")),
        reference=reference,
        digest=told["digest"],
        there=there.get("id", ""),
        labels=there.get("labels") or {},
        pull_bytes=None if layers is None else sum(size for name, size in layers.items() if name not in here),
        free_bytes=told["free_bytes"],
        root=told["root"],
        images_now=tuple(sorted(set(told["compose"].get("images", {}).values()))),
        images_wanted=tuple(references),
        needs=tuple(told["compose"].get("needs", ())),
        compose_error=told["compose"].get("error", "") or told["wanted"].get("error", ""),
        registry_error=manifest.get("error", ""),
        schema=read_revisions(schema),
        schema_error=schema.get("error", ""),
        schema_now=read_revisions(told.get("schema_now", {})),
        history=tuple(told["history"]),
        migration=read_migration(told["migration"]) if "migration" in told else None,
        stranger=Stranger(strange["at"], strange["came"], tuple(strange["asked"]), tuple(strange["knowing"])) if strange else None,
        earlier=tuple(Deployed(version or "", digest) for version, digest in told.get("earlier", ())),
    )  # fmt: skip


def _tag(reference: str) -> str:
    """Return a reference's tag; "" where it has none.

    >>> _tag("localhost:5000/name:1.0@sha256:00"), _tag("localhost:5000/name")
    ('1.0', '')
    """
    plain = reference.partition("@")[0]
    found = plain.rpartition(":")[2]
    return found if ":" in plain and "/" not in found else ""


def _errors(part: str) -> Fact[Logs]:
    def ask(parameters: Parameters) -> dict[str, Command]:
        return {
            name: Command(
                ("docker", "logs", "--timestamps", "--since", LOOK_BACK, "--tail", "20000", "--", parameters.stack.container(name)),
                timeout=60, limit=32 * 1024 * 1024,
            )
            for name in settings_of(parameters, part).services
        }  # fmt: skip

    return Fact(
        "release_logs", ask, lambda results, _parameters: parse_logs(results, LOOK_BACK), optional=frozenset({"*"})
    )


backend_logs = _errors("backend")
frontend_logs = _errors("frontend")
