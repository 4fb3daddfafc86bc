"""The object store: S3 over verified TLS. Calls block, so each runs in a thread, and none waits for ever."""

import asyncio
import io

import urllib3
from minio import Minio
from minio.error import S3Error

from pazpaz.settings import Settings

TIMEOUT_S = urllib3.Timeout(connect=3, read=10)


class ObjectMissing(Exception):
    """The store has no such object or bucket."""


class Storage:
    """One bucket."""

    def __init__(self, settings: Settings) -> None:
        """Prepare a client; nothing is sent before the first call."""
        pool = urllib3.PoolManager(
            timeout=TIMEOUT_S,
            retries=urllib3.Retry(total=1, backoff_factor=0.2),
            maxsize=8,
            ca_certs=str(settings.s3_ca_file) if settings.s3_secure else None,
        )
        self.bucket = settings.s3_bucket
        self.client = Minio(
            settings.s3_endpoint,
            settings.s3_access_key,
            settings.s3_secret_key.get_secret_value(),
            secure=settings.s3_secure,
            http_client=pool,
        )

    async def answers(self) -> None:
        """Return when the bucket is there. Raise ObjectMissing or what the client raised."""
        if not await asyncio.to_thread(self.client.bucket_exists, self.bucket):
            raise ObjectMissing(f"no bucket {self.bucket}")

    async def make_bucket(self) -> None:
        """Make the bucket where it is missing."""
        if not await asyncio.to_thread(self.client.bucket_exists, self.bucket):
            await asyncio.to_thread(self.client.make_bucket, self.bucket)

    async def put(self, key: str, content: bytes, content_type: str) -> None:
        """Store the bytes under the key."""
        await asyncio.to_thread(
            self.client.put_object, self.bucket, key, io.BytesIO(content), len(content), content_type
        )

    async def get(self, key: str) -> bytes:
        """Return the bytes under the key. Raise ObjectMissing."""

        def read() -> bytes:
            response = self.client.get_object(self.bucket, key)
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

        try:
            return await asyncio.to_thread(read)
        except S3Error as error:
            if error.code in ("NoSuchKey", "NoSuchBucket"):
                raise ObjectMissing(f"{error.code}: {key}") from error
            raise

    async def remove(self, key: str) -> None:
        """Remove the object; one that is gone already is no error."""
        await asyncio.to_thread(self.client.remove_object, self.bucket, key)
