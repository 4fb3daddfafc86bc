"""Compares on the server what the environment file seems to say, what Compose makes of it, and what each container has.

Fed to python3 on the server with one argument of JSON; prints one object of JSON. Values never leave the server: printed
are names of variables and settings, line numbers and reasons. Only Python 3.8 and its standard library are used.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SECONDS = 20
NAMED = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*[=:](.*)$")
REFERENCE = re.compile(r"(?<!\\)(?<!\$)\$(?:\{|[A-Za-z_])")
DURATION = re.compile(r"([\d.]+)(h|ms|us|ns|m|s)")
NANOSECONDS = {"h": 3600e9, "m": 60e9, "s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}


class Line:
    """One setting of the environment file: where it stands, what stands there, and which quotes are around it."""

    def __init__(self, number: int, name: str, raw: str, quote: str) -> None:
        self.number, self.name, self.raw, self.quote = number, name, raw, quote

    def readings(self) -> set[str]:
        """Return what a person can take the value for: the text itself, and with its escapes resolved."""
        plain = re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r", "t": "\t"}.get(found[1], found[1]), self.raw)
        return {self.raw, plain, re.sub(r"\\([\"\\$])", r"\1", self.raw), plain.replace("$$", "$")}


def settings_in(text: str) -> list[Line]:
    """Given the file's text, return its settings; a quoted value may go over several lines."""
    found: list[Line] = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        match = NAMED.match(lines[at].rstrip("\r"))
        number = at + 1
        at += 1
        if match is None or lines[number - 1].lstrip().startswith("#"):
            continue
        name, rest = match[1], match[2].strip()
        quote = rest[:1] if rest[:1] in {'"', "'"} else ""
        if quote:
            closed = re.compile(r'"((?:[^"\\]|\\.)*)"' if quote == '"' else r"'([^']*)'", re.DOTALL)
            whole = rest
            while closed.match(whole) is None and at < len(lines):
                whole += "\n" + lines[at]
                at += 1
            inner = closed.match(whole)
            rest = inner[1] if inner is not None else rest
        found.append(Line(number, name, rest, quote))
    return found


def differences(stated: list[Line], resolved: dict[str, str], names_in_file: set[str]) -> list[dict[str, Any]]:
    """Given the file's settings and what Compose resolves, return the variables that do not get what the file seems to say, and why."""
    by_name: dict[str, list[Line]] = {}
    for line in stated:
        by_name.setdefault(line.name, []).append(line)
    found = []
    for name, lines in by_name.items():
        last = lines[-1]
        numbers = [line.number for line in lines]
        if len(lines) > 1:
            same = len({line.raw for line in lines}) == 1
            reason = f"it stands {len(lines)} times" + (" with the same value" if same else ": the last one counts")
            found.append({"name": name, "reason": reason, "lines": numbers, "kind": "twice"})
        value = resolved.get(name)
        if value is None or value in last.readings():
            continue
        found.append(
            {"name": name, "reason": why(last, value, name in names_in_file), "lines": [last.number], "kind": "value"}
        )
    return found


def why(line: Line, value: str, named_by_compose: bool) -> str:
    """Return why Compose makes another value of a line. The value itself, and parts of it, are never told."""
    if line.quote != "'" and REFERENCE.search(line.raw):
        return "Compose takes what follows a $ for a variable's name and puts its value there, or nothing; write $$, or single quotes"
    if not line.quote and re.search(r"\s#", line.raw) and value == re.split(r"\s+#", line.raw, maxsplit=1)[0]:
        return (
            "Compose ends the value before the ' #' and takes the rest for a comment; other readers of the file do not"
        )
    if named_by_compose:
        return "the compose file sets it itself, and that counts more than the environment file"
    return "Compose makes something else of this line"


def run(argv: list[str], text: str | None = None) -> str:
    """Return what a program prints. Raises OSError or CalledProcessError."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=SECONDS, check=True)
    return done.stdout


def inspected(kind: str, names: set[str]) -> list[dict[str, Any]]:
    """Return what Docker knows of containers or images, all asked at once; those that are not there are left out."""
    if not names:
        return []
    argv = ["docker", kind, "inspect", *sorted(names)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found


def environment_of(pairs: Any) -> dict[str, str]:
    """Return an environment as Docker lists it (NAME=value), or as Compose does (by name)."""
    if isinstance(pairs, dict):
        return {name: str(value) for name, value in pairs.items() if value is not None}
    return dict(pair.partition("=")[::2] for pair in pairs or [])


def unescaped(value: Any) -> Any:
    """Return what Compose renders as it means it: rendered, each "$" stands twice."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, dict):
        return {key: unescaped(item) for key, item in value.items()}
    return [unescaped(item) for item in value] if isinstance(value, list) else value


def nanoseconds(text: str) -> float:
    """Given a duration as Compose renders it ("1m30s"), return it as Docker keeps it."""
    return sum(float(number) * NANOSECONDS[unit] for number, unit in DURATION.findall(text))


def differing(
    service: dict[str, Any], project: dict[str, Any], container: dict[str, Any], image: dict[str, Any]
) -> list[str]:
    """Return the settings of a service that its container was made without, by the compose file's own keys."""
    config, host = container["Config"], container["HostConfig"]
    made_of = image.get("Config") or {}
    volumes = project.get("volumes") or {}
    networks = project.get("networks") or {}
    ports = {
        (
            str(item.get("target")),
            str(item.get("protocol", "tcp")),
            str(item.get("published", "")),
            item.get("host_ip", ""),
        )
        for item in service.get("ports") or []
    }
    bound = {
        (*port.partition("/")[::2], place["HostPort"], place["HostIp"])
        for port, places in (host.get("PortBindings") or {}).items()
        for place in places or []
    }
    wanted = {
        (
            item["target"],
            (volumes.get(item.get("source")) or {}).get("name", item.get("source")),
            bool(item.get("read_only")),
        )
        for item in service.get("volumes") or []
        if item["type"] in {"bind", "volume"} and item.get("source")
    }
    mounted = {
        (item["Destination"], item.get("Name") or item["Source"], not item["RW"])
        for item in container.get("Mounts") or []
        if (item["Destination"], item.get("Name") or item["Source"], not item["RW"]) in wanted
        or item["Destination"] not in (made_of.get("Volumes") or {})
    }
    joined = {(networks.get(name) or {}).get("name", name) for name in service.get("networks") or {}}
    logging = service.get("logging") or {}
    check, checked = service.get("healthcheck"), config.get("Healthcheck") or {}
    restart = host.get("RestartPolicy", {}).get("Name", "")
    compared = {
        "image": (service.get("image"), config.get("Image")),
        "command": (service.get("command") or made_of.get("Cmd"), config.get("Cmd")),
        "entrypoint": (service.get("entrypoint") or made_of.get("Entrypoint"), config.get("Entrypoint")),
        "user": (service.get("user") or made_of.get("User") or "", config.get("User") or ""),
        "ports": (ports, bound),
        "volumes": (wanted, mounted),
        "networks": (joined, set((container.get("NetworkSettings") or {}).get("Networks") or {})) if joined else (0, 0),
        "mem_limit": (int(service.get("mem_limit") or 0), host.get("Memory") or 0),
        "restart": (str(service.get("restart") or "no").partition(":")[0], restart or "no"),
        "logging": (logging.get("driver"), host["LogConfig"]["Type"]) if logging else (0, 0),
        "logging.options": (logging.get("options") or {}, host["LogConfig"].get("Config") or {}) if logging else (0, 0),
        "healthcheck": (check.get("test"), checked.get("Test")) if check and not check.get("disable") else (0, 0),
    }
    for key, field in (("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod")):
        if check and check.get(key):
            compared[f"healthcheck.{key}"] = (nanoseconds(check[key]), float(checked.get(field) or 0))
    return [key for key, (stated, has) in compared.items() if stated != has]


def environment_differs(service: dict[str, Any], container: dict[str, Any], image: dict[str, Any]) -> list[str]:
    """Return the names of the variables that the container has otherwise than Compose resolves them now."""
    resolved = environment_of(service.get("environment"))
    has = environment_of(container["Config"].get("Env"))
    from_image = environment_of((image.get("Config") or {}).get("Env"))
    other = {name for name, value in resolved.items() if has.get(name) != value}
    return sorted(other | {name for name in set(has) - set(resolved) if from_image.get(name) != has[name]})


def with_dependencies_of(service: dict[str, Any], container: Any) -> dict[str, Any]:
    """Return a service with those of its dependencies alone that its container was made with (`up --no-deps` leaves some out)."""
    labels = (container["Config"].get("Labels") or {}) if container else {}
    made_with = {item.partition(":")[0] for item in labels.get("com.docker.compose.depends_on", "").split(",")}
    kept = {name: how for name, how in (service.get("depends_on") or {}).items() if name in made_with}
    rest = {key: value for key, value in service.items() if key != "depends_on"}
    return {**rest, "depends_on": kept} if kept else rest


def hashes(asked: dict[str, Any], project: dict[str, Any]) -> dict[str, str]:
    """Return Compose's own hash of each service, by which it decides what to recreate."""
    argv = [*asked["bare"], "--file", "-", "config", "--hash", "*"]
    return dict(line.split() for line in run(argv, json.dumps(project)).splitlines() if line.strip())


def main() -> None:
    """Print what was found."""
    asked = json.loads(sys.argv[1])
    rendered = json.loads(run([*asked["compose"], "config", "--format", "json"]))
    called = {name: asked["containers"].get(name, name) for name in rendered["services"]}
    there = {item["Name"].lstrip("/"): item for item in inspected("container", set(called.values()))}
    containers = {name: there.get(container) for name, container in called.items()}
    reduced = {name: with_dependencies_of(item, containers[name]) for name, item in rendered["services"].items()}
    now, without = hashes(asked, rendered), hashes(asked, {**rendered, "services": reduced})
    project = unescaped(rendered)
    services = project["services"]
    version = run([*asked["bare"], "version", "--short"]).strip().partition("-")[0]
    text = Path(asked["env_file"]).read_text(encoding="utf-8", errors="replace")
    stated = settings_in(text)
    in_file = {line.name for line in stated}
    compose_text = Path(asked["compose_file"]).read_text(encoding="utf-8", errors="replace")
    named = {
        name
        for name in in_file
        if re.search(rf"^\s*(- )?[\"']?{re.escape(name)}[\"']?\s*[:=]", compose_text, re.MULTILINE)
    }
    images = {item["Id"]: item for item in inspected("image", {item["Image"] for item in there.values()})}
    # one by one: Docker's answer does not say by which of its names an image was asked for
    references = {service["image"] for service in services.values() if service.get("image")}
    tagged = {name: item["Id"] for name in references for item in inspected("image", {name})}
    found: dict[str, Any] = {}
    for name, service in services.items():
        # a service takes the file where it knows all that stands in it
        resolved = environment_of(service.get("environment"))
        takes = bool(in_file) and in_file <= set(resolved)
        row: dict[str, Any] = {"takes_file": takes, "depends_on": sorted(service.get("depends_on") or {})}
        row["differences"] = differences(stated, resolved, named) if takes else []
        container = containers[name]
        if container is not None:
            image = images.get(container["Image"], {})
            hashed = (now.get(name, ""), without.get(name, ""))
            other = tagged.get(service.get("image", ""), container["Image"]) != container["Image"]
            row.update(made(container, hashed, version))
            row["other_image"] = other
            row["settings"] = differing(service, project, container, image)
            row["variables"] = environment_differs(service, container, image)
        found[name] = row
    sys.stdout.write(json.dumps(found))


def made(container: dict[str, Any], hashed: tuple[str, str], version: str) -> dict[str, str]:
    """Return how a container was made: by Compose's hash of its service now, or of that without some dependencies; and by which Compose."""
    labels = container["Config"].get("Labels") or {}
    then, by = labels.get("com.docker.compose.config-hash", ""), labels.get("com.docker.compose.version", "")
    now, alone = hashed
    by = by.partition("-")[0]
    return {
        "made": "as stated" if then == now else "alone" if then == alone else "otherwise",
        "made_by": by if by != version else "",
    }


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        said = [line for line in (error.stderr or "").splitlines() if line.strip()]
        sys.exit(said[-1] if said else f"docker compose ended with {error.returncode}")
