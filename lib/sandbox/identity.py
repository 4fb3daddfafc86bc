"""What makes a sandbox this one: its host key, the operator's key and passwords, and the ssh files that pin them."""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sandbox.ports import LOOPBACK
from sandbox.state import Sandbox, write_private

USER = "pazpaz"


def new_key(comment: str) -> tuple[str, str]:
    """Return a new Ed25519 key pair in OpenSSH form: private, public."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} {comment}\n"


def ssh_config(sandbox: Sandbox, port: int) -> str:
    """Return an ssh_config that reaches the sandbox under its name and accepts no other host key."""
    folder = sandbox.folder
    return f"""\
Host {sandbox.name}
    HostName {LOOPBACK}
    Port {port}
    User {USER}
    IdentityFile "{folder / "id_ed25519"}"
    IdentitiesOnly yes
    UserKnownHostsFile "{folder / "known_hosts"}"
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    HostKeyAlias {sandbox.name}
    HostKeyAlgorithms ssh-ed25519
    LogLevel ERROR
"""


def known_hosts(sandbox: Sandbox, port: int, public_host_key: str) -> str:
    """Return known_hosts lines for the alias and for the address, so that clients without HostKeyAlias match, too."""
    algorithm, key, *_ = public_host_key.split()
    return f"{sandbox.name} {algorithm} {key}\n[{LOOPBACK}]:{port} {algorithm} {key}\n"


def create(sandbox: Sandbox, ports: dict[str, int]) -> None:
    """Make keys and passwords where they are missing, and write the ssh files for these ports."""
    folder = sandbox.folder
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    for name, comment in (("id_ed25519", "operator"), ("ssh_host_ed25519_key", sandbox.hostname)):
        if not (folder / f"{name}.pub").is_file():
            private, public = new_key(comment)
            write_private(folder / name, private)
            write_private(folder / f"{name}.pub", public)
    for name, size in (("sudo_password", 18), ("restic_password", 32)):
        if not (folder / name).is_file():
            write_private(folder / name, secrets.token_urlsafe(size) + "\n")
    write_private(folder / "ssh_config", ssh_config(sandbox, ports["ssh"]))
    host_key = (folder / "ssh_host_ed25519_key.pub").read_text()
    write_private(folder / "known_hosts", known_hosts(sandbox, ports["ssh"], host_key))


@contextmanager
def for_server(sandbox: Sandbox) -> Iterator[Path]:
    """Yield a folder with what the server itself takes up at its first start."""
    with tempfile.TemporaryDirectory(prefix="runbook-identity-") as place:
        folder = Path(place)
        for name in ("ssh_host_ed25519_key", "ssh_host_ed25519_key.pub", "sudo_password"):
            write_private(folder / name, (sandbox.folder / name).read_text())
        write_private(folder / "authorized_keys", (sandbox.folder / "id_ed25519.pub").read_text())
        yield folder
