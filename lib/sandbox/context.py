"""Build contexts: which files of the tree go into an image, as a tar stream and as a hash."""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parent
_NOT_INPUTS = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", "node_modules"}


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files as they were when they were read, so that an edit during a build cannot mix two states of the tree."""

    files: tuple[tuple[str, bytes, bool], ...]
    """Name, content and whether it is executable, in a fixed order."""

    @classmethod
    def read(cls, *folders: str, root: Path = ROOT) -> Self:
        """Read every input file under these folders of `root` (or these single files)."""
        found = []
        for folder in folders:
            top = root / folder
            for path in [top] if top.is_file() else sorted(top.rglob("*")):
                relative = path.relative_to(root)
                if path.is_file() and not _NOT_INPUTS.intersection(relative.parts) and path.suffix != ".pyc":
                    found.append((relative.as_posix(), path.read_bytes(), bool(path.stat().st_mode & 0o100)))
        return cls(tuple(found))

    def fingerprint(self, *facts: str) -> str:
        """Return a short hash of the files and of further facts (other hashes, arguments)."""
        lines = [
            f"{name}\0{executable}\0{hashlib.sha256(content).hexdigest()}" for name, content, executable in self.files
        ]
        return fingerprint(*lines, *facts)

    def archive(self, extra: Mapping[str, bytes]) -> bytes:
        """Return a build context as a tar file; owners and times are left out, so that docker's cache holds."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name, content, executable in (
                *self.files,
                *((name, content, False) for name, content in extra.items()),
            ):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                entry.mode = 0o755 if executable else 0o644
                tar.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()


def fingerprint(*facts: str) -> str:
    """Return a short hash of facts."""
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(f"{len(fact)}\0{fact}\n".encode())
    return digest.hexdigest()[:12]
