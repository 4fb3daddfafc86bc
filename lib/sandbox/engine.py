"""The outer Docker engine: found, or installed and started where that can be done without asking anybody."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from sandbox.docker import docker
from sandbox.errors import EngineError
from sandbox.progress import Progress

PID_FILES = ("/run/docker.pid", "/run/docker/containerd/containerd.pid")
LOG = Path("/var/log/dockerd.log")
_REMEDY = """\
The practice server needs a Docker engine (20.10 or newer) that this user may use:
  Debian, Ubuntu   as root: apt-get install docker.io iptables; then add yourself to the group docker
  Fedora           as root: dnf install moby-engine; systemctl enable --now docker
  macOS            Docker Desktop, Colima or OrbStack; start it
Then try again. `docker info` must answer."""


def answers() -> bool:
    """Whether an engine answers now."""
    try:
        return bool(version())
    except EngineError:
        return False


def version() -> str:
    """Return the engine's version, such as `26.1.5+dfsg1`.

    Raises:
        EngineError: no engine answers.
    """
    # not `docker info`: with --format it succeeds without an engine in some versions
    return docker("version", "--format={{.Server.Version}}", timeout_s=30).stdout.strip()


def ensure(progress: Progress) -> None:
    """Have an engine that answers; on Debian and Ubuntu as root one is installed and started.

    Raises:
        EngineError: there is none and none can be started here; the text says exactly what to install.
    """
    if answers():
        return
    if os.environ.get("DOCKER_HOST"):
        raise EngineError(f"DOCKER_HOST is {os.environ['DOCKER_HOST']}, but no Docker engine answers there.\n{_REMEDY}")
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise EngineError(f"No Docker engine answers on this machine.\n{_REMEDY}")
    if not shutil.which("dockerd") or not shutil.which("docker") or not shutil.which("iptables"):
        with progress.step("installing a Docker engine"):
            _install()
        if answers():  # some packages start it
            return
    with progress.step("starting the Docker engine"):
        _start()


def _install() -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=False, capture_output=True, env=quiet)
    # docker-cli is a package of its own in newer releases only
    split = subprocess.run(["apt-cache", "show", "docker-cli"], check=False, capture_output=True).returncode == 0
    packages = ["docker.io", "iptables", "mmdebstrap", *(["docker-cli"] if split else [])]
    done = subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        check=False,
        capture_output=True,
        text=True,
        env=quiet,
    )
    if done.returncode != 0:
        raise EngineError(f"`apt-get install {' '.join(packages)}` failed:\n{done.stderr.strip()[-1500:]}\n{_REMEDY}")


def is_stale(pid_file: Path, program: str) -> bool:
    """Whether a pid file names no running process of that program, as after a kill that left no time to clean up."""
    try:
        pid = int(pid_file.read_text())
        return program not in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return pid_file.exists()
    except (ProcessLookupError, ValueError):
        return True


def _start() -> None:
    if Path("/run/systemd/system").is_dir():
        done = subprocess.run(["systemctl", "start", "docker"], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise EngineError(f"`systemctl start docker` failed: {done.stderr.strip()}\nLook at: journalctl -u docker")
    else:
        for place in PID_FILES:
            if is_stale(Path(place), "containerd" if "containerd" in place else "dockerd"):
                Path(place).unlink(missing_ok=True)
        with LOG.open("ab") as log:
            # in a session of its own: Ctrl-C at this program must not end it
            subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 60
    while not answers():
        if time.monotonic() > deadline:
            tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-10:]) if LOG.exists() else ""
            raise EngineError(f"The Docker engine was started but does not answer after 60 s.\n{tail}\n{_REMEDY}")
        time.sleep(0.3)
