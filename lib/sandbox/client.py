"""A client that reaches a sandbox from an address of its own, to prove what can be reached from outside and what is cut off.

The operator's connections come from the outer engine's gateway. The client is a container beside the sandbox, with its
own address, which stays the same until the sandbox is taken down. It knows the server as `pazpaz.test` and by its name,
and logs in by ssh with the operator's key.
"""

import subprocess
from collections.abc import Sequence
from typing import Any

from sandbox import images, state
from sandbox.docker import LABEL, Completed, docker, exists, inspect, remove
from sandbox.errors import NotUpError
from sandbox.state import Sandbox

_SETTLE = """
umask 077
printf '127.0.0.1 localhost\\n%s pazpaz.test %s\\n' "$1" "$2" > /etc/hosts
mkdir -p /root/.ssh
cat > /root/.ssh/id_ed25519
printf 'Host *\\n  User pazpaz\\n  IdentitiesOnly yes\\n  ConnectTimeout 5\\n  LogLevel ERROR\\n' > /root/.ssh/config
printf 'Host %s pazpaz.test\\n  HostKeyAlias %s\\n  StrictHostKeyChecking yes\\n' "$2" "$2" >> /root/.ssh/config
printf '%s\\n' "$3" > /root/.ssh/known_hosts
printf '%s\\n' "$4" > /root/authority.crt
"""
"""Tells the client where the server is now and who it is: one that was reset may have another address and authority."""
_TRUST = "--env=CURL_CA_BUNDLE=/root/authority.crt"


def run(name: str, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60) -> Completed:
    """Run a command on the client of the sandbox NAME, as root of the client.

    Raises:
        NotUpError: the sandbox does not run.
        EngineError: the command took longer than `timeout_s`.
    """
    interactive = ["--interactive"] if stdin is not None else []
    return docker("exec", *interactive, _TRUST, ensure(name), *argv, stdin=stdin, timeout_s=timeout_s, check=False)


def address(name: str) -> str:
    """Return the address from which the client of the sandbox NAME comes."""
    return _address(inspect("container", ensure(name)))


def attach(name: str, argv: Sequence[str]) -> int:
    """Run a command on the client with this process's input and outputs, and return its exit code."""
    return subprocess.run(["docker", "exec", "--interactive", _TRUST, ensure(name), *argv], check=False).returncode


def ensure(name: str) -> str:
    """Have the client of the sandbox NAME running, knowing the server as it is now; return its container's name."""
    sandbox = Sandbox.named(name)
    server = inspect("container", sandbox.container)
    if server is None or not server["State"]["Running"]:
        raise NotUpError(f"The sandbox {name} does not run. Start it: sandbox up {name}")
    with state.locked(sandbox.client):
        found = inspect("container", sandbox.client)
        if found is None or not found["State"]["Running"]:
            remove("container", [sandbox.client])
            docker(
                "run",
                "--detach",
                "--pull=never",
                f"--name={sandbox.client}",
                "--hostname=client",
                f"--label={LABEL}=client",
                "--stop-signal=KILL",
                "--entrypoint=sleep",
                _image(sandbox, server),
                "infinity",
            )
        key = (sandbox.folder / "id_ed25519").read_text()
        known = (sandbox.folder / "known_hosts").read_text().splitlines()[0]
        authority = (sandbox.folder / "ca.crt").read_text().strip()
        facts = (_address(server), name, known, authority)
        docker("exec", "--interactive", sandbox.client, "sh", "-ec", _SETTLE, "settle", *facts, stdin=key)
    return sandbox.client


def _image(sandbox: Sandbox, server: dict[str, Any]) -> str:
    """Return an image with curl, nc and ssh: a bare server's own may lack them, the golden state's has them."""
    about = state.read_about(sandbox)
    golden = f"{images.PREFIX}/golden:{about.golden}" if about else ""
    return golden if golden and exists("image", golden) else str(server["Image"])


def _address(container: dict[str, Any] | None) -> str:
    networks = container["NetworkSettings"]["Networks"] if container else {}
    return next((str(each["IPAddress"]) for each in networks.values() if each["IPAddress"]), "")
