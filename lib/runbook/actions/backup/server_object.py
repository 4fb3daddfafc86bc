"""Runs in the application's container: one object out of a store, or into it. The store's address may be another one's than the application's.

`get ENDPOINT KEY` writes the content to standard output (exit code 44: there is none); `put ENDPOINT KEY` takes it from
standard input; `remove ENDPOINT KEY`. An empty endpoint is the application's own. The name in the store's certificate is
the application's own endpoint's in any case.
"""

import os
import sys
from typing import Any

ABSENT = 44


def client(endpoint: str) -> Any:
    """Return a client of the store."""
    import urllib3  # noqa: PLC0415 (only the container has it)
    from minio import Minio  # type: ignore[import-not-found]  # noqa: PLC0415 (as above)

    known = os.environ
    secure = known.get("S3_SECURE", "true").lower() not in {"false", "0", "no"}
    name = known["S3_ENDPOINT"].partition(":")[0]
    options: dict[str, Any] = {"ca_certs": known.get("S3_CA_FILE"), "assert_hostname": name} if secure else {}
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(30), **options)
    return Minio(endpoint or known["S3_ENDPOINT"], known["S3_ACCESS_KEY"], known["S3_SECRET_KEY"], secure=secure, http_client=pool)  # fmt: skip


def main() -> None:
    """Do what the arguments say."""
    from minio.error import S3Error  # type: ignore[import-not-found]  # noqa: PLC0415 (only the container has it)

    what, endpoint, key = sys.argv[1:4]
    store, bucket = client(endpoint), os.environ["S3_BUCKET"]
    if what == "put":
        store.put_object(bucket, key, sys.stdin.buffer, -1, part_size=10 << 20)
        return
    if what == "remove":
        store.remove_object(bucket, key)
        return
    try:
        answer = store.get_object(bucket, key)
    except S3Error as error:
        if error.code == "NoSuchKey":
            sys.exit(ABSENT)
        raise
    for chunk in answer.stream(1 << 20):
        sys.stdout.buffer.write(chunk)
