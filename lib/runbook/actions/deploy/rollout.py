"""The steps of a rollout: pull, try out beside the old version, set the version, swap, prove; and all of it back. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runbook.actions import stack
from runbook.actions.deploy import rollout_scripts as scripts
from runbook.changes.plan import Step
from runbook.commands import Command
from runbook.facts.compose import compose_argv
from runbook.facts.deploy import ALEMBIC, HISTORY

if TYPE_CHECKING:
    from runbook.facts.deploy import Found
    from runbook.parameters import Parameters, Probe, Release

SWAP_SECONDS = 5.0
PROVE_SECONDS = 15.0
UNDO_HEALTHY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Rollout:
    """One release that is to take the place of another.

    `before`: the variable's text before, None where it did not stand in the file; `from_version` and `from_digest` name what ran.
    """

    parameters: Parameters
    settings: Release
    part: str
    found: Found
    stamp: str
    work: str
    before: str | None
    from_version: str
    from_digest: str
    accepted: str = ""

    @property
    def services(self) -> tuple[str, ...]:
        """The services, in the order in which they depend on each other."""
        return stack.ordered(self.parameters, self.settings.services)

    @property
    def containers(self) -> tuple[str, ...]:
        """Their containers."""
        return stack.containers(self.parameters, self.services)

    @property
    def chosen(self) -> tuple[str, ...]:
        """Words that let Compose see the new version, whatever the environment file says."""
        return ("env", f"{self.settings.variable}={self.found.pinned}")

    def steps(self) -> tuple[Step, ...]:
        """Return all steps, in order."""
        return (
            self.note("begun"),
            self.pull(),
            *((self.schema(),) if self.part == "backend" else ()),
            *((self.try_out(),) if self.settings.try_out else ()),
            self.save_logs(),
            *((self.keep_page(),) if self.settings.assets_change else ()),
            self.set_version(),
            self.swap(),
            self.healthy("wait-healthy", self.parameters.deploy.healthy_seconds),
            *self.restart_others(),
            self.runs(),
            *self.asked(),
            *((self.new_page(),) if self.settings.assets_change else ()),
            self.note("deployed", taken_back=True),
        )

    def note(self, event: str, *, taken_back: bool = False) -> Step:
        """Return the step that adds a line to the history of deploys on the server."""
        fields = {
            "part": self.part, "version": self.found.tag, "digest": self.found.digest,
            "from_version": self.from_version, "from_digest": self.from_digest, "from_variable": self.before,
        }  # fmt: skip
        rest = json.dumps(fields).removeprefix("{")
        words = {"begun": "note what runs now, and what is to run", "deployed": "note that it is deployed", "taken back": "note that it was taken back"}  # fmt: skip
        command = stack.script(scripts.NOTE, HISTORY, self.stamp, event, rest, why=f"{words[event]}, in {HISTORY}")
        done = Command(("bash", "-c", scripts.NOTED, "noted", HISTORY, self.stamp, event), sudo=True)
        step = Step(
            f"note-{event.replace(' ', '-')}", command, affects=HISTORY, no_undo="the history only grows", done=done
        )
        return replace(step, undo=(self.note("taken back"),), no_undo="") if taken_back else step

    def pull(self) -> Step:
        """Return the step that fetches the image while the old version goes on serving."""
        found = self.found
        size = f", {found.pull_bytes / 1e6:.2f} MB" if found.pull_bytes else ""
        command = Command(
            ("bash", "-c", scripts.PULL, "pull", f"{found.repository}:{found.tag}", found.digest),
            timeout=self.parameters.deploy.pull_seconds, changes=True, why=f"pull {found.tag} ({found.digest[:19]}{size}) by its digest",
        )  # fmt: skip
        done = Command(("docker", "image", "inspect", "--format", "{{.Id}}", found.by_digest))
        return Step("pull", command, affects="images", no_undo="the image stays on the server and changes nothing by itself", done=done)  # fmt: skip

    def schema(self) -> Step:
        """Return the proof that the image and the database's schema fit, asked of the image itself."""
        settings, found = self.parameters.database, self.found
        name = f"runbook-schema-{self.stamp.lower()}"
        allowed = found.labels.get(self.parameters.deploy.schema_label or "", "").replace(",", " ")
        words = in_image(self.parameters, self.settings.services[0], name, self.chosen)
        command = Command(
            ("bash", "-c", scripts.SCHEMA, "schema", self.accepted, allowed, found.tag, self.parameters.stack.container(settings.service),
             settings.user, settings.name, name, *words),
            timeout=120, why="the new version and the database's schema fit",
        )  # fmt: skip
        return Step("prove-schema", command)

    def try_out(self) -> Step:
        """Return the step that starts the new version beside the old one, asks it, and removes it again."""
        name = f"runbook-try-{self.stamp.lower()}"
        service = self.settings.try_out or ""
        # no tabs: a shell would complete a file's name where the text is pasted
        probes = "\n".join(
            " ".join((probe.method, ",".join(map(str, probe.expect)), probe.path, probe.body)).strip()
            for probe in self.settings.probes
        )
        start = compose_argv(self.parameters, "run", "--detach", "--no-deps", "--name", name, service)
        seconds = self.parameters.deploy.healthy_seconds
        command = Command(
            ("bash", "-c", scripts.TRY_OUT, "try-out", name, f"{seconds:.0f}", str(self.settings.port), self.parameters.web.name, probes, *self.chosen, *start),
            timeout=seconds * 2 + 60, changes=True, why=f"start {service} {self.found.tag} beside the old one, ask it, and remove it again",
        )  # fmt: skip
        gone = Command(("docker", "rm", "--force", name), changes=True, why="remove the container that was tried out")
        return Step("try-out", command, affects="a container of its own", undo=(Step("remove-tried", gone),), done=self._runs_probe(), output=True)  # fmt: skip

    def save_logs(self) -> Step:
        """Return the step that keeps the old containers' logs, once."""
        last = f"{self.work}/logs/{self.containers[-1]}.state.json"
        step = stack.save_logs(self.parameters, self.services, self.work)
        return replace(step, done=Command(("test", "-e", last), sudo=True), output=False)

    def keep_page(self) -> Step:
        """Return the step that keeps the front page as it is served before."""
        command = stack.script(
            scripts.KEEP_PAGE,
            self.work,
            *_front_page(self.parameters),
            why="keep the page as it is served now, to compare",
        )
        done = Command(("test", "-e", f"{self.work}/page-before"), sudo=True)
        return Step("keep-page", command, affects=self.work, no_undo="the kept page is harmless", done=done)

    def set_version(self) -> Step:
        """Return the step that writes the version into the environment file; its undo brings the whole release back."""
        path = f"{self.parameters.stack.directory}/{self.parameters.stack.env_file}"
        name, value = self.settings.variable, self.found.pinned
        command = stack.script(
            scripts.SET_VERSION,
            path,
            name,
            value,
            "set",
            why=f"set {name} to {self.found.tag} with its digest in {path}",
        )
        done = Command(("grep", "-qxF", f"{name}={value}", path), sudo=True)
        return Step("set-version", command, affects=path, undo=self.back(path), done=done)

    def back(self, path: str) -> tuple[Step, ...]:
        """Return the steps that bring the version before back: the file's line, the containers, the proof."""
        name = self.settings.variable
        shown = self.before if self.before is not None else "nothing, as before"
        how = ("", "unset") if self.before is None else (self.before, "set")
        line = stack.script(scripts.SET_VERSION, path, name, *how, why=f"set {name} back to {shown}")
        return (
            Step("put-version-back", line, affects=path),
            Step("swap-back", self._up(f"make {', '.join(self.services)} from the version before"), affects=", ".join(self.services)),
            stack.healthy(self.parameters, self.services, name="wait-back", seconds=UNDO_HEALTHY_SECONDS),
            *(replace(step, name=f"{step.name}-back") for step in self.restart_others()),
            *stack.served(self.parameters, prefix="prove-back"),
        )  # fmt: skip

    def swap(self) -> Step:
        """Return the step that makes the containers from the new version; nothing is pulled any more."""
        return Step(
            "swap", self._up(f"make {', '.join(self.services)} from {self.found.tag}"), affects=", ".join(self.services),
            downtime_seconds=SWAP_SECONDS, no_undo="the way back is that of set-version: the line, then the containers",
            done=self._runs_probe(), evidence=stack.evidence(self.parameters, self.services),
        )  # fmt: skip

    def _up(self, why: str) -> Command:
        # not --no-deps: Compose then hashes the service without its dependencies, and the next plain `up` makes it anew
        return stack.compose(self.parameters, "up", "--detach", "--pull", "never", *self.services, why=why)

    def healthy(self, name: str, seconds: float) -> Step:
        """Return the proof that the containers come up; it ends early when one crashes."""
        tuned = {service.name: service.well_tuned_health_check is None for service in self.parameters.stack.services}
        words = (
            box if tuned[service] else f"{box}:running"
            for service, box in zip(self.services, self.containers, strict=True)
        )
        command = Command(
            ("bash", "-c", scripts.HEALTHY, "healthy", f"{seconds:.0f}", *words), timeout=seconds + 30,
            why=f"up within {seconds:.0f} s, without a crash: {', '.join(self.services)}",
        )  # fmt: skip
        return Step(name, command, evidence=stack.evidence(self.parameters, self.services))

    def restart_others(self) -> tuple[Step, ...]:
        """Return the restarts of services that would go on with what they hold of the old version."""
        steps: list[Step] = []
        for name in self.settings.restart_after:
            restart = stack.compose(
                self.parameters, "restart", name, why=f"restart {name}, which may hold on to the old version"
            )
            steps += [
                Step(f"restart-{name}", restart, affects=name, downtime_seconds=2, no_undo="a restart keeps the container and its data"),
                stack.healthy(self.parameters, [name], name=f"wait-{name}", seconds=UNDO_HEALTHY_SECONDS),
            ]  # fmt: skip
        return tuple(steps)

    def runs(self) -> Step:
        """Return the proof that what runs is the image of the digest, and not one of the same name."""
        probe = self._runs_probe()
        return Step("prove-digest", Command(probe.argv, why="what runs is the image of this digest"))

    def _runs_probe(self) -> Command:
        return Command(("bash", "-c", scripts.RUNS, "runs", self.found.by_digest, *self.containers))

    def asked(self) -> tuple[Step, ...]:
        """Return the probes of the release, asked through the front door, as a visitor on the server itself."""
        web = self.parameters.web
        return tuple(
            Step(f"prove-answer-{number}", _ask(self.parameters, probe), within_seconds=PROVE_SECONDS)
            for number, probe in enumerate(self.settings.probes, start=1)
            if web.url
        )

    def new_page(self) -> Step:
        """Return the proof that the new build is served, all its assets with it."""
        box = self.parameters.stack.container(self.settings.services[0])
        words = (self.work, *_front_page(self.parameters), box, str(self.settings.port))
        command = Command(
            ("bash", "-c", scripts.NEW_PAGE, "new-page", *words),
            sudo=True,
            timeout=120,
            why="a new page is served, and all its assets",
        )
        return Step("prove-page", command, output=True)


def in_image(parameters: Parameters, service: str, name: str, chosen: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the words that run alembic in a container of its own, made as the service's is; `chosen` names another version."""
    run = ("run", "--rm", "--no-deps", "--no-TTY", "--name", name, "--entrypoint", ALEMBIC[0], service, *ALEMBIC[1:])
    return (*chosen, *compose_argv(parameters, *run))


def _resolve(parameters: Parameters) -> str:
    url = urlsplit(parameters.web.url)
    port = url.port or (443 if url.scheme == "https" else 80)
    return f"{url.hostname}:{port}:127.0.0.1"


def _front_page(parameters: Parameters) -> tuple[str, str]:
    return _resolve(parameters), f"{parameters.web.url}/"


def _ask(parameters: Parameters, probe: Probe) -> Command:
    expect = " ".join(map(str, probe.expect))
    return Command(
        ("bash", "-c", scripts.ASK, "ask", probe.method, expect, probe.body, _resolve(parameters), f"{parameters.web.url}{probe.path}"),
        why=f"{probe.method} {probe.path} is answered with {expect} through the front door",
    )  # fmt: skip
