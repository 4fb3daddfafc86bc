"""Runs in the application's container: prints a line of JSON for each object of the store, with the SHA-256 of its content.

Given the time of the copy (seconds since 1970), objects that were stored later are left out: the copy lacks them. So are
those that users delete or replace while they are read: what is read is not what the copy holds. The application's own variables say where the store is (S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY, S3_BUCKET, S3_SECURE, S3_CA_FILE).
"""

import hashlib
import json
import os
import sys
from email.utils import parsedate_to_datetime
from typing import Any


def client() -> Any:
    """Return a client of the store."""
    import urllib3  # noqa: PLC0415 (only the container has it)
    from minio import Minio  # type: ignore[import-not-found]  # noqa: PLC0415 (as above)

    known = os.environ
    secure = known.get("S3_SECURE", "true").lower() not in {"false", "0", "no"}
    pool = urllib3.PoolManager(ca_certs=known.get("S3_CA_FILE") if secure else None, timeout=urllib3.Timeout(30))
    return Minio(known["S3_ENDPOINT"], known["S3_ACCESS_KEY"], known["S3_SECRET_KEY"], secure=secure, http_client=pool)


def sha256(store: Any, bucket: str, item: Any) -> str:
    """Return the SHA-256 of an object's content, read in chunks; empty where it was deleted or replaced since it was listed."""
    digest = hashlib.sha256()
    try:
        answer = store.get_object(bucket, item.object_name)
    except Exception as error:
        if getattr(error, "code", "") == "NoSuchKey":  # S3Error, which only the container has
            return ""
        raise
    try:
        stored = answer.headers.get("Last-Modified")  # in whole seconds, rounded down
        if stored and parsedate_to_datetime(stored) > item.last_modified:
            return ""
        for chunk in answer.stream(1 << 20):
            digest.update(chunk)
    finally:
        answer.close()
        answer.release_conn()
    return digest.hexdigest()


def main() -> None:
    """Print the objects in the order of their keys."""
    show(client(), os.environ["S3_BUCKET"], float(sys.argv[1]))


def show(store: Any, bucket: str, at: float) -> None:
    """Print the objects of a bucket that were stored at a time (seconds since 1970) or before."""
    for item in sorted(store.list_objects(bucket, recursive=True), key=lambda one: str(one.object_name)):
        digest = sha256(store, bucket, item) if item.last_modified.timestamp() <= at else ""
        if digest:
            found = {"bucket": bucket, "key": item.object_name, "size": item.size, "sha256": digest}
            sys.stdout.write(json.dumps(found, sort_keys=True) + "\n")
