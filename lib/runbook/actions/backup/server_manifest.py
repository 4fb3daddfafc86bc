"""Runs on the server with its own Python: the manifest of a full backup, and the catalogue of all. Standard library only."""

import datetime as dt
import hashlib
import json
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

RUN = re.compile(r"[0-9]{8}T[0-9]{6}Z")


def main() -> None:
    """Write the manifest of a run, or the catalogue, to a file."""
    kind, *words = sys.argv[1:]
    if kind == "manifest":
        work, place, target, run, dump, restic = words
        write(place, manifest(Path(work), target, run, dump, restic))
    else:
        listed, folder, place = words
        write(place, catalogue(json.loads(Path(listed).read_text()) or [], Path(folder)))


def write(place: str, content: Any) -> None:
    """Write JSON to a file, whole or not at all."""
    part = Path(f"{place}.writing")
    with part.open("w") as file:
        json.dump(content, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    part.replace(place)


def read(path: Path, otherwise: Any = None) -> Any:
    """Return a file's JSON; `otherwise` where there is none."""
    return json.loads(path.read_text()) if path.exists() and path.stat().st_size else otherwise


def now() -> str:
    """Return the time, as ISO 8601 in UTC."""
    return dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: UP017 (old Pythons, too)


def manifest(work: Path, target: str, run: str, dump: str, restic: str) -> Any:
    """Return what a run has put into the repository: versions, images, rows, objects."""
    docker = read(work / "docker.json", {})
    return {
        "format": 1,
        "run": run,
        "target": target,
        "host": platform.node(),
        "made": now(),
        "versions": {"restic": restic.split()[1], "docker": (docker.get("Server") or {}).get("Version"), "kernel": platform.release()},
        "services": services(work),
        "database": database(dump) if dump else None,
        "objects": objects(work / "objects.jsonl"),
        "frozen": frozen(work),
        "snapshots": snapshots(work),
        "checked": read(work / "checked.json"),
    }  # fmt: skip


def services(work: Path) -> Any:
    """Return image, id and digests of each service's container."""
    images = {image["Id"]: image for image in read(work / "images.json", [])}
    found = {}
    for container in read(work / "containers.json", []):
        labels = container["Config"].get("Labels") or {}
        found[labels.get("com.docker.compose.service", container["Name"].lstrip("/"))] = {
            "image": container["Config"]["Image"],
            "id": container["Image"],
            "digests": sorted(images.get(container["Image"], {}).get("RepoDigests") or []),
        }
    return found


def database(dump: str) -> Any:
    """Return what the manifest beside a dump says."""
    about = read(Path(f"{dump}.manifest.json"))
    content = {key: about["content"].get(key) for key in ("database", "server_version", "revision", "tables")}
    return {"dump": dump, "bytes": about.get("bytes"), "sha256": about.get("sha256"), **content}


def objects(listing: Path) -> Any:
    """Return number and bytes of the objects, and the SHA-256 of their list."""
    if not listing.exists():
        return None
    digest, sizes = hashlib.sha256(), []
    with listing.open("rb") as lines:
        for line in lines:
            digest.update(line)
            sizes.append(json.loads(line)["size"])
    return {"count": len(sizes), "bytes": sum(sizes), "list_sha256": digest.hexdigest()}


def frozen(work: Path) -> Any:
    """Return for each class whose store was frozen how many seconds, and where its volumes lie."""
    found = {}
    for path in sorted(work.glob("frozen-*.json")):
        said = read(path)
        seconds = round(said["thawed_at"] - said["frozen_at"], 1) if said["frozen"] else 0
        found[path.stem[len("frozen-") :]] = {"seconds": seconds, "paths": said["mountpoints"].split()}
    return found


def snapshots(work: Path) -> Any:
    """Return what restic said of each class."""
    found = {}
    for path in sorted(work.glob("snapshot-*.json")):
        if path.name != "snapshot-manifest.json":
            said = read(path)
            found[path.stem[len("snapshot-") :]] = {
                "id": said["snapshot_id"],
                "files": said["total_files_processed"],
                "bytes": said["total_bytes_processed"],
                "added_bytes": said.get("data_added_packed", said.get("data_added")),
            }
    return found


def catalogue(listed: Any, folder: Path) -> Any:
    """Return which snapshots there are, and the manifests of the runs that came to their end."""
    manifests = {path.stem: read(path) for path in sorted(folder.glob("*.json"))} if folder.is_dir() else {}
    rows = []
    for snapshot in listed:
        tags = snapshot.get("tags") or []
        runs = [tag for tag in tags if RUN.fullmatch(tag)]
        classes = [tag for tag in tags if tag not in runs]
        if len(runs) != 1 or len(classes) != 1:
            continue
        known = (manifests.get(runs[0]) or {}).get("snapshots", {}).get(classes[0], {})
        size = (snapshot.get("summary") or {}).get("total_bytes_processed", known.get("bytes"))
        rows.append(
            {"id": snapshot["id"], "time": snapshot["time"], "run": runs[0], "class": classes[0], "paths": snapshot["paths"], "bytes": size}
        )  # fmt: skip
    finished = {row["run"] for row in rows if row["class"] == "manifest"}
    return {
        "format": 1,
        "at": now(),
        "snapshots": sorted(rows, key=lambda row: (row["time"], row["class"])),
        "runs": {run: about for run, about in manifests.items() if run in finished},
    }
