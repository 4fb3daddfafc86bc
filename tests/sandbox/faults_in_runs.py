"""What befalls a run in the middle of a step: its processes are killed, its connection is cut, the server loses power."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from sandbox import lifecycle
from sandbox.docker import inspect
from sandbox.errors import NotReadyError
from sandbox.state import Sandbox

if TYPE_CHECKING:
    from changes import Running

CUT_SECONDS = 3
# the sessions die, the port is silent for some seconds, and whoever came back in that time is thrown out once more
CUT = f"""
pkill -KILL -u pazpaz sshd-session
iptables -I INPUT 1 -p tcp --dport 22 -j DROP
sleep {CUT_SECONDS}
iptables -D INPUT -p tcp --dport 22 -j DROP
sleep 1.5
pkill -KILL -u pazpaz sshd-session
echo over
"""


@dataclass
class Misfortune:
    """Ready to strike within some milliseconds; from `with` to its end."""

    fault: str
    server: str
    _shell: subprocess.Popen[str] | None = field(default=None, init=False)
    _power: int = field(default=0, init=False)

    def __enter__(self) -> Self:
        container = Sandbox.named(self.server).container
        if self.fault == "cut":
            argv = ["docker", "exec", "-i", container, "bash", "-s"]
            self._shell = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        elif self.fault == "reboot":
            found = inspect("container", container)
            assert found is not None
            self._power = int(found["State"]["Pid"])
        return self

    def strike(self, run: Running) -> None:
        """Do it. A reboot is over when the server runs again (its services may still be starting)."""
        if self.fault == "kill":
            run.kill()
        elif self._shell is not None:
            assert self._shell.stdin is not None
            self._shell.stdin.write(CUT)
            self._shell.stdin.flush()
        else:
            os.kill(self._power, signal.SIGKILL)  # the server's first process: all others die with it, unasked
            subprocess.run(["docker", "wait", Sandbox.named(self.server).container], check=True, capture_output=True)
            # a server between two states is not ready before the run is gone on with
            with contextlib.suppress(NotReadyError):
                lifecycle.up(self.server)

    def __exit__(self, *_error: object) -> None:
        if self._shell is not None:
            told, _ = self._shell.communicate(timeout=60)
            assert self._shell.returncode == 0, told
