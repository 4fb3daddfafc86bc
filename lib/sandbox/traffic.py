"""Invented users who work with the practice server: a bounded unit on the server itself, switched on and off."""

from importlib.resources import files

from sandbox.lifecycle import execute

UNIT = "practice-traffic"
PROGRAM = "/run/practice-traffic.py"


def start(name: str, *, minutes: int = 10, rate: float = 2.0) -> None:
    """Start the users, or start them anew with these settings; they stop by themselves after that many minutes."""
    stop(name)
    program = files("sandbox").joinpath("app/traffic/generate.py").read_text()
    execute(name, ["sh", "-c", f"cat > {PROGRAM}"], stdin=program, check=True)
    seconds = minutes * 60
    unit = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}", "--description=Invented users"]
    # The program stops by itself; systemd stops it should it not, and gives it little of the machine.
    limits = [f"--property=RuntimeMaxSec={seconds + 30}", "--property=CPUWeight=20", "--property=MemoryMax=128M"]
    program_argv = ["python3", PROGRAM, f"--seconds={seconds}", f"--rate={rate}"]
    execute(name, [*unit, *limits, *program_argv], check=True)


def stop(name: str) -> None:
    """Stop the users; none at work is no error."""
    execute(name, ["systemctl", "stop", UNIT])


def describe(name: str) -> str:
    """Say in a few words whether the users are at work."""
    done = execute(name, ["systemctl", "is-active", UNIT])
    if done.stdout.strip() != "active":
        return "no traffic"
    since = execute(name, ["systemctl", "show", "-P", "ActiveEnterTimestamp", UNIT]).stdout.strip()
    return f"traffic since {since}"
