"""Disaster recovery: from a bare host and the copies off the lost one to a stack that serves, proven row by row. Pure.

The database starts alone and is filled before anything that could migrate an empty one; the store's volume is filled before
the store starts, and compared before users are served. Every step finds out by itself whether it is done, so a recovery that was cut off goes on.

Longer than 300 lines: it is one procedure, told from its beginning to its end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbook.actions import shell, stack
from runbook.actions.backup import repository
from runbook.changes.plan import Context, Plan, Step
from runbook.commands import Command
from runbook.errors import PreflightError
from runbook.facts import STATE_FOLDER, Missing
from runbook.facts.compose import compose_argv
from runbook.facts.recovery import BEGUN, MARKER, PROGRAMS, Copy, NewHost
from runbook.facts.repository import PASSWORD_FILE

if TYPE_CHECKING:
    from runbook.parameters import BackupClass, Parameters

FREE_FACTOR = 4  # the repository, what is unpacked from it, the database made of the dump, and images
MEGABYTE = 1_000_000
COMPARED = "objects-compared"
STAYS = "the host was bare: to begin anew, install it anew"
ALL_THERE = (
    'for program in "$@"; do command -v "$program" >/dev/null || exit 1; done; docker compose version >/dev/null'
)
ENGINE = """
set -euo pipefail
systemctl enable --now docker
usermod -aG docker "$1"
for attempt in $(seq 60); do if docker info >/dev/null 2>&1; then exit 0; fi; sleep 1; done
exit 1
"""
FOLDERS = """
set -euo pipefail
account=$1 begun=$2 copy=$3 state=$4; shift 4
install -d -m 700 "$state"
for folder in "$@"; do
  if [ ! -e "$folder" ]; then install -d -o "$account" -g "$(id -gn "$account")" "$folder"; fi
done
printf '%s\\n' "$copy" > "$begun.part"
sync "$begun.part"
mv -T "$begun.part" "$begun"
"""
FILLED = '[ "$(find "$1" -type f ! -name "*.part" 2>/dev/null | wc -l)" -ge "$2" ] && [ -s "$1/config" ]'
IMAGES = """
set -euo pipefail
images=$("$@" config --images)
[ -n "$images" ]
for image in $images; do docker image inspect "$image" >/dev/null || exit 1; done
"""
UNITS = """
set -euo pipefail
systemctl daemon-reload
for unit in "$@"; do
  if systemctl cat "$unit" >/dev/null 2>&1; then systemctl enable --now "$unit"; else echo "$unit: not on this host"; fi
done
"""
CHECK = 'restic unlock\nrestic check --read-data-subset "$1" > "$work/check.txt"\nkeep checked.txt < "$work/check.txt"\ntail -n 1 "$work/check.txt"\n'
CREATED = """
set -euo pipefail
volume=$1
docker volume inspect "$volume" >/dev/null
"""


def recover(context: Context) -> Plan:
    """Given a new host and a copy, return the plan. Raises PreflightError that names everything that is in the way."""
    host, copy = context.facts.get("new_host"), context.facts.get("copy")
    problems = _against(host, copy)
    if problems and not context.values.get("apply"):
        title = f"Recover on {context.parameters.target}"
        return Plan(
            title, context.parameters.target, context.stamp, nothing="; ".join(problems), basis={"against": problems}
        )
    _refuse(problems, context)
    if isinstance(host, Missing) or isinstance(copy, Missing):  # refused above; this tells the type checker
        raise PreflightError(str(host))
    parameters = context.parameters
    database = context.parameters.database.service
    everything = stack.chosen_services(parameters, "")
    lost = context.parameters.model_copy(
        update={"backup": parameters.backup.model_copy(update={"repository_password": copy.password})}
    )
    on_lost = Context(context.facts, context.verdicts, lost, context.values, context.stamp)
    steps = (
        *_host(context, host, copy),
        *_repository(on_lost, host, copy),
        *_files(context, host, copy),
        _pull(parameters),
        Step(
            "start-database",
            stack.compose(parameters, "up", "--detach", "--no-deps", "--pull", "never", database, why=f"start {database} alone: nothing else may see it empty"),
            affects=database,
            no_undo=STAYS,
            done=stack.healthy_probe(parameters, [database]),
        ),
        stack.healthy(parameters, [database], name="wait-database"),
        _database(context, copy),
        *_uploads(context, host, copy),
        *_objects(context, copy),
        Step(
            "start-everything",
            stack.compose(parameters, "up", "--detach", "--pull", "never", why="start everything, in order"),
            affects=", ".join(everything),
            no_undo=STAYS,
            evidence=stack.evidence(parameters, everything),
        ),
        stack.healthy(parameters, everything, seconds=300),
        *stack.served(parameters),
        _units(parameters),
        Step(
            "measure",
            stack.script(shell.text("recovery_measure.sh"), MARKER, context.stamp, copy.run, copy.data_as_of, why="write down the recovery time and the recovery point"),
            no_undo="it only notes",
            output=True,
        ),
    )  # fmt: skip
    return Plan(
        f"Recover {copy.lost} on this host from the backup of {copy.data_as_of}",
        parameters.target,
        context.stamp,
        steps=steps,
        basis={"copy": copy.run, "folder": copy.folder, "snapshots": dict(copy.snapshots), "system": host.system},
        pinned={"backup": copy.run},
        losses=(f"everything that the lost server took in after {copy.data_as_of}",),
        notes=(
            "the public name must lead to this host before its users and Let's Encrypt find it: change the DNS now",
            "keep the lost host switched off: two of them would both do the jobs and renew the certificate",
        ),
        tolerates=("*",),
        danger=True,
    )  # fmt: skip


def _against(host: NewHost | Missing, copy: Copy | Missing) -> list[str]:
    """Everything that is in the way, in words."""
    problems = []
    if isinstance(host, Missing):
        problems.append(f"the new host could not be looked at: {host}")
    if isinstance(copy, Missing):
        problems.append(f"no copy to recover from: {copy}")
    if not isinstance(copy, Missing) and copy.password_error:
        problems.append(f"the copies cannot be opened: {copy.password_error}")
    if not isinstance(host, Missing) and not isinstance(copy, Missing):
        if host.begun and host.begun != copy.run:
            problems.append(f"a recovery from {host.begun} was begun here; go on with that one (backup={host.begun}) or install the host anew")  # fmt: skip
        elif not host.begun and not host.bare:
            there = ", ".join((*host.containers, *host.volumes, *host.files)[:8])
            problems.append(
                f"this host is not bare: {there}. Recovery never writes over a stack: is this the right target?"
            )
        wanted = FREE_FACTOR * copy.size_bytes
        if not host.begun and host.free_bytes < wanted:
            problems.append(f"{host.free_bytes // MEGABYTE} MB are free, about {wanted // MEGABYTE} MB are needed")
        if not host.system.startswith(("debian", "ubuntu")) and set(PROGRAMS) - set(host.programs):
            problems.append(f"{host.system}: packages are installed on Debian and Ubuntu only; install {', '.join(sorted(set(PROGRAMS) - set(host.programs)))} by hand")  # fmt: skip
    return problems


def _refuse(problems: list[str], context: Context) -> None:
    if problems:
        raise PreflightError(
            f"{context.parameters.target} cannot be recovered here and now:\n"
            + "\n".join(f"  - {line}" for line in problems),
            remedy="mend what is listed, then run again; nothing was changed",
        )


def _host(context: Context, host: NewHost, copy: Copy) -> tuple[Step, ...]:
    parameters = context.parameters
    ports = [str(port) for port in dict.fromkeys((22, *parameters.firewall.allowed_tcp_ports))]
    # made by Docker as a container's mount, a folder of the stack would belong to root
    inside = (
        item.path
        for item in parameters.locations
        if item.kind == "directory" and item.path.rpartition("/")[0] == parameters.stack.directory
    )
    folders = tuple(dict.fromkeys((parameters.stack.directory, parameters.backup.directory, *inside)))
    return (
        Step(
            "make-folders",
            stack.script(FOLDERS, host.account, BEGUN, copy.run, STATE_FOLDER, *folders, why=f"make {folders[0]} and note which copy is recovered here"),
            affects=", ".join(folders),
            no_undo=STAYS,
            done=Command(("grep", "-qxF", copy.run, BEGUN), sudo=True),
        ),
        Step(
            "install-packages",
            stack.script(shell.text("recovery_packages.sh"), *parameters.recovery.packages, why=f"install {', '.join(parameters.recovery.packages)}", seconds=1800),
            affects="packages of the system",
            no_undo="packages stay installed",
            done=Command(("bash", "-c", ALL_THERE, "programs", *PROGRAMS), sudo=True),
        ),
        Step(
            "start-engine",
            stack.script(ENGINE, host.account, why=f"start the Docker engine, now and at every boot, and let {host.account} use it", seconds=120),
            affects="docker.service",
            no_undo="the engine stays",
            done=Command(("sh", "-c", "docker info >/dev/null 2>&1 && systemctl is-enabled --quiet docker")),
            reconnect=True,
        ),
        Step(
            "firewall",
            stack.script(shell.text("recovery_firewall.sh"), *ports, why=f"let in ports {', '.join(ports)} and switch the firewall on"),
            affects="ufw",
            no_undo="the firewall stays on",
            done=Command(("sh", "-c", "ufw status | grep -q '^Status: active'"), sudo=True),
        ),
    )  # fmt: skip


def _repository(context: Context, host: NewHost, copy: Copy) -> tuple[Step, ...]:
    settings = context.parameters.backup
    arguments = {
        "call": "fill",
        "place": copy.place,
        "options": dict(copy.options),
        "folder": copy.folder,
        "repository": settings.repository,
    }
    shown = Command(("rsync", "-a", "--ignore-existing", f"{copy.place}/{copy.folder}/", f"{context.parameters.connection.host}:{settings.repository}/"),
                    changes=True, why=f"bring the {copy.files} files of the copies to this host ({copy.size_bytes / MEGABYTE:.1f} MB), each checked", timeout=6 * 3600)  # fmt: skip
    return (
        Step(
            "bring-copies",
            shown,
            affects=settings.repository,
            no_undo="the copies stay",
            done=stack.script(FILLED, settings.repository, str(copy.files), why="all files are there", changes=False),
            local=arguments,
            output=True,
        ),
        repository.set_password(context),
        Step(
            "check-copies",
            repository.command(context, host.account, "repository_prepare", why="open the repository", seconds=300),
            affects=settings.repository,
            no_undo="it only opens it",
        ),
        Step(
            "read-copies",
            stack.script(f"{shell.text('repository.sh')}\n{CHECK}", settings.repository, PASSWORD_FILE, host.account, context.parameters.target,
                         context.stamp, context.work, settings.check_subset, why="check the whole repository before anything is taken from it", seconds=repository.CHECK_SECONDS),
            no_undo="it only reads",
            done=repository.marked(context, "checked.txt"),
            output=True,
        ),
    )  # fmt: skip


def _class(copy: Copy, kind: str) -> BackupClass:
    found = next((item for item in copy.classes if item.kind == kind), None)
    if found is None:
        raise PreflightError(
            f"the params file of {copy.lost} has no class of backups of kind {kind}",
            remedy="add it to backup.classes, as production.example.yaml shows",
        )
    return found


def _restored(context: Context, host: NewHost, copy: Copy, name: str, why: str) -> Step:
    return Step(
        f"restore-{name}",
        repository.command(context, host.account, "recovery_files", copy.snapshots[name], name, why=why),
        no_undo=STAYS,
        done=repository.marked(context, f"restored-{name}.json"),
        output=True,
    )


def _files(context: Context, host: NewHost, copy: Copy) -> tuple[Step, ...]:
    names = [item for item in copy.classes if item.kind in {"configuration", "certificates"}]
    steps = [_restored(context, host, copy, item.name, f"put back {', '.join(item.sources)}") for item in names]
    dump = _class(copy, "database").name
    listed = _restored(context, host, copy, "manifest", "put back the manifest of the backup and its list of objects")
    return (*steps, _restored(context, host, copy, dump, "put back the dump with its manifest"), listed)


def _pull(parameters: Parameters) -> Step:
    return Step(
        "pull-images",
        stack.compose(parameters, "pull", "--quiet", why="pull the images that the compose file names", seconds=3600),
        affects="images",
        no_undo="images stay",
        done=Command(("bash", "-c", IMAGES, "images", *compose_argv(parameters)), timeout=60),
    )


def _database(context: Context, copy: Copy) -> Step:
    parameters = context.parameters
    settings = parameters.database
    dump = str((copy.manifest.get("database") or {}).get("dump", ""))
    if not dump:
        raise PreflightError(
            f"the backup {copy.run} names no dump of the database", remedy="choose another run of the full backup"
        )
    words = (parameters.stack.container(settings.service), settings.user, settings.name, dump, shell.text("counts.sql"),
             f"{context.work}/database.json")  # fmt: skip
    return Step(
        "fill-database",
        stack.script(shell.text("recovery_database.sh"), *words, why="fill the database, and compare every table with the manifest", seconds=repository.LONG_SECONDS),
        affects=settings.name,
        no_undo=STAYS,
        done=repository.marked(context, "database.json"),  # afterwards users write into it: comparing again would be wrong
        output=True,
    )  # fmt: skip


def _uploads(context: Context, host: NewHost, copy: Copy) -> tuple[Step, ...]:
    parameters = context.parameters
    item = _class(copy, "uploads")
    service = parameters.backup.objects.service
    places = dict((copy.manifest.get("frozen") or {}).get(item.name, {})).get("paths", [])
    steps = [
        Step(
            "create-store",
            stack.compose(parameters, "create", "--pull", "never", service, why=f"make the container and the empty volume of {service}, not started"),
            affects=service,
            no_undo=STAYS,
            done=stack.script(CREATED, item.sources[0], why="its volume is there", changes=False),
        )
    ]  # fmt: skip
    for volume, place in zip(item.sources, places, strict=True):
        steps.append(
            Step(
                f"fill-{item.name}",
                repository.command(context, host.account, "recovery_volume", copy.snapshots[item.name], item.name, volume, place, why=f"fill the volume {volume} before {service} starts"),
                affects=volume,
                no_undo=STAYS,
                done=repository.marked(context, f"restored-{item.name}.json"),
                output=True,
            )
        )  # fmt: skip
    return tuple(steps)


def _objects(context: Context, copy: Copy) -> tuple[Step, ...]:
    """Compare every object while nobody is served: afterwards users delete some, and comparing again would be wrong."""
    if not copy.manifest.get("objects"):
        return ()
    parameters = context.parameters
    listed = f"{repository.manifests(parameters)}/{copy.run}.objects.jsonl"
    settings = parameters.backup.objects
    services = stack.ordered(parameters, [settings.service, settings.reader])
    done = repository.marked(context, COMPARED)
    return (
        Step(
            "start-reader",
            stack.compose(parameters, "up", "--detach", "--pull", "never", *services, why=f"start {', '.join(services)} and what they need: no user reaches them yet"),
            affects=", ".join(services),
            no_undo=STAYS,
            done=done,
        ),
        replace(stack.healthy(parameters, services, name="wait-reader", seconds=300), done=done),
        Step(
            "compare-objects",
            stack.script(
                shell.text("recovery_objects.sh"), parameters.stack.container(settings.reader), repository.server_python("server_objects"),
                listed, f"{context.work}/{COMPARED}", why="read every object and compare it with the list made with the copy", seconds=repository.LONG_SECONDS,
            ),
            no_undo="it only reads",
            done=done,
            output=True,
        ),
    )  # fmt: skip


def _units(parameters: Parameters) -> Step:
    units = tuple(
        unit for unit in parameters.units if unit.endswith(".timer") or unit in {"docker.service", "ssh.service"}
    )
    return Step(
        "timers",
        stack.script(UNITS, *units, why=f"start what must run by itself: {', '.join(units)}"),
        affects=", ".join(units),
        no_undo="timers stay",
        output=True,
    )
