"""What the plans of several subsystems are made of: compose commands, waits until healthy, proofs from the user's side, copies.

Pure: each function returns commands or steps as data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runbook.changes.plan import Step
from runbook.commands import Command
from runbook.errors import ParametersError
from runbook.facts.compose import compose_argv

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runbook.parameters import Parameters

HEALTHY_SECONDS = 150.0
COMPOSE_SECONDS = 300.0
PAGE_SECONDS = 60.0
# "name" must be healthy where it has a health check, and run where it has none; "name:running" must only run
HEALTHY = """
for word in "$@"; do
  name=${word%:running}
  seen=$(docker inspect --format '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' "$name") || exit 1
  case "$word/$seen" in
    *:running/running\\ *) ;;
    */running\\ healthy|*/running\\ none) ;;
    *) echo "$name: $seen" >&2; exit 1 ;;
  esac
done
"""
# what was saved stays: when a run goes on, some of the containers are new ones already. The state stands for a whole log.
SAVE_LOGS = """
set -euo pipefail
folder=$1; shift
install -d -m 700 "$folder"
for name in "$@"; do
  if [ ! -e "$folder/$name.state.json" ] && docker inspect "$name" >/dev/null 2>&1; then
    docker logs --timestamps "$name" > "$folder/$name.log" 2>&1; sync -f "$folder"
    docker inspect --format '{{json .State}}' "$name" > "$folder/.part"; mv -T "$folder/.part" "$folder/$name.state.json"
  fi
done
sync -f "$folder"
du -sh "$folder" | cut -f1
"""
SAVED = 'folder=$1; shift; for name in "$@"; do [ -e "$folder/$name.state.json" ] || exit 1; done'
KEEP = """
set -euo pipefail
folder=$1; shift
install -d -m 700 "$folder"
for path in "$@"; do
  copy=$folder$path
  if [ -e "$copy" ] || [ -L "$copy" ]; then continue; fi
  mkdir -p "$(dirname "$copy")"
  rm -rf "$copy.part"
  cp -a "$path" "$copy.part"
  sync -f "$copy.part"
  mv -T "$copy.part" "$copy"
done
"""
PUT_BACK = """
set -euo pipefail
folder=$1; shift
for path in "$@"; do
  copy=$folder$path
  if [ ! -e "$copy" ]; then echo "$path: no copy was kept, so it was not changed" ; continue; fi
  rm -rf "$path.runbook-part"
  cp -a "$copy" "$path.runbook-part"
  if [ -d "$path" ]; then rm -rf "$path"; fi
  mv -T "$path.runbook-part" "$path"
  sync -f "$path"
done
"""


def compose(parameters: Parameters, *words: str, why: str, seconds: float = COMPOSE_SECONDS) -> Command:
    """Return a `docker compose` command that changes something, run as the login user (whose registry login it uses)."""
    argv = compose_argv(parameters, *words, options=("--progress", "plain"))
    return Command(argv, timeout=seconds, changes=True, why=why)


def script(text: str, *words: str, why: str, seconds: float = 60, sudo: bool = True, changes: bool = True) -> Command:
    """Return a command that runs a bash script as root, with `words` as its arguments; values never stand in the text."""
    return Command(("bash", "-c", text, "runbook", *words), sudo=sudo, timeout=seconds, changes=changes, why=why)


def ordered(parameters: Parameters, wanted: Iterable[str], *, backwards: bool = False) -> tuple[str, ...]:
    """Given services, return them in the order in which they depend on each other (`stack.start_order`), each once."""
    names = [service.name for service in parameters.stack.services]
    order = [*parameters.stack.start_order, *(name for name in names if name not in parameters.stack.start_order)]
    chosen = set(wanted)
    found = tuple(name for name in order if name in chosen)
    return found[::-1] if backwards else found


def chosen_services(parameters: Parameters, text: str) -> tuple[str, ...]:
    """Given "db, api" (empty: all), return the services in order. Raises ParametersError that names the unknown ones."""
    known = [service.name for service in parameters.stack.services]
    wanted = [word.strip() for word in text.split(",") if word.strip()] or known
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        problem = f"{', '.join(unknown)[:120]}: no such service; there are: {', '.join(known)}"
        raise ParametersError("services", [problem], remedy="name services of the params file, separated by commas")
    return ordered(parameters, wanted)


def containers(parameters: Parameters, services: Iterable[str]) -> tuple[str, ...]:
    """Given services, return their containers' names."""
    return tuple(parameters.stack.container(name) for name in services)


def healthy_probe(parameters: Parameters, services: Iterable[str]) -> Command:
    """Return the probe that exits 0 when the services' containers run and are healthy.

    A service whose health check is known to be badly tuned must only run: its word is worth nothing.
    """
    tuned = {service.name: service.well_tuned_health_check is None for service in parameters.stack.services}
    words = (
        parameters.stack.container(name) if tuned[name] else f"{parameters.stack.container(name)}:running"
        for name in services
    )
    return Command(("bash", "-c", HEALTHY, "healthy", *words), why="running and healthy")


def healthy(
    parameters: Parameters, services: Sequence[str], *, name: str = "wait-healthy", seconds: float = HEALTHY_SECONDS
) -> Step:
    """Return the wait until services are healthy; when they are not in time, their logs are the evidence."""
    probe = healthy_probe(parameters, services)
    are = "runs and is" if len(services) == 1 else "run and are"
    command = Command(probe.argv, why=f"wait until {', '.join(services)} {are} healthy")
    return Step(name, command, within_seconds=seconds, evidence=evidence(parameters, services))


def evidence(parameters: Parameters, services: Iterable[str], *, lines: int = 40) -> tuple[Command, ...]:
    """Return what to look at when services do not come up: their state and last lines."""
    found = []
    for container in containers(parameters, services):
        shown = "{{.State.Status}}, exit code {{.State.ExitCode}}, restarts {{.RestartCount}}, out of memory {{.State.OOMKilled}}, {{.State.Error}}"
        found += [
            Command(("docker", "inspect", "--format", shown, container), why=f"state of {container}"),
            Command(("sh", "-c", 'exec docker logs --tail "$0" "$1" 2>&1', str(lines), container), why=f"last lines of {container}"),
        ]  # fmt: skip
    return tuple(found)


def page(parameters: Parameters, path: str, *, name: str, why: str, seconds: float = PAGE_SECONDS) -> Step:
    """Return the wait until a page answers with 2xx through the front door, as a visitor on the server itself gets it.

    The certificate is not judged here: an expired one must not undo what has nothing to do with it.
    """
    url = urlsplit(parameters.web.url)
    port = url.port or (443 if url.scheme == "https" else 80)
    host = url.hostname or ""
    argv = ("curl", "--fail", "--silent", "--show-error", "--insecure", "--max-time", "5", "--output", "/dev/null",
            "--resolve", f"{host}:{port}:127.0.0.1", f"{parameters.web.url}{path}")  # fmt: skip
    return Step(name, Command(argv, why=why), within_seconds=seconds)


def served(parameters: Parameters, *, prefix: str = "prove") -> tuple[Step, ...]:
    """Return the proofs that users are served: the health answer, and readiness of everything behind it where there is one."""
    web = parameters.web
    steps = [page(parameters, web.health_path, name=f"{prefix}-health", why="the api answers through the front door")]
    if web.ready_path:
        steps.append(page(parameters, web.ready_path, name=f"{prefix}-ready", why="everything behind the api is ready"))
    return tuple(steps)


def save_logs(parameters: Parameters, services: Iterable[str], work: str) -> Step:
    """Return the step that keeps logs and last state of containers, which go away with them."""
    folder, names = f"{work}/logs", containers(parameters, services)
    command = script(SAVE_LOGS, folder, *names, why=f"save the logs to {folder}", seconds=300)
    done = Command(("bash", "-c", SAVED, "saved", folder, *names), sudo=True)
    kept = "the saved logs stay, for you to read"
    return Step("save-logs", command, affects=folder, no_undo=kept, done=done, output=True)


def keep(work: str, *paths: str, name: str = "keep-copies") -> Step:
    """Return the step that copies files or folders (owners, modes and times kept) to the run's folder, as undo material.

    A copy that is there stays: a resumed run must not take the changed file for the one before.
    """
    command = script(KEEP, f"{work}/kept", *paths, why=f"keep copies of {', '.join(paths)}", seconds=300)
    return Step(name, command, affects=f"{work}/kept", no_undo=f"the copies stay in {work}/kept")


def put_back(work: str, *paths: str, name: str = "put-back") -> Step:
    """Return the step that brings kept copies back to their places; what was not kept was not changed."""
    command = script(PUT_BACK, f"{work}/kept", *paths, why=f"put back {', '.join(paths)}", seconds=300)
    return Step(name, command, affects=", ".join(paths), no_undo="run the procedure again")
