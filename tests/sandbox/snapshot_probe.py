"""Runs on the practice server, as root, with nothing but its own Python: prints what the server is like as one JSON object.

Every part is a mapping of a name to a text. What moves by itself is left out or made the same; secrets are hashed.
"""

from __future__ import annotations

import collections
import hashlib
import json
import os
import re
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TREES = (
    "/opt/pazpaz",
    "/etc",
    "/home/pazpaz",
    "/root",
    "/usr/local",
    "/var/www",
    "/var/spool/cron",
    "/var/lib/runbook",
    "/var/lib/dpkg/status",
)
NOISE = re.compile(
    r"^/opt/pazpaz/logs/."  # grows with every request
    r"|^/etc/(mtab|resolv\.conf|hostname|hosts)$"  # the outer engine's, made anew at each start
    r"|^(/home/[^/]+|/root)/\.(cache|config|docker|sudo_as_admin_successful)(/|$)"  # crumbs of sudo, ps and docker
    r"|/__pycache__(/|$)"
    r"|/\.certbot\.lock$"  # there while certbot runs, by its timer too
)
BRIDGE = re.compile(r"\bbr-[0-9a-f]{12}\b")
CONTAINER_ADDRESS = re.compile(r"\b172\.(?:29|30)\.\d+\.\d+(?:/\d+)?\b")
DOCKERS_OWN = re.compile(r"^-A DOCKER\b|DOCKER-ISOLATION|bridge")  # their order follows that of the containers' starts
PASSING_KEYS = re.compile(r"^(arq:|login-failures:)")  # jobs and their results, failed logins: gone within the hour
SUM = """select '{name}', count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from "{name}" t {where}"""
OTHERS = "where user_id not in (select id from users where email = 'synthetic@pazpaz.test')"
STRUCTURE_NOISE = re.compile(r"^(\\(un)?restrict |--|$)")  # pg_dump writes a random word there
PASSING_UNITS = re.compile(r"^(session-|user@|user-runtime-dir@|systemd-(hostnamed|timedated|localed|tmpfiles))")

BACKUP = "pazpaz-backup.service"

Part = dict[str, str]


def output(*argv: str, stdin: str = "") -> str:
    """Return what a command printed. Raise OSError where it failed."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise OSError(f"{argv[0]} {argv[1] if argv[1:] else ''}: {done.returncode}: {done.stderr.strip()[-200:]}")
    return done.stdout


def short(text: str | bytes) -> str:
    """Return the start of a text's SHA-256."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]


def containers() -> dict[str, Part]:
    """Return containers, and beside them which process each is (that changes with a restart)."""
    ids = output("docker", "ps", "-aq", "--no-trunc").split()
    found = json.loads(output("docker", "inspect", *ids)) if ids else []
    told, processes = {}, {}
    for one in found:
        name = one["Name"].lstrip("/")
        mounts = sorted(f"{m.get('Name') or m['Source']}:{m['Destination']}:{m['RW']}" for m in one["Mounts"])
        told[name] = " ".join(
            (
                one["State"]["Status"],
                f"image={one['Image'][7:19]}",
                f"from={one['Config']['Image']}",
                f"environment={short(json.dumps(sorted(one['Config']['Env'] or [])))}",
                f"command={short(json.dumps([one['Path'], one['Args']]))}",
                f"restart={one['HostConfig']['RestartPolicy']['Name']}",
                f"memory={one['HostConfig']['Memory']}",
                f"ports={json.dumps(one['HostConfig']['PortBindings'], sort_keys=True)}",
                f"networks={','.join(sorted(one['NetworkSettings']['Networks']))}",
                f"mounts={','.join(mounts)}",
            )
        )
        processes[name] = f"{one['Id'][:12]} started {one['State']['StartedAt'][:19]}"
    return {"container": told, "started": processes}


def engine() -> dict[str, Part]:
    """Return volumes, images and networks."""
    images = output("docker", "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines()
    tagged = dict(line.split() for line in images if "<none>" not in line)
    dangling = {f"<none> {line.split()[1][7:19]}": "is there" for line in images if "<none>" in line}
    return {
        "volume": dict.fromkeys(output("docker", "volume", "ls", "-q").split(), "is there"),
        "network": dict.fromkeys(output("docker", "network", "ls", "--format", "{{.Name}}").split(), "is there"),
        "image": {name: identity[7:19] for name, identity in tagged.items()} | dangling,
    }


def files() -> dict[str, Part]:
    """Return files, folders and links of the trees: mode, owner, contents."""
    told: Part = {}
    for tree in TREES:
        places = [tree] if os.path.lexists(tree) else []
        for folder, folders, names in os.walk(tree):
            folders[:] = [name for name in folders if not NOISE.search(f"{folder}/{name}/")]
            places += [f"{folder}/{name}" for name in folders + names]
        for place in places:
            if not NOISE.search(place):
                told[place] = _file(Path(place))
    return {"file": told}


def _file(place: Path) -> str:
    try:
        found = place.lstat()
        rights = f"{found.st_mode:o} {found.st_uid}:{found.st_gid}"
        if place.is_symlink():
            return f"{rights} -> {place.readlink()}"
        if place.is_file():
            with place.open("rb") as file:
                return f"{rights} {found.st_size} {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    except FileNotFoundError:
        return "went away while looking"
    return rights


def firewall() -> dict[str, Part]:
    """Return the rules, how often each is there, and a hash of the order of those that are not Docker's own."""
    told: Part = {}
    for family, program in (("ipv4", "iptables-save"), ("ipv6", "ip6tables-save")):
        table, rules = "", []
        for line in output(program).splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif line and line[0] in ":-":
                plain = re.sub(r" \[\d+:\d+\]", "", CONTAINER_ADDRESS.sub("container", BRIDGE.sub("bridge", line)))
                rules.append(f"{family} {table} {plain}")
        told |= {rule: f"{count} times" for rule, count in collections.Counter(rules).items()}
        told[f"{family} order"] = short("\n".join(r for r in rules if not DOCKERS_OWN.search(r.split(" ", 2)[2])))
    return {"firewall": told}


def sql(query: str) -> list[list[str]]:
    """Return the rows of a query against the stack's database."""
    argv = ("docker", "exec", "-i", "pazpaz-db", "psql", "-qtAX", "-F", "\t", "-U", "pazpaz", "-d", "pazpaz")
    return [line.split("\t") for line in output(*argv, stdin=query).splitlines()]


def tables() -> dict[str, Part]:
    """Return rows and a checksum of each table that does not depend on the order of rows.

    Of the audit log what the synthetic user did is left out: every look at the server adds to it.
    """
    names = [row[0] for row in sql("select tablename from pg_tables where schemaname = 'public' order by 1")]
    seen = {"audit_log": OTHERS}
    asked = " union all ".join(SUM.format(name=name, where=seen.get(name, "")) for name in names)
    return {"table": {name: f"{rows} rows, sum {checksum}" for name, rows, checksum in sql(asked)} if names else {}}


def database() -> dict[str, Part]:
    """Return databases, roles, revision, settings and the structure of the stack's database."""
    told: Part = {}
    for kind, name, value in sql(
        """select 'database', datname, datallowconn::text from pg_database
        union all select 'role', rolname, concat(rolsuper, rolcanlogin, rolcreatedb, ' password ', left(md5(coalesce(rolpassword, '')), 12))
            from pg_authid where rolname !~ '^pg_'
        union all select 'setting', name, setting from pg_file_settings where sourcefile like '%auto.conf'
        union all select 'role setting', coalesce(setrole::regrole::text, ''), setconfig::text from pg_db_role_setting"""
    ):
        told[f"{kind} {name}"] = value
    for (revision,) in sql("select version_num from alembic_version"):
        told["revision"] = revision
    dump = output("docker", "exec", "pazpaz-db", "pg_dump", "-s", "-U", "pazpaz", "pazpaz").splitlines()
    told["structure"] = short("\n".join(line for line in dump if not STRUCTURE_NOISE.match(line)))
    return {"database": told}


CACHE = """export REDISCLI_AUTH="$REDIS_PASSWORD"
redis-cli config get requirepass; redis-cli config get maxmemory; redis-cli config get maxmemory-policy; echo --; redis-cli --scan"""


def cache() -> dict[str, Part]:
    """Return the keys that are to stay, and settings (the password hashed)."""
    lines = output("docker", "exec", "pazpaz-redis", "sh", "-c", CACHE).splitlines()
    cut = lines.index("--") if "--" in lines else len(lines)
    kept = [key for key in lines[cut + 1 :] if not PASSING_KEYS.match(key)]
    return {"cache": {"settings": short("\n".join(lines[:cut]))} | dict.fromkeys(kept, "is there")}


def objects() -> dict[str, Part]:
    """Return the stored objects from the store's own index: size and etag of each."""
    place = Path("/var/lib/docker/volumes/pazpaz_minio_data/_data/meta.db")
    if not place.exists():
        raise OSError(f"{place} is not there")
    with sqlite3.connect(f"file:{place}?mode=ro", uri=True, timeout=10) as index:
        edges = {
            inode: (parent, os.fsdecode(name))
            for parent, name, inode in index.execute("select parent, name, inode from jfs_edge")
        }
        lengths = dict(index.execute("select inode, length from jfs_node where type = 1"))
        etags = dict(index.execute("select inode, value from jfs_xattr where name = 's3-etag'"))
    told = {}
    for inode, length in lengths.items():
        path, at = "", inode
        while at in edges:
            at, name = edges[at]
            path = f"/{name}{path}"
        if path and not path.startswith("/.minio.sys"):
            told[path] = f"{length} bytes, etag {os.fsdecode(etags.get(inode, b'none'))}"
    return {"object": told}


def units() -> dict[str, Part]:
    """Return services that run, timers that wait, what failed, what starts by itself; and the mounts and listeners."""
    told: Part = {}
    states = output(
        "systemctl", "list-units", "--type=service,timer", "--state=running,waiting,failed", "--plain", "--no-legend"
    )
    for line in states.splitlines():
        name, _, active, sub, *_ = line.split()
        if not PASSING_UNITS.match(name):
            told[f"unit {name}"] = f"{active} {sub}"
    for line in output(
        "systemctl", "list-unit-files", "--type=service,timer", "--state=enabled", "--plain", "--no-legend"
    ).splitlines():
        told[f"at start {line.split()[0]}"] = "enabled"
    for line in output("findmnt", "-rno", "TARGET,OPTIONS").splitlines():
        if line.startswith(("/opt", "/etc/letsencrypt", "/var/www")):
            told[f"mount {line.split()[0]}"] = line.split()[1]
    for line in output("ss", "-Hltn").splitlines():
        address = line.split()[3]
        if not re.match(r"127\.0\.0\.1:[3-6]\d{4}$", address):  # containerd's own port varies
            told[f"listener {address}"] = "is there"
    return {"system": told}


def served() -> dict[str, Part]:
    """Return which certificate users see."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", 443), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="pazpaz.test") as wrapped,
    ):
        return {"served": {"certificate": short(wrapped.getpeercert(binary_form=True) or b"")}}


PARTS = (tables, database, cache, containers, engine, files, firewall, objects, units, served)


def look(part: Callable[[], dict[str, Part]]) -> dict[str, Part]:
    """Return a part; where it cannot be told, why: that is a state, too."""
    try:
        return part()
    except (OSError, ValueError, sqlite3.Error, subprocess.SubprocessError) as error:
        reason = re.sub(r"\b[0-9a-f]{12,64}\b", "...", str(error))
        return {"unknown": {part.__name__: f"{type(error).__name__}: {reason}"[:300]}}


# the day's backup is caught up on at a start of the server: wait until it is there
deadline = time.monotonic() + 30
while output("systemctl", "show", "-P", "ActiveState", BACKUP).strip() == "activating" and time.monotonic() < deadline:
    time.sleep(0.1)
with ThreadPoolExecutor(len(PARTS)) as pool:
    whole: dict[str, Part] = {}
    for found in pool.map(look, PARTS):
        for topic, told in found.items():
            whole.setdefault(topic, {}).update(told)
json.dump(whole, sys.stdout)
