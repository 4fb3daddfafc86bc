"""Says for each connection between containers whether its name resolves and its port answers, seen from the one that needs it.

Which connections there are is read from the containers themselves: addresses in their environment (URLs, NAME_HOST with
NAME_PORT, host:port), and the upstreams of a web server's configuration. Each is tried in the container's own network,
with its own names, by this program itself: the image needs no tools. Argument: JSON {service: container}.
"""

from __future__ import annotations

import glob
import json
import re
import socket
import subprocess
import sys

from runbook.facts.probes.common import (
    addresses,
    answer,
    endpoints,
    environment,
    inspected,
    left,
    listening,
    side_by_side,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UPSTREAM = re.compile(
    r"(?:https?|grpc|uwsgi|fastcgi)://([A-Za-z0-9][A-Za-z0-9_.-]*)(?::(\d+))?[\s;/\"']|^\s*server\s+([A-Za-z0-9][A-Za-z0-9_.-]*):(\d+)",
    re.MULTILINE,
)
ANSWERING = re.compile(
    r"\b(return|deny|limit_req|limit_conn|auth_basic|auth_request|client_max_body_size|proxy_\w*timeout|rewrite|error_page|try_files|proxy_pass|satisfy|resolver)\s"
)
# in the container's network, and with its lists of names; the resolver of the host must not answer in its place
ENTER = """for given in /run/systemd/resolve/io.systemd.Resolve /run/dbus/system_bus_socket /run/nscd/socket; do
  if [ -e $given ]; then mount --bind /dev/null $given; fi
done
[ -z "$1" ] || mount --bind "$1" /etc/resolv.conf
[ -z "$2" ] || mount --bind "$2" /etc/hosts
exec python3 -c "$3" "$4"
"""
CHILD = """
import json, os, socket, subprocess, sys, threading, time
asked, found, end = json.loads(sys.argv[1]), {}, time.monotonic() + 4.0
def one(host, port):
    # three times: what comes and goes is met, and one slow answer of a busy machine is not taken for the rule
    row = found[f"{host}:{port}"] = {"names": [], "said": "", "resolved_ms": None, "connected_ms": None, "tries": 0, "failures": 0}
    for _ in range(3):
        if time.monotonic() > end - 0.5:
            break
        row["tries"] += 1
        begun = time.monotonic()
        try:
            names = sorted({item[4][0] for item in socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)})
        except OSError as error:
            row["said"], row["failures"] = f"name: {error.strerror or error}", row["failures"] + 1
            continue
        finally:
            row["resolved_ms"] = min(row["resolved_ms"] or 99999, round((time.monotonic() - begun) * 1000))
        row["names"] = names
        for name in names:
            begun = time.monotonic()
            try:
                socket.create_connection((name, port), 1.5).close()
            except OSError as error:
                row["said"], row["failures"] = f"port: {'timed out' if isinstance(error, socket.timeout) else error.strerror or error}", row["failures"] + 1
                continue
            row["connected_ms"] = min(99999 if row["connected_ms"] is None else row["connected_ms"], round((time.monotonic() - begun) * 1000))
            break
threads = [threading.Thread(target=one, args=place, daemon=True) for place in asked]
[thread.start() for thread in threads]
def said(*argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=1.5).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
shaped = [line for line in said("tc", "qdisc", "show").splitlines() if " netem " in line or " tbf " in line or " plug " in line]
filters = [line for line in said("iptables", "-w", "1", "-S").splitlines() if "-j DROP" in line or "-j REJECT" in line or " DROP" == line[-5:]]
[thread.join(max(0.0, end - time.monotonic())) for thread in threads]
for host, port in asked:
    row = found.get(f"{host}:{port}")
    if row is None or row["resolved_ms"] is None:
        found[f"{host}:{port}"] = {"names": [], "said": "name: no answer within 4 s", "resolved_ms": 4000, "connected_ms": None, "tries": 1, "failures": 1}
    elif row["connected_ms"] is None and not row["said"]:
        row["said"] = "port: timed out"
print(json.dumps({"places": found, "shaped": shaped, "filters": filters}), flush=True)
os._exit(0)
"""


def upstreams(pid: int) -> list[tuple[str, str, int]]:
    """Return (file, host, port) of what a web server in a container passes requests to."""
    found = {}
    for path in sorted(glob.glob(f"/proc/{pid}/root/etc/nginx/**/*.conf", recursive=True))[:50]:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = re.sub(r"#.*", "", file.read(200_000))
        except OSError:
            continue
        for match in UPSTREAM.finditer(text):
            host, port = match[1] or match[3], int(match[2] or match[4] or 80)
            if "." not in host:  # $host, a public name: no container is meant
                found[host, port] = (path.partition("/root")[2], host, port)
    return list(found.values())


def directives(pid: int) -> list[list[Any]]:
    """Return [file, line, text] of a web server's directives that can make it answer otherwise than what stands behind it."""
    found: list[list[Any]] = []
    for path in sorted(glob.glob(f"/proc/{pid}/root/etc/nginx/**/*.conf", recursive=True))[:50]:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read(200_000).splitlines()
        except OSError:
            continue
        for number, line in enumerate(lines, 1):
            if ANSWERING.search(line.partition("#")[0]):
                found.append([path.partition("/root")[2], number, " ".join(line.split())[:160]])
    return found[:60]


def seen_from(container: dict[str, Any], places: list[tuple[str, int]]) -> Any:
    """Return how each place is seen from a container."""
    pid = container["State"]["Pid"]
    argv = ["nsenter", f"--net=/proc/{pid}/ns/net", "unshare", "--mount", "sh", "-c", ENTER, "sh",
            container.get("ResolvConfPath", ""), container.get("HostsPath", ""), CHILD, json.dumps(places)]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, timeout=left(5.5), check=False)
    if done.returncode:
        raise OSError((done.stderr.strip().splitlines() or ["nsenter failed"])[-1])
    return json.loads(done.stdout)


def reached(place: tuple[str, int]) -> dict[str, Any]:
    """Return whether the host itself reaches an address and port."""
    try:
        socket.create_connection(place, 2.0).close()
    except OSError as error:
        return {"open": False, "said": str(error)}
    return {"open": True, "said": ""}


def main() -> None:
    """Print what was found."""
    asked = json.loads(sys.argv[1])
    there = {item["Name"].lstrip("/"): item for item in inspected(asked.values())}
    containers = {service: there[name] for service, name in asked.items() if name in there}
    owner = {ip: service for service, item in containers.items() for ip in addresses(item).values() if ip}
    names: dict[str, str] = {}
    for service, item in containers.items():
        networks = (item.get("NetworkSettings") or {}).get("Networks") or {}
        aliases = {alias for network in networks.values() for alias in network.get("Aliases") or []}
        names.update(dict.fromkeys(sorted(aliases), service))
    names.update({name: service for service, name in asked.items()})
    names.update({service: service for service in asked})
    wanted: dict[str, list[tuple[str, str, int]]] = {}
    for service, item in containers.items():
        if not item["State"]["Running"]:
            wanted[service] = endpoints(environment(item))
            continue
        wanted[service] = endpoints(environment(item)) + upstreams(item["State"]["Pid"])
        # what it names of itself is no connection
        wanted[service] = [row for row in wanted[service] if names.get(row[1]) != service]
    looks: dict[str, Any] = {
        service: (
            lambda item=containers[service], rows=rows: seen_from(
                item, sorted({(host, port) for _, host, port in rows})
            )
        )
        for service, rows in wanted.items()
        if containers[service]["State"]["Running"] and not containers[service]["State"]["Paused"]
    }
    targets = {
        f"{names[host]}:{port}": (ip, port)
        for rows in wanted.values()
        for _, host, port in rows
        if host in names
        and names[host] in containers
        and (ip := next(iter(filter(None, addresses(containers[names[host]]).values())), ""))
    }
    looks.update({f"host {key}": (lambda place=place: reached(place)) for key, place in targets.items()})
    seen = side_by_side(looks)
    links = []
    for service, rows in wanted.items():
        places = (seen.get(service) or {}).get("places", {})
        for variable, host, port in rows:
            to = names.get(host, "")
            row = places.get(f"{host}:{port}")
            mine, its = (set(addresses(containers[one])) if one in containers else set() for one in (service, to))
            links.append({
                "service": service, "by": variable, "host": host, "port": port, "to": to, "seen": row,
                "owners": sorted({owner.get(ip, ip) for ip in (row or {}).get("names", [])}),
                "share_network": bool(mine & its), "from_host": seen.get(f"host {to}:{port}"),
            })  # fmt: skip
    answer({
        "links": links,
        "shaped": {service: seen[service].get("shaped", []) for service in wanted if service in seen},
        "filters": {service: seen[service].get("filters", []) for service in wanted if service in seen},
        "failed": {service: seen[service]["failed"] for service in wanted if "failed" in (seen.get(service) or {})},
        "directives": {service: lines for service, item in containers.items() if item["State"]["Running"] and (lines := directives(item["State"]["Pid"]))},
        "listens": {service: listening(item["State"]["Pid"]) for service, item in containers.items() if item["State"]["Running"]},
        "networks": {service: sorted(addresses(item)) for service, item in containers.items()},
    })  # fmt: skip


if __name__ == "__main__":
    main()
