"""Asks on the server about a release: what its files name, what the registry holds, what runs, what was deployed before.

Fed to python3 on the server, as root, with one argument of JSON; prints one object of JSON. What talks to the registry or to
Compose runs as the login user, whose registry login it needs. Nothing but Python 3.6 and its standard library is used.

Longer than 300 lines: it is sent to the server as one file.
"""

import json
import os
import pwd
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SECONDS = 60
INSPECTED = '{"id":{{json .Id}},"digests":{{json .RepoDigests}},"labels":{{json .Config.Labels}},"platform":"{{.Os}}/{{.Architecture}}"}'
CONTAINER = '{"id":{{json .Image}},"reference":{{json .Config.Image}},"running":{{json .State.Running}},"started":{{json .State.StartedAt}}}'
PLATFORM = "{{.OSType}}/{{.Architecture}} {{.DockerRootDir}}"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def login() -> "Any":
    """Return the login user's entry; root's where nobody went through sudo."""
    return pwd.getpwnam(os.environ.get("SUDO_USER") or "root")


def run(argv: "list[str]", **variables: str) -> "tuple[int, str, str]":
    """Run a program as the login user and return exit code and both streams."""
    user = login()

    def become() -> None:
        if os.geteuid() == 0 and user.pw_uid != 0:
            os.initgroups(user.pw_name, user.pw_gid)
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)

    environment = dict(os.environ, HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name, **variables)
    try:
        done = subprocess.run(  # noqa: UP022 (Python 3.6 does not know capture_output)
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS,
            preexec_fn=become, env=environment, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 124, "", f"no answer within {SECONDS} s"
    except OSError as error:
        return 127, "", str(error)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def last(text: str) -> str:
    """Return the last line of what a program said."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def images(asked: "Any", version: str) -> "dict[str, Any]":
    """Return the image of each service as Compose resolves it, with the variable set to `version` ("": as it is)."""
    variables = {asked["variable"]: version} if version else {}
    code, out, err = run(asked["compose"] + ["config", "--format", "json"], **variables)
    if code != 0:
        return {"error": last(err)}
    services = json.loads(out)["services"]
    waiting, needed = list(asked["services"]), []
    while waiting:
        for name in services.get(waiting.pop(), {}).get("depends_on") or ():
            if name not in needed:
                needed.append(name)
                waiting.append(name)
    return {
        "images": {name: services[name].get("image", "") for name in asked["services"] if name in services},
        "needs": sorted(set(needed) - set(asked["services"])),
    }


def variable(asked: "Any") -> "Any":
    """Return the variable's text in the environment file, as it stands there; None where it does not."""
    found = None
    with Path(asked["env_file"]).open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, mark, value = line.rstrip("\r\n").partition("=")
            if mark and name == asked["variable"]:
                found = value
    return found


def repository(reference: str) -> str:
    """Return a reference without its tag and digest."""
    plain = reference.partition("@")[0]
    return re.sub(r":[^:/]+$", "", plain)


def manifest(reference: str, platform: str) -> "dict[str, Any]":
    """Return digest and layers of an image in its registry, for this platform; `error` where it is not to be had."""
    host = reference.partition("/")[0]
    plain = (
        ["--insecure"] if re.match(r"(localhost|127\.[0-9.]+)(:\d+)?$", host) else []
    )  # what dockerd takes for insecure by itself
    # a tag beside a digest is not understood here
    wanted = reference if "@" not in reference else repository(reference) + "@" + reference.partition("@")[2]
    code, out, err = run(["docker", "manifest", "inspect", "--verbose", *plain, wanted])
    if code != 0:
        return {"error": last(err)}
    found = json.loads(out)
    rows = found if isinstance(found, list) else [found]
    for row in rows:
        about = row["Descriptor"].get("platform") or {}
        if len(rows) == 1 or "{os}/{architecture}".format_map(about or {"os": "", "architecture": ""}) == platform:
            content = row.get("SchemaV2Manifest") or row.get("OCIManifest") or {}
            return {"digest": row["Descriptor"]["digest"], "layers": {layer["digest"]: layer["size"] for layer in content.get("layers", [])}}  # fmt: skip
    return {"error": "the registry has no image of it for " + platform}


def inspected(kind: str, template: str, name: str) -> "Any":
    """Return what Docker knows of a container or image; None where it is not there."""
    code, out, err = run(["docker", kind, "inspect", "--format", template, name])
    if code == 0:
        return json.loads(out)
    if "no such" in err.lower():
        return None
    raise RuntimeError(last(err))


# when a revision came is recorded nowhere; but its row was written before or after the last checkpoint, and the table's file
# is written at checkpoints alone
CAME = """select case when r.xmin::text::bigint >= split_part(c.next_xid, ':', 2)::bigint then 'after ' || to_char(c.checkpoint_time at time zone 'UTC', 'YYYY-MM-DD HH24:MI')
else 'no later than ' || to_char((pg_stat_file(pg_relation_filepath('alembic_version'))).modification at time zone 'UTC', 'YYYY-MM-DD HH24:MI') end
from alembic_version r, pg_control_checkpoint() c"""
MOST_ASKED = 8


def revisions(words: "list[str]", **variables: str) -> "dict[str, Any]":
    """Return the database revisions that an image knows, and its heads. `words` run its alembic."""
    code, out, err = run([*words, "history"], **variables)
    if code != 0:
        return {"error": last(err or out)}
    known = {}
    heads = []
    for line in out.splitlines():
        match = re.match(r"(\S+(?:, \S+)*) -> (\S+?)((?: \([a-z]+\))*), ?(.*)", line)
        if match:
            known[match.group(2)] = [match.group(1).replace("<base>", ""), match.group(4)]
            if "(head)" in match.group(3):
                heads.append(match.group(2))
    return {"known": known, "heads": heads}


def history(path: str) -> "list[Any]":
    """Return the lines of the deploys' history; a line that is half written is left out."""
    found = []
    try:
        with Path(path).open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    found.append(json.loads(line))
                except ValueError:
                    continue
    except FileNotFoundError:
        pass
    return found


def earlier(lines: "list[Any]", part: str, digests: "list[str]", wanted: str) -> "list[Any]":
    """Return the versions deployed before, newest first, without what runs and what was taken back; `wanted` narrows them."""
    back = {line.get("run") for line in lines if line.get("event") == "taken back"}
    found = []
    for line in reversed([line for line in lines if line.get("part") == part]):
        pairs = (
            [(line.get("version"), line.get("digest"))]
            if line.get("event") == "deployed" and line.get("run") not in back
            else []
        )
        pairs.append((line.get("from_version"), line.get("from_digest")))
        found += [pair for pair in pairs if pair[1] and pair[1] not in digests and pair not in found]
    if wanted:
        found = [
            pair
            for pair in found
            if wanted in (pair[0], pair[1], str(pair[0]) + "@" + str(pair[1]))
            or pair[1].split(":")[-1].startswith(wanted)
        ]
    return found


def probe(asked: "Any") -> "dict[str, Any]":
    """Return all answers."""
    told = {"history": history(asked["history"]), "variable": variable(asked)}  # type: dict[str, Any]
    code, out, err = run(["docker", "info", "--format", PLATFORM])
    if code != 0:
        raise RuntimeError(last(err))
    platform, _, root = out.strip().partition(" ")
    system, _, machine = platform.partition("/")
    platform = system + "/" + ARCHITECTURES.get(machine, machine)
    disk = os.statvfs(root)
    told.update(root=root, free_bytes=disk.f_bavail * disk.f_frsize)
    told["running"] = {name: inspected("container", CONTAINER, box) for name, box in asked["containers"].items()}
    first = told["running"][asked["services"][0]]
    now = inspected("image", INSPECTED, first["id"]) if first else None
    told["now"] = now
    digests = [digest.partition("@")[2] for digest in (now or {}).get("digests") or []]
    version = asked["version"]
    if asked["earlier"]:
        told["earlier"] = earlier(told["history"], asked["part"], digests, version)
        version = f"{told['earlier'][0][0] or 'unknown'}@{told['earlier'][0][1]}" if told["earlier"] else ""
    told["version"] = version
    with ThreadPoolExecutor(8) as threads:
        plain = threads.submit(images, asked, "")
        with_version = threads.submit(images, asked, version) if version else plain
        found = with_version.result()
        told["compose"] = plain.result()
        if asked["earlier"] and not version:
            found = {"images": {}}
        names = set(found.get("images", {}).values())
        told["wanted"] = found
        reference = names.pop() if len(names) == 1 else ""
        ours = (
            threads.submit(manifest, repository(reference) + "@" + digests[0], platform)
            if reference and digests
            else None
        )
        theirs = threads.submit(manifest, reference, platform) if reference and version else None
        told["manifest_now"] = ours.result() if ours else {"error": "it has no digest"}
        told["manifest"] = theirs.result() if theirs else {"error": "not asked"}
    if not version and not asked["earlier"]:  # the deployed one is meant
        reference = first["reference"].partition("@")[0] if first else reference
        told["manifest"], told["digest"] = told["manifest_now"], digests[0] if digests else ""
        told["wanted"] = {"images": dict.fromkeys(asked["services"], reference)}
    digest = reference.partition("@")[2] or told["manifest"].get("digest", "") or told.get("digest", "")
    told["digest"] = digest
    told["there"] = (
        inspected("image", INSPECTED, repository(reference) + "@" + digest) if reference and digest else None
    )
    if asked["alembic"]:
        told["schema_now"] = revisions(["docker", "exec", asked["containers"][asked["services"][0]]] + asked["alembic"]) if first and first["running"] else {"error": "its container does not run"}  # fmt: skip
        told["schema"] = _schema(asked, told, reference, digest)
        at, error = query(asked, "select version_num from alembic_version")
        told["stranger"] = {} if error or not at else stranger(asked, told, repository(reference), at)
    if asked["migration"]:
        told["migration"] = migration(asked, told, reference, digest, (at, error))
    return told


def stranger(asked: "Any", told: "dict[str, Any]", repository_: str, at: str) -> "dict[str, Any]":
    """Return what is known of a database's revision that neither the running nor the wanted image knows; else nothing."""
    known = [told[name].get("known") for name in ("schema_now", "schema")]
    if not any(known) or any(at in item for item in known if item):
        return {}
    came, _ = query(asked, CAME)
    code, out, _ = run(["docker", "images", "--format", "{{.Tag}}", repository_])
    tags = [tag for tag in (out.split() if code == 0 else []) if tag != "<none>"][:MOST_ASKED]
    with ThreadPoolExecutor(4) as threads:
        asking = {
            tag: threads.submit(revisions, alembic(asked, "of-" + tag), **{asked["variable"]: tag}) for tag in tags
        }
    knowing = [tag for tag, answer in asking.items() if at in answer.result().get("known", {})]
    return {"at": at, "came": came, "asked": tags, "knowing": knowing}


def _schema(asked: "Any", told: "dict[str, Any]", reference: str, digest: str) -> "dict[str, Any]":
    if not told["there"]:
        return {"error": "the image is not on the server yet"}
    if told["now"] and told["there"]["id"] == told["now"]["id"]:
        return dict(told["schema_now"])
    return revisions(alembic(asked, "history"), **chosen(asked, reference, digest))


def alembic(asked: "Any", what: str) -> "list[str]":
    """Return the words that run alembic in a container of its own, which is gone afterwards."""
    name = f"runbook-asks-{what}-{os.getpid()}"
    run_words = [
        "run",
        "--rm",
        "--no-deps",
        "-T",
        "--name",
        name,
        "--entrypoint",
        asked["alembic"][0],
        asked["services"][0],
    ]
    return [*asked["compose"], *run_words, *asked["alembic"][1:]]


def chosen(asked: "Any", reference: str, digest: str) -> "dict[str, str]":
    """Return the variable that lets Compose see an image."""
    tag = reference.partition("@")[0].rpartition(":")[2]
    return {asked["variable"]: tag + "@" + digest}


def query(asked: "Any", sql: str) -> "tuple[str, str]":
    """Return what the database answers, and why it does not."""
    code, out, err = run([*asked["psql"], "--command", sql])
    return (out.strip(), "") if code == 0 else ("", last(err))


DROPPED = (
    (r"DROP TABLE (?:IF EXISTS )?([\w.\"]+)", "table"),
    (r"ALTER TABLE (?:ONLY )?([\w.\"]+) DROP COLUMN (?:IF EXISTS )?([\w\"]+)", "column"),
    (r"ALTER TABLE (?:ONLY )?([\w.\"]+) DROP CONSTRAINT (?:IF EXISTS )?([\w\"]+)", "constraint"),
    (
        r"DROP (INDEX|TYPE|SEQUENCE|VIEW|MATERIALIZED VIEW|SCHEMA|FUNCTION|TRIGGER) (?:CONCURRENTLY )?(?:IF EXISTS )?([\w.\"]+)",
        "",
    ),
    (r"DELETE FROM ([\w.\"]+)", "rows"),
    (r"TRUNCATE (?:TABLE )?([\w.\"]+)", "rows"),
)


def drops(sql: str) -> "list[list[str]]":
    """Given SQL, return what it drops, in order: [kind, table, name]; the table only of columns, constraints, tables and rows."""
    found = []
    for pattern, kind in DROPPED:
        for match in re.finditer(r"(?im)^\s*" + pattern, sql):
            words = [word for word in match.groups() if word]
            item = [kind, words[0], words[1] if len(words) > 1 else ""] if kind else [words[0].lower(), "", words[1]]
            found.append((match.start(), item))
    return [item for _, item in sorted(found)]


def lost(asked: "Any", item: "list[str]") -> "dict[str, Any]":
    """Return how many rows, or values of a column, go away with what is dropped; None where nothing does, or nobody can tell."""
    kind, table, name = item
    told = {"kind": kind, "table": table.replace('"', ""), "name": name.replace('"', ""), "count": None, "error": ""}  # type: dict[str, Any]
    if kind in ("table", "column", "rows"):
        what = "*" if kind != "column" else name
        count, told["error"] = query(asked, f"select count({what}) from {table}")  # noqa: S608 (names as the image's own migration has them)
        told["count"] = int(count) if count.isdigit() else None
    return told


def migration(
    asked: "Any", told: "dict[str, Any]", reference: str, digest: str, revision: "tuple[str, str]"
) -> "dict[str, Any]":
    """Return the SQL of the way from the database's revision to the wanted one, and of the way back; offline, nothing is changed.

    `revision` is the database's, and why it does not tell it.
    """
    wanted = asked["migration"]
    at, error = revision
    known, heads = told["schema"].get("known", {}), told["schema"].get("heads", [])
    if error and "does not exist" not in error:
        return {"at": "", "error": error}
    if told["schema"].get("error") or len(heads) != 1 or (at and at not in known):
        return {"at": at, "error": ""}
    to = wanted["to"] or (heads[0] if wanted["up"] else known[at][0] if at else "")
    to = "" if to == "base" else to
    low, high = (at, to) if wanted["up"] else (to, at)
    if low == high or high not in known:
        return {"at": at, "to": to, "error": ""}
    words = {
        "up": ["upgrade", (low or "base") + ":" + high, "--sql"],
        "down": ["downgrade", high + ":" + (low or "base"), "--sql"],
    }
    answer = {"at": at, "to": to, "error": ""}  # type: dict[str, Any]
    for name, asking in words.items():
        code, out, err = run([*alembic(asked, name), *asking], **chosen(asked, reference, digest))
        answer[name] = out if code == 0 else ""
        if code != 0:
            answer["error"] = f"{name}grade: {last(err or out)}"
    found = drops(answer["down"])
    # what an upgrade makes is not there yet, so nothing can be counted
    answer["lost"] = [
        {"kind": item[0], "table": item[1], "name": item[2], "count": None, "error": ""}
        if wanted["up"]
        else lost(asked, item)
        for item in found
    ]
    return answer


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(probe(json.loads(sys.argv[1]))))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(1)
