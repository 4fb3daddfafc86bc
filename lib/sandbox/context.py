"""Build contexts: which files of the tree go into an image, as a tar stream and as a hash."""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent
_NOT_INPUTS = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", "node_modules"}


def files(*folders: str, root: Path = ROOT) -> Iterator[tuple[str, Path]]:
    """Yield name and path of every input file under these folders (or single files), in a fixed order."""
    for folder in folders:
        top = root / folder
        found = [top] if top.is_file() else sorted(path for path in top.rglob("*") if path.is_file())
        for path in found:
            relative = path.relative_to(root)
            if not _NOT_INPUTS.intersection(relative.parts) and path.suffix != ".pyc":
                yield relative.as_posix(), path


def fingerprint(inputs: Iterable[tuple[str, Path]], *facts: str) -> str:
    """Return a short hash of names, contents and executable bits, and of further facts (other hashes, arguments)."""
    digest = hashlib.sha256()
    for name, path in inputs:
        mode = "x" if path.stat().st_mode & 0o100 else "-"
        digest.update(f"{name}\0{mode}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    for fact in facts:
        digest.update(f"fact\0{fact}\n".encode())
    return digest.hexdigest()[:12]


def archive(inputs: Iterable[tuple[str, Path]], extra: dict[str, bytes]) -> bytes:
    """Return a build context as a tar file; owners and times are left out, so that docker's cache holds."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, path in inputs:
            entry = tarfile.TarInfo(name)
            content = path.read_bytes()
            entry.size = len(content)
            entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            tar.addfile(entry, io.BytesIO(content))
        for name, content in extra.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
