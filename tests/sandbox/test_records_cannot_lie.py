"""A record that cannot lie: whatever ends a run, the record (or the next command) says what was reached and what not.

The notebook is health.quick with one cell put in, which says where it is and waits: the place where things go wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from runbook.parameters import project_root, sandbox_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Host

pytestmark = pytest.mark.sandbox

NOTEBOOK = "04-health/quick"
GATE = """\
import pathlib, time
pathlib.Path(gate).touch()
while not pathlib.Path(gate + ".go").exists():
    try:
        time.sleep(0.05)
    except KeyboardInterrupt:
        if not stubborn:
            raise"""
RUNBOOK = [sys.executable, "-P", "-m", "runbook"]
PATIENCE_SECONDS = 60.0


def wait_for(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"{what} did not come about within {PATIENCE_SECONDS:g} s"
        time.sleep(0.05)


@dataclass
class Root:
    """A folder with the notebook that waits, params and outputs of its own."""

    folder: Path
    target: str
    environment: dict[str, str]

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    @property
    def gate(self) -> Path:
        return self.folder / "gate"

    def start(self, *more: str, stubborn: bool = False) -> subprocess.Popen[str]:
        """Start a run and return it when it is in the cell that waits."""
        arguments = [
            "run",
            NOTEBOOK,
            "--target",
            self.target,
            "-p",
            "gate",
            str(self.gate),
            "-p",
            "stubborn",
            str(stubborn),
        ]
        process = subprocess.Popen(
            [*RUNBOOK, *arguments, *more],
            env=self.environment, cwd=self.folder, start_new_session=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        wait_for(lambda: self.gate.exists() or process.poll() is not None, "the cell that waits")
        assert process.poll() is None, process.communicate()
        return process

    def go(self) -> None:
        self.gate.with_name("gate.go").touch()

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*RUNBOOK, *arguments], env=self.environment, cwd=self.folder, text=True, capture_output=True, check=False
        )

    def record(self) -> dict[str, Any]:
        """The one record that is there."""
        (path,) = self.outputs.glob("*.ipynb")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def verify(self) -> None:
        done = self.call("records", "verify")
        assert done.returncode == 0, done.stdout + done.stderr


def has_ended(process: psutil.Process) -> bool:
    """Whether a process runs no more; an orphan may stay a zombie where process 1 does not reap."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def root(tmp_path: Path, host: Host) -> Iterator[Root]:
    shutil.copytree(project_root() / "params", tmp_path / "params")
    (tmp_path / "outputs").mkdir()
    place = tmp_path / "notebooks" / f"{NOTEBOOK}.ipynb"
    place.parent.mkdir(parents=True)
    notebook = json.loads((project_root() / "notebooks" / f"{NOTEBOOK}.ipynb").read_text())
    cells = notebook["cells"]
    for cell in cells:
        cell["source"] = "".join(cell["source"])
    parameters = next(cell for cell in cells if "parameters" in cell["metadata"].get("tags", ()))
    parameters["source"] += (
        f'\ngate: str = "{tmp_path / "gate"}"  # made when the run is here\nstubborn: bool = False  # ignores Ctrl-C'
    )
    place_of_preflight = next(n for n, cell in enumerate(cells) if "preflight(" in cell["source"])
    waiting = [
        {"cell_type": "markdown", "id": "wait-title", "metadata": {}, "source": "## Wait here"},
        {"cell_type": "code", "id": "wait", "metadata": {}, "source": GATE, "outputs": [], "execution_count": None},
    ]
    cells[place_of_preflight + 1 : place_of_preflight + 1] = waiting
    place.write_text(json.dumps(notebook))
    environment = os.environ | {
        "RUNBOOK_ROOT": str(tmp_path),
        "RUNBOOK_SANDBOX_HOME": str(sandbox_home()),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    for name in ("RUNBOOK_RUN_ID", "RUNBOOK_OUTPUTS"):
        environment.pop(name, None)
    yield Root(tmp_path, f"sandbox@{host.name}", environment)
    for process in psutil.process_iter(["environ"]):  # nothing of this test may go on after it
        with contextlib.suppress(psutil.Error):
            if (process.info["environ"] or {}).get("RUNBOOK_ROOT") == str(tmp_path):
                process.kill()


def kernel_of(runner: subprocess.Popen[str]) -> psutil.Process:
    (kernel,) = [
        child for child in psutil.Process(runner.pid).children() if "runbook.execution.kernel" in child.cmdline()
    ]
    return kernel


def assert_half(record: dict[str, Any], state: str, reason: str) -> None:
    """The record says: up to the waiting cell, that one broken off, the rest not reached; and no verdict counts."""
    told = record["metadata"]["runbook"]
    assert told["state"] == state
    assert reason in told["reason"]
    assert told["exit_code"] == 5
    status = {cell["id"]: cell["status"] for cell in told["cells"]}
    place = list(status).index("wait")
    assert set(list(status.values())[:place]) == {"ok"}
    assert status["wait"] in {"interrupted", "failed"}
    assert set(list(status.values())[place + 1 :]) == {"not reached"}
    banner = record["cells"][0]["source"]
    assert banner.startswith("# NOT WHOLE")
    assert "Wait here" in banner
    unreached = [
        cell for cell in record["cells"] if cell.get("metadata", {}).get("runbook", {}).get("status") == "not reached"
    ]
    assert unreached
    assert all("NOT REACHED" in cell["outputs"][-1]["text"] for cell in unreached)


def test_kernel_killed(root: Root) -> None:
    run = root.start()
    kernel_of(run).kill()
    out, err = run.communicate(timeout=60)
    assert run.returncode == 5
    assert "KERNEL DIED" in out, err
    assert_half(root.record(), "kernel died", "killed by signal 9")
    root.verify()


def test_runner_killed(root: Root) -> None:
    run = root.start()
    kernel = kernel_of(run)
    run.kill()
    run.communicate()
    assert run.returncode == -signal.SIGKILL
    listed = root.call("records", "list")  # the next command that looks
    assert "DIED" in listed.stdout, listed
    assert_half(root.record(), "died", "in the middle of a cell")
    root.verify()
    assert has_ended(kernel)


def test_runner_and_kernel_killed_and_the_next_run_tells(root: Root) -> None:
    run = root.start()
    kernel_of(run).kill()
    run.kill()
    run.communicate()
    root.go()
    done = root.call("run", NOTEBOOK, "--target", root.target)
    assert "an earlier run had no end" in done.stderr
    assert len(list(root.outputs.glob("*.ipynb"))) == 2
    root.verify()


@pytest.mark.parametrize(("number", "told"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")])
def test_stopped_by_a_signal(root: Root, number: signal.Signals, told: str) -> None:
    run = root.start()
    kernel = kernel_of(run)
    begun = time.monotonic()
    os.killpg(run.pid, number)  # as a terminal does: to the whole group
    out, _ = run.communicate(timeout=60)
    assert time.monotonic() - begun < 10
    assert run.returncode == 5
    assert "INTERRUPTED" in out
    assert_half(root.record(), "interrupted", told)
    assert has_ended(kernel)
    root.verify()


def test_a_cell_over_its_time(root: Root) -> None:
    run = root.start("--cell-timeout", "12")
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 5
    assert "TIMED OUT" in out
    assert_half(root.record(), "timed out", "Wait here ran longer than 12 s")
    root.verify()


def test_a_cell_that_will_not_be_interrupted_is_killed(root: Root) -> None:
    run = root.start("--cell-timeout", "12", stubborn=True)
    run.communicate(timeout=60)
    assert run.returncode == 5
    assert_half(root.record(), "timed out", "was killed")
    root.verify()


def test_sshd_stopped_in_the_middle(root: Root, host: Host) -> None:
    run = root.start()
    try:
        host.sh(
            "systemctl stop ssh.socket ssh.service; pkill -KILL sshd-session || pkill -KILL sshd || true", check=False
        )
        root.go()
        out, err = run.communicate(timeout=90)
    finally:
        host.sh("systemctl start ssh.service")
    # the quick check goes on from outside: its record is whole, and says what it could not see
    assert run.returncode == 2, out + err
    told = root.record()["metadata"]["runbook"]
    assert (told["state"], told["verdict"]) == ("whole", "CRITICAL")
    assert "only the way in over SSH is gone" in told["before"]["sentence"]
    states = {row["check"]: row["state"] for row in told["before"]["rows"]}
    assert states["services.state"] == "UNKNOWN"
    assert states["web.front-page"] == "OK"
    root.verify()


@pytest.fixture
def small_outputs(root: Root) -> Iterator[Root]:
    """The outputs folder on a file system of two megabytes (needs root, as the practice server's engine does)."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(root.outputs)], check=True)
    yield root
    subprocess.run(["umount", "--lazy", str(root.outputs)], check=True)


def fill(folder: Path) -> Path:
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 512)
    return path


def test_outputs_full_in_the_middle(small_outputs: Root) -> None:
    root = small_outputs
    run = root.start()
    filler = fill(root.outputs)
    root.go()
    out, err = run.communicate(timeout=60)
    assert run.returncode == 5, out + err
    assert "No space left" in err
    assert not list(root.outputs.glob("*.ipynb"))
    (kept,) = (root.folder / "state" / "runbook" / "journal").glob("*.jsonl")
    assert str(kept) in err
    still = root.call("records", "finalise")
    assert still.returncode == 5
    assert str(kept) in still.stderr
    filler.unlink()
    listed = root.call("records", "list")
    assert "finished for a run that had no end" in listed.stderr, listed
    told = root.record()["metadata"]["runbook"]
    assert told["state"] == "whole"  # every cell ran; nothing of it was lost
    assert {cell["status"] for cell in told["cells"]} == {"ok"}
    assert not kept.exists()
    root.verify()


def test_outputs_full_from_the_start(small_outputs: Root) -> None:
    fill(small_outputs.outputs)
    done = small_outputs.call("run", NOTEBOOK, "--target", small_outputs.target)
    assert done.returncode == 5
    assert "No space left" in done.stderr
    assert "nothing was run" in done.stderr
    assert not small_outputs.gate.exists()


def test_papermill_alone_leaves_the_same_record(root: Root) -> None:
    root.go()
    ours = root.call("run", NOTEBOOK, "--target", root.target)
    assert ours.returncode in range(4), ours
    first = root.record()
    (path,) = root.outputs.glob("*.ipynb")
    shutil.rmtree(root.outputs)
    root.outputs.mkdir()
    notebook = root.folder / "notebooks" / f"{NOTEBOOK}.ipynb"
    arguments = [
        str(notebook),
        str(root.folder / "OUT.ipynb"),
        "-p",
        "target",
        root.target,
        "-p",
        "gate",
        str(root.gate),
    ]
    stock = subprocess.run(
        [sys.executable, "-m", "papermill", *arguments],
        env=root.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert stock.returncode == 0, stock.stderr
    second = root.record()
    for of in ("header", "state"):
        ours_told, stock_told = (record["metadata"]["runbook"][of] for record in (first, second))
        if of == "header":
            for name in ("notebook", "target", "operator", "notebook_sha256", "git_commit", "versions"):
                assert ours_told[name] == stock_told[name], name
        else:
            assert ours_told == stock_told == "whole"
    names = [[item["name"] for item in record["metadata"]["runbook"]["commands"]] for record in (first, second)]
    assert sorted(names[0]) == sorted(names[1])
    code = [
        [cell["id"] for cell in record["cells"] if cell["cell_type"] == "code" and "parameters" not in cell["id"]]
        for record in (first, second)
    ]
    assert code[0] == code[1]
    assert path.name != next(root.outputs.glob("*.ipynb")).name


def test_papermills_kernel_killed(root: Root) -> None:
    notebook = root.folder / "notebooks" / f"{NOTEBOOK}.ipynb"
    arguments = [
        str(notebook),
        str(root.folder / "OUT.ipynb"),
        "-p",
        "target",
        root.target,
        "-p",
        "gate",
        str(root.gate),
    ]
    run = subprocess.Popen(
        [sys.executable, "-m", "papermill", *arguments], env=root.environment, stderr=subprocess.DEVNULL
    )
    wait_for(root.gate.exists, "the cell that waits")
    for child in psutil.Process(run.pid).children(recursive=True):
        if "ipykernel_launcher" in " ".join(child.cmdline()):
            child.kill()
    run.wait(60)
    listed = root.call("records", "list")
    assert "DIED" in listed.stdout, listed
    told = root.record()["metadata"]["runbook"]
    status = {cell["id"]: cell["status"] for cell in told["cells"]}
    assert status["wait"] == "interrupted"
    assert "not reached" in status.values()
    root.verify()


def run_all(client: Any, cells: list[dict[str, Any]]) -> None:
    """Run all cells as JupyterLab does: each with its id, stopping at the first that fails."""
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        content = {
            "code": cell["source"],
            "silent": False,
            "store_history": True,
            "allow_stdin": True,
            "stop_on_error": True,
        }
        message = client.session.msg(
            "execute_request", content, metadata={"cellId": cell["id"], "deletedCells": [], "recordTiming": False}
        )
        client.shell_channel.send(message)
        reply = client.get_shell_msg(timeout=PATIENCE_SECONDS)
        assert reply["content"]["status"] == "ok", reply["content"]


def test_run_all_in_jupyterlab_leaves_a_record_each_time(root: Root) -> None:
    from jupyter_client.manager import KernelManager  # noqa: PLC0415 (slow to import)

    root.go()
    cells = json.loads((root.folder / "notebooks" / f"{NOTEBOOK}.ipynb").read_text())["cells"]
    for cell in cells:
        if cell["id"] == "parameters":
            cell["source"] = cell["source"].replace('"sandbox"', json.dumps(root.target))
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=root.environment)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE_SECONDS)
        for number in (1, 2):  # the kernel lives on between the two
            run_all(client, cells)
            wait_for(lambda wanted=number: len(list(root.outputs.glob("*.ipynb"))) == wanted, "the record")  # type: ignore[misc]  # bound now
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
    assert len(list(root.outputs.glob("*.ipynb"))) == 2
    for path in root.outputs.glob("*.ipynb"):
        told = json.loads(path.read_text())["metadata"]["runbook"]
        assert told["state"] == "whole"
        assert {cell["status"] for cell in told["cells"]} <= {"ok", "ran before recording began"}
    root.verify()


def test_no_secret_is_in_anything_that_a_run_leaves(root: Root, host: Host) -> None:
    root.go()
    state = sandbox_home() / host.name
    secrets = [(state / name).read_text().strip() for name in ("sudo_password", "synthetic_password")]
    lines = host.sh("cat /opt/pazpaz/.env.production").splitlines()
    settings = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    secrets += [
        value.strip("'\"")
        for name, value in settings.items()
        if any(word in name for word in ("PASSWORD", "SECRET", "KEY"))
    ]
    secrets = [value for value in secrets if len(value) >= 8]
    assert len(secrets) >= 4
    done = root.call("run", NOTEBOOK, "--target", root.target, "--depth", "full", "--wait-html")
    left = [path for path in root.folder.rglob("*") if path.is_file() and "params" not in path.parts]
    assert {path.suffix for path in left} >= {".ipynb", ".html", ".jsonl", ".sqlite"}
    texts = [done.stdout, done.stderr, *(path.read_bytes().decode("utf-8", "replace") for path in left)]
    assert not [secret[:2] for secret in secrets for text in texts if secret in text]
