"""Commands on a practice server without ssh: for setting it up, and for looking at it by other means than the library."""

from collections.abc import Sequence

from sandbox import state
from sandbox.docker import Completed, docker, inspect
from sandbox.errors import EngineError, NotUpError
from sandbox.state import Sandbox


def execute(
    name: str,
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    user: str = "root",
    timeout_s: float = 120,
    check: bool = False,
) -> Completed:
    """Run a command on the server through the outer engine.

    Raises:
        NotUpError: the sandbox does not run.
        EngineError: the command failed while `check` is set, or took too long.
    """
    sandbox = Sandbox.named(name)
    interactive = ["--interactive"] if stdin is not None else []
    done = docker(
        "exec", *interactive, f"--user={user}", sandbox.container, *argv, stdin=stdin, timeout_s=timeout_s, check=False
    )
    if not done.ok:
        found = inspect("container", sandbox.container)
        if found is None or not found["State"]["Running"]:
            raise NotUpError(f"The sandbox {name} does not run. Start it: sandbox up {name}")
        if check:
            raise EngineError(
                f"`{' '.join(argv)}` on {name} failed with exit code {done.exit_code}: {done.stderr.strip()}"
            )
    return done


def fetch(sandbox: Sandbox, path: str, name: str) -> None:
    """Copy a file of the server into the sandbox's state folder."""
    state.write_private(sandbox.folder / name, execute(sandbox.name, ["cat", path], check=True).stdout)
