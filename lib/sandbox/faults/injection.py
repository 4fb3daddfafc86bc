"""Put faults in and take them out. The server itself remembers which are in, so a reset server has none."""

from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files

from sandbox.errors import SandboxError
from sandbox.faults.catalogue import FAULTS
from sandbox.faults.fault import Fault
from sandbox.lifecycle import execute

KEPT = "/var/lib/practice/faults"
STACK = "/opt/pazpaz/docker-compose.prod.yml"
TIMEOUT_S = 240
READY_WITHIN_S = 90
READY = f"""
for _ in $(seq {READY_WITHIN_S * 2}); do
  [ "$(WAIT=6 code /api/v1/ready)" = 200 ] && [ "$(WAIT=6 code /)" = 200 ] && exit 0
  sleep 0.5
done
WAIT=6 https https://pazpaz.test/api/v1/ready || true
exit 1
"""


class UnknownFaultError(SandboxError):
    """No fault has that name."""


class InjectionError(SandboxError):
    """A fault could not be put in or taken out."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a script ended on the server."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.exit_code == 0


def find(name: str) -> Fault:
    """Return the fault of that name. Raise UnknownFaultError with what may have been meant."""
    if name in FAULTS:
        return FAULTS[name]
    close = get_close_matches(name, FAULTS, n=3, cutoff=0.4)
    hint = f" Did you mean {', '.join(close)}?" if close else ""
    raise UnknownFaultError(f"There is no fault {name!r}.{hint} All of them: ./runbook sandbox break --list")


def script(server: str, fault: Fault, body: str) -> Outcome:
    """Run a fault's script on the server, after the prelude."""
    prelude = files("sandbox.faults").joinpath("prelude.sh").read_text()
    text = f"FAULT={fault.name}\n{prelude}\n{body}\n"
    # from a file, not from stdin: what the script runs could read the rest of the script away
    argv = ["bash", "-c", 'f=$(mktemp) && cat >"$f" && bash "$f" </dev/null; code=$?; rm -f "$f"; exit $code']
    done = execute(server, argv, stdin=text, timeout_s=TIMEOUT_S)
    return Outcome(done.exit_code, done.stdout, done.stderr)


def injected(server: str) -> list[str]:
    """Return the names of the faults that are in, oldest first."""
    done = execute(server, ["sh", "-c", f"ls -tr {KEPT}/*/injected 2>/dev/null || true"], check=True)
    return [line.split("/")[-2] for line in done.stdout.split()]


def inject(server: str, fault: Fault) -> None:
    """Put the fault in and look that it is there.

    Raises:
        InjectionError: it is in already, there is no stack, or it did not take; what was done of it is undone then.
    """
    if fault.name in injected(server):
        raise InjectionError(f"{fault.name} is in {server} already. Take it out: ./runbook sandbox mend {fault.name}")
    if not execute(server, ["test", "-e", STACK]).ok:
        raise InjectionError(
            f"{server} has no stack to break: {STACK} is missing. A bare server has to be recovered first."
        )
    done = script(server, fault, 'mkdir -p -m 0700 "$kept" && touch "$kept/injected"\n' + fault.inject)
    if done.ok and is_there(server, fault):
        return
    undone = script(server, fault, fault.mend)
    forget(server, fault)
    reason = (done.stderr or done.stdout or "it left no trace").strip()[-800:]
    after = "what was done is undone" if undone.ok else f"and undoing failed too: {undone.stderr.strip()[-400:]}"
    raise InjectionError(f"{fault.name} could not be put into {server}; {after}. Reason: {reason}")


def is_there(server: str, fault: Fault) -> bool:
    """Tell whether the fault's evidence is seen on the server now."""
    return script(server, fault, fault.evidence).ok


def mend(server: str, fault: Fault) -> None:
    """Take the fault out, look that it is gone, and wait until the server is ready again unless other faults are in.

    Raises:
        InjectionError: it could not be taken out; a reset of the server always helps.
    """
    remedy = f"Bring the server back as a whole: ./runbook sandbox reset {server}"
    done = script(server, fault, fault.mend)
    if not done.ok:
        raise InjectionError(f"{fault.name} could not be taken out: {done.stderr.strip()[-800:]}\n{remedy}")
    if is_there(server, fault):
        raise InjectionError(f"{fault.name} is still there after mending. {remedy}")
    forget(server, fault)
    if not injected(server):
        ready = script(server, fault, READY)
        if not ready.ok:
            raise InjectionError(f"{fault.name} is out, but the server is not ready: {ready.stdout.strip()}\n{remedy}")


def mend_all(server: str) -> list[str]:
    """Take out every fault, newest first, and return their names."""
    names = injected(server)[::-1]
    for name in names:
        mend(server, find(name))
    return names


def forget(server: str, fault: Fault) -> None:
    """Remove the fault's undo material and mark from the server."""
    execute(server, ["rm", "-rf", "--one-file-system", f"{KEPT}/{fault.name}"], check=True)
