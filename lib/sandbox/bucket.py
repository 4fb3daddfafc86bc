"""An S3 bucket away from every practice server, for copies that must outlive one.

It is served on the loopback address of this machine, and to practice servers at the container's own address. The
server is the stack's object store in a container of its own, without TLS: what goes there must be encrypted already.
"""

import datetime as dt
import json
import secrets
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox import docker as docker_
from sandbox import engine, images, ports, state
from sandbox.docker import LABEL, docker, inspect
from sandbox.errors import NotReadyError
from sandbox.progress import Progress

NAME = "offsite"
REGION = "us-east-1"
PORT = 9100
"""The preferred one; the next free one above it where it is taken."""
_INSIDE = 9000
_READY_WITHIN_S = 30
_FILES = ("access_key", "secret_key", "environment", "bucket.json")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the bucket is and where the keys to it lie; the secrets themselves stay in their files."""

    state: str
    """As docker says: `running`, `exited`; `absent` where there is none."""
    endpoint: str
    """For this machine, such as http://127.0.0.1:9100."""
    endpoint_of_servers: str
    """For practice servers; it changes when the bucket was stopped and started."""
    name: str
    region: str
    access_key_file: str
    secret_key_file: str


def folder() -> Path:
    """Return the folder that is kept about the bucket; its name cannot be a sandbox's."""
    return state.home() / ".bucket"


def _about() -> Path:
    """Return the file that says where the bucket is; it is written last, so it tells that the bucket is whole."""
    return folder() / "bucket.json"


def _container() -> str:
    return state.kept_apart("runbook-bucket", state.home())


def up(*, progress: Progress | None = None) -> Bucket:
    """Have the bucket served; what it holds stays when it was only stopped.

    Raises:
        NotReadyError: it does not answer in time.
    """
    progress = progress or Progress()
    engine.ensure(progress)
    with state.locked(_container()):
        found = inspect("container", _container())
        if found is not None and not _about().is_file():  # its making was cut short, or its folder was removed
            docker_.remove("container", [_container()])
            found = None
        if found is None:
            with state.locked("build"):
                image = images.ensure_service(images.Tree.read(), images.OBJECT_STORE, progress)
            _create(image)
        if found is None or not found["State"]["Running"]:
            with progress.step("starting the bucket"):
                docker("start", _container())
                _wait()
                _make_bucket()
    return status()


def down(*, progress: Progress | None = None) -> bool:
    """Remove the bucket with everything in it; return whether there was one."""
    if not folder().exists() and not engine.answers():
        return False
    engine.ensure(progress or Progress(quiet=True))
    with state.locked(_container()):
        was_there = folder().exists() or docker_.exists("container", _container())
        docker_.remove("container", [_container()])
        docker_.remove("volume", [_container()])
        for name in _FILES:
            (folder() / name).unlink(missing_ok=True)
        with suppress(OSError):  # not there, or not empty
            folder().rmdir()
    return was_there


def status() -> Bucket:
    """Return where the bucket is."""
    found = inspect("container", _container()) if _about().is_file() else None
    networks = found["NetworkSettings"]["Networks"].values() if found else ()
    address = next((each["IPAddress"] for each in networks if each["IPAddress"]), "")
    return Bucket(
        state=str(found["State"]["Status"]) if found else "absent",
        endpoint=_endpoint() if found else "",
        endpoint_of_servers=f"http://{address}:{_INSIDE}" if address else "",
        name=NAME,
        region=REGION,
        access_key_file=str(folder() / "access_key"),
        secret_key_file=str(folder() / "secret_key"),
    )


def _endpoint() -> str:
    return str(json.loads(_about().read_text())["endpoint"])


def _create(image: str) -> None:
    folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    access, secret = f"offsite{secrets.token_hex(6)}", secrets.token_urlsafe(30)
    state.write_private(folder() / "access_key", access + "\n")
    state.write_private(folder() / "secret_key", secret + "\n")
    # by a file: an argument could be read in the list of processes
    environment = folder() / "environment"
    state.write_private(environment, f"MINIO_ROOT_USER={access}\nMINIO_ROOT_PASSWORD={secret}\n")
    docker("volume", "create", f"--label={LABEL}=bucket", _container())
    with state.locked("ports"):
        port = ports.free_from(PORT, "the bucket")
        docker(
            "create",
            "--pull=never",
            f"--name={_container()}",
            "--hostname=bucket",
            f"--label={LABEL}=bucket",
            f"--env-file={environment}",
            f"--volume={_container()}:/data",
            f"--publish={ports.LOOPBACK}:{port}:{_INSIDE}",
            image,
        )
    about = {"endpoint": f"http://{ports.LOOPBACK}:{port}", "bucket": NAME, "region": REGION}
    created = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    state.write_private(_about(), json.dumps({**about, "created": created}) + "\n")


def _wait() -> None:
    url = f"{_endpoint()}/minio/health/live"
    deadline = time.monotonic() + _READY_WITHIN_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=3):  # noqa: S310 - an http address made above
                return
        except (OSError, urllib.error.URLError):
            if time.monotonic() > deadline:
                said = docker("logs", "--tail=10", _container(), check=False)
                raise NotReadyError(
                    f"The bucket does not answer at {url}:\n{said.stdout}{said.stderr}\nBegin anew: sandbox bucket down, up"
                ) from None
            time.sleep(0.1)


def _make_bucket() -> None:
    """Create the bucket with its own container's curl: this machine need not have an S3 client. Once is enough."""
    keys = ":".join((folder() / name).read_text().strip() for name in ("access_key", "secret_key"))
    options = f'user = "{keys}"\naws-sigv4 = "aws:amz:{REGION}:s3"\n'
    url = f"http://localhost:{_INSIDE}/{NAME}"
    curl = ("curl", "-sS", "-K", "-", "-X", "PUT", "-o", "/dev/null", "-w", "%{http_code}", url)
    done = docker("exec", "-i", _container(), *curl, stdin=options)
    if done.stdout not in {"200", "409"}:
        raise NotReadyError(f"The bucket {NAME} could not be made: status {done.stdout} {done.stderr.strip()}")
