"""A place for copies: a folder of this machine, or a URL that fsspec knows (s3://bucket/prefix). Each file whole or absent."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from runbook import secrets
from runbook.errors import RunbookError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CHUNK_BYTES = 1 << 20


class Damaged(RunbookError):
    """What arrived is not what was sent."""


class Place(Protocol):
    """Where copies lie. Names are relative, with slashes."""

    name: str

    def folders(self) -> list[str]:
        """Return the folders in it; none where it does not exist yet."""

    def listing(self, folder: str) -> dict[str, int]:
        """Return name -> bytes of all files below a folder of it."""

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a file's content. Raises FileNotFoundError."""

    def write(self, name: str, chunks: Iterable[bytes], *, sha256: str = "") -> None:
        """Write a file, whole or not at all; raise Damaged, and write nothing, where its SHA-256 is another one."""

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone is fine."""

    def free_bytes(self) -> int | None:
        """Return the bytes that still fit; None where nobody can tell."""


def at(where: str, options: Mapping[str, str] | None = None) -> Place:
    """Given `off_host` of a params file, return the place. Raises RunbookError for one that cannot be used here."""
    if "://" not in where or where.startswith("file://"):
        return FolderPlace(Path(where.removeprefix("file://")).expanduser())
    return UrlPlace(where, {key: _value(key, value) for key, value in (options or {}).items()})


def shown(where: str) -> str:
    """Given `off_host` of a params file, return it as it is shown: what lies in the operator's home begins with a tilde."""
    if "://" in where:
        return where
    path, home = Path(where).expanduser(), Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _value(key: str, value: str) -> str:
    kind = value.partition(":")[0]
    return secrets.resolve(value, what=f"{key} of the place for copies") if kind in {"env", "file", "keyring"} else value  # fmt: skip


def sha256(chunks: Iterable[bytes]) -> str:
    """Return the SHA-256 of a content."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


class FolderPlace:
    """A folder. Files appear by rename, after their content is on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = shown(str(folder))

    def folders(self) -> list[str]:
        """Return the folders in it."""
        return sorted(entry.name for entry in self.folder.iterdir() if entry.is_dir()) if self.folder.is_dir() else []

    def listing(self, folder: str) -> dict[str, int]:
        """Return name -> bytes of all files below a folder."""
        root = self.folder / folder
        return {
            path.relative_to(root).as_posix(): path.stat().st_size
            for path in root.rglob("*")
            if path.is_file() and path.suffix != ".part"
        }

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a file's content."""
        with (self.folder / name).open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                yield data

    def write(self, name: str, chunks: Iterable[bytes], *, sha256: str = "") -> None:
        """Write a file: temporary name, checksum, fsync, rename."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f"{path.name}.part")
        digest = hashlib.sha256()
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        _compare(name, digest.hexdigest(), sha256, part)
        part.replace(path)
        _sync_folder(path.parent)

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.folder / name).unlink(missing_ok=True)

    def free_bytes(self) -> int | None:
        """Return the bytes that still fit."""
        there = next(folder for folder in (self.folder, *self.folder.parents) if folder.exists())
        found = os.statvfs(there)
        return found.f_bavail * found.f_frsize


def _compare(name: str, found: str, wanted: str, part: Path) -> None:
    if wanted and found != wanted:
        part.unlink()
        raise _damaged(name, found, wanted)


def _damaged(name: str, found: str, wanted: str) -> Damaged:
    return Damaged(
        f"{name} arrived damaged: its SHA-256 is {found[:12]}, not {wanted[:12]}",
        remedy="look at the server's disk and memory (restic check --read-data), then resume",
    )


@contextlib.contextmanager
def _proven(name: str, chunks: Iterable[bytes], wanted: str) -> Iterator[Iterable[bytes]]:
    """Take a content whole into a temporary file of this machine and give it back; raise Damaged where it is another one."""
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
        if wanted and digest.hexdigest() != wanted:
            raise _damaged(name, digest.hexdigest(), wanted)
        file.seek(0)
        yield iter(lambda: file.read(CHUNK_BYTES), b"")


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class UrlPlace:
    """A URL that fsspec knows. An object appears when its upload is committed, which is after its checksum."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        try:
            import fsspec.core  # noqa: PLC0415 (only where copies go to a URL)

            self._files, root = fsspec.core.url_to_fs(url, **_client(options))
        except (ImportError, ValueError) as error:
            raise RunbookError(
                f"{url.partition('://')[0]}:// cannot be used here: {error}",
                remedy="install what it needs, for S3: pip install 'runbook[s3]'",
            ) from None
        self._root = str(root).rstrip("/")
        self._flat = bool({"s3", "s3a", "gs", "gcs", "abfs", "az"} & {url.partition("://")[0]})  # these have no folders
        self.name = url

    def folders(self) -> list[str]:
        """Return the folders in it."""
        with self._told():
            self._files.invalidate_cache()
            if not self._files.exists(self._root):
                return []
            return sorted(
                entry["name"].rstrip("/").rpartition("/")[2]
                for entry in self._files.ls(self._root, detail=True)
                if entry["type"] == "directory"
            )

    def listing(self, folder: str) -> dict[str, int]:
        """Return name -> bytes of all files below a folder."""
        root = f"{self._root}/{folder}"
        with self._told():
            self._files.invalidate_cache()
            found = self._files.find(root, detail=True) if self._files.exists(root) else {}
        return {path.removeprefix(root).lstrip("/"): int(entry["size"]) for path, entry in found.items()}

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a file's content."""
        with self._told(), self._files.open(f"{self._root}/{name}", "rb") as file:
            while data := file.read(CHUNK_BYTES):
                yield data

    def write(self, name: str, chunks: Iterable[bytes], *, sha256: str = "") -> None:
        """Write a file. Not all kinds of place know a commit: what is there stays until the new content is proven here."""
        with _proven(name, chunks, sha256) as content, self._told():
            if not self._flat:
                self._files.makedirs(f"{self._root}/{name}".rpartition("/")[0], exist_ok=True)
            file = self._files.open(f"{self._root}/{name}", "wb", autocommit=False)
            commits = not getattr(file, "autocommit", True)
            try:
                for chunk in content:
                    file.write(chunk)
                file.close()
                if commits:
                    file.commit()
            except BaseException:
                with contextlib.suppress(Exception):  # the first error counts
                    file.discard()
                if not commits:
                    self.remove(name)
                raise

    def remove(self, name: str) -> None:
        """Remove a file."""
        with self._told(), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(f"{self._root}/{name}")

    def free_bytes(self) -> int | None:
        """Nobody can tell."""
        return None

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (RunbookError, FileNotFoundError):
            raise
        except Exception as error:  # noqa: BLE001 (each kind of place has errors of its own)
            raise RunbookError(
                f"{self.name}: {type(error).__name__}: {str(error)[:200]}",
                remedy="check the address, the keys and the network, then resume",
            ) from None


def _client(options: Mapping[str, Any]) -> dict[str, Any]:
    """Given flat options, return those of the file system: what it does not take itself is for its client (s3fs)."""
    named = {"endpoint_url", "key", "secret", "token", "anon", "profile"}
    own = {key: value for key, value in options.items() if key in named}
    extra = {key: value for key, value in options.items() if key not in named}
    return {**own, **({"client_kwargs": extra} if extra else {})}
