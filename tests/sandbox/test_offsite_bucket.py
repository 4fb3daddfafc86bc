"""The S3 bucket away from the servers, used by curl from this machine and by restic from a server."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox import bucket
from sandbox.state import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Host
    from sandbox.bucket import Bucket

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def offsite() -> Iterator[Bucket]:
    """The bucket, served; gone with everything in it at the end."""
    yield bucket.up()
    assert bucket.down()


def keys(offsite: Bucket) -> tuple[str, str]:
    return Path(offsite.access_key_file).read_text().strip(), Path(offsite.secret_key_file).read_text().strip()


def s3(offsite: Bucket, key: str, *options: str, secret: str | None = None) -> tuple[str, str]:
    """Return the status and the body that the bucket answers with."""
    access, right = keys(offsite)
    config = f'user = "{access}:{secret or right}"\naws-sigv4 = "aws:amz:{offsite.region}:s3"\n'
    url = f"{offsite.endpoint}/{offsite.name}/{key}"
    done = subprocess.run(
        ["curl", "-sS", "-m", "20", "-K", "-", "-w", "\n%{http_code}", *options, url],
        input=config,
        capture_output=True,
        text=True,
        check=True,
    )
    body, _, status = done.stdout.rpartition("\n")
    return status, body


def container() -> str:
    listed = subprocess.run(
        ["docker", "ps", "--all", "--filter=label=runbook.sandbox=bucket", "--format={{.Names}}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    own = [name for name in listed if name == bucket._container()]  # noqa: SLF001 - others' buckets may stand beside it
    return own[0] if own else ""


def test_what_is_put_comes_back(offsite: Bucket, tmp_path: Path) -> None:
    content = secrets.token_hex(5000)
    (tmp_path / "object").write_text(content)
    assert s3(offsite, "a/b.txt", "-T", str(tmp_path / "object"))[0] == "200"
    assert s3(offsite, "a/b.txt") == ("200", content)


def test_without_the_right_keys_nothing_is_given(offsite: Bucket) -> None:
    assert s3(offsite, "a/b.txt", secret="wrong")[0] == "403"
    url = f"{offsite.endpoint}/{offsite.name}/a/b.txt"
    plain = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url], capture_output=True, text=True, check=False
    )
    assert plain.stdout == "403"


def test_keys_are_private_and_the_port_is_on_loopback_only(offsite: Bucket) -> None:
    folder = Path(offsite.secret_key_file).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    found = json.loads(subprocess.run(["docker", "inspect", container()], capture_output=True, check=True).stdout)[0]
    bindings = chain(*filter(None, found["NetworkSettings"]["Ports"].values()))
    assert [each["HostIp"] for each in bindings] == ["127.0.0.1"]


def test_objects_outlive_a_stop_and_the_keys_stay(offsite: Bucket, tmp_path: Path) -> None:
    (tmp_path / "object").write_text("kept")
    s3(offsite, "kept.txt", "-T", str(tmp_path / "object"))
    subprocess.run(["docker", "stop", "-t", "3", container()], capture_output=True, check=True)
    assert bucket.status().state == "exited"
    again = bucket.up()
    assert (again.endpoint, again.state) == (offsite.endpoint, "running")
    assert s3(again, "kept.txt") == ("200", "kept")


def test_a_server_reaches_it_with_restic(offsite: Bucket, host: Host) -> None:
    access, secret = keys(offsite)
    here = bucket.status()
    repository = f"s3:{here.endpoint_of_servers}/{here.name}/restic-{secrets.token_hex(4)}"
    environment = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret, "RESTIC_PASSWORD": "practice"}
    for words in ("init", "backup /opt/pazpaz/nginx", "check"):
        done = subprocess.run(
            ["docker", "exec", *(f"--env={name}" for name in environment), Sandbox.named(host.name).container, "restic", "-q", "-r", repository, *words.split()],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
