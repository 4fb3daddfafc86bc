"""What the issue of speed promises, measured against named alternatives in one run on one machine."""

from __future__ import annotations

import datetime as dt
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import alternatives
import measure
import pytest

from runbook import parameters
from runbook.connection import Connection
from runbook.parameters import project_root
from runbook.records.index import Index
from sandbox import lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.parameters import Parameters

pytestmark = pytest.mark.bench
TURNS = int(os.environ.get("RUNBOOK_BENCH_TURNS", "7"))
INSTANCE = "sandbox"
LAUNCHER = str(project_root() / "runbook")


@pytest.fixture(scope="module")
def settings() -> Parameters:
    lifecycle.up(INSTANCE)
    return parameters.load(f"sandbox@{INSTANCE}")


def test_remote_part_of_the_quick_check(settings: Parameters, tmp_path: Path) -> None:
    commands = alternatives.probes(settings)

    def ours() -> None:
        with Connection(settings) as connection:
            results = connection.run_all(commands)
        assert len(results) == len(commands)

    play, play_environment = alternatives.ansible(settings, commands, tmp_path)
    deploy, deploy_environment = alternatives.pyinfra(settings, commands, tmp_path)
    fast = measure.medians(
        {
            "runbook, connect included": ours,
            "ssh host 'bash -s', one batch": lambda: alternatives.run_batch(settings, commands),
        },
        times=TURNS,
    )
    slow = measure.medians(
        {
            "ansible-playbook, pipelining": lambda: subprocess.run(
                play, env=play_environment, check=True, capture_output=True
            ),
            "pyinfra": lambda: subprocess.run(
                deploy, env=deploy_environment, check=True, capture_output=True, cwd=tmp_path
            ),
        },
        times=max(1, TURNS // 2),
    )
    measured = fast | slow
    measure.show(f"health.quick, remote part: {len(commands)} probes", measured, "ssh host 'bash -s', one batch")
    assert measured["runbook, connect included"] <= 1.0 * measured["ssh host 'bash -s', one batch"]
    assert measured["ansible-playbook, pipelining"] >= 8 * measured["runbook, connect included"]
    assert measured["pyinfra"] >= 4 * measured["runbook, connect included"]


def test_a_whole_run_against_papermill_on_an_empty_notebook(settings: Parameters, tmp_path: Path) -> None:
    empty = tmp_path / "empty.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    empty.write_text(json.dumps({"cells": [], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    papermill = [sys.executable, "-m", "papermill", "--no-progress-bar", str(empty), str(tmp_path / "out.ipynb")]
    ours = [
        LAUNCHER,
        "run",
        "04-health/quick",
        "--target",
        settings.target,
        "--no-html",
        "--outputs",
        str(tmp_path / "outputs"),
    ]
    peaks: list[int] = []

    def whole() -> None:
        done = subprocess.run(ours, check=False, capture_output=True, text=True)
        assert done.returncode < 4, done.stdout + done.stderr
        peaks.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)

    measured = measure.medians(
        {
            "./runbook run 04-health/quick": whole,
            "papermill EMPTY.ipynb": lambda: subprocess.run(papermill, check=True, capture_output=True),
        },
        times=TURNS,
    )
    measure.show("a whole run, HTML aside", measured, "papermill EMPTY.ipynb")
    print(f"  peak memory of the largest process: {max(peaks) / 1024:.0f} MB")
    assert measured["./runbook run 04-health/quick"] <= 1.0 * measured["papermill EMPTY.ipynb"]


def test_peak_memory_of_a_run(settings: Parameters, tmp_path: Path) -> None:
    """Runner and kernel together, proportional set size, sampled every 20 ms."""
    run = subprocess.Popen(
        [
            LAUNCHER,
            "run",
            "04-health/detailed",
            "--target",
            settings.target,
            "--no-html",
            "--outputs",
            str(tmp_path / "outputs"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peak = 0
    while run.poll() is None:
        peak = max(peak, sum(_proportional(pid) for pid in _family(run.pid)))
        time.sleep(0.02)
    print(f"\npeak memory of a run of 04-health/detailed (runner and kernel): {peak / 1024:.0f} MB")
    assert run.returncode < 4
    assert 0 < peak < 300 * 1024


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        found = [int(child) for child in children.read_text().split()]
    except OSError:
        return [pid]
    return [pid, *(member for child in found for member in _family(child))]


def _proportional(pid: int) -> int:
    """Return a process's share of memory in KiB (Pss of /proc/PID/smaps_rollup)."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)


def test_help_is_there_at_once() -> None:
    measured = measure.medians(
        {"./runbook --help": lambda: subprocess.run([LAUNCHER, "--help"], check=True, capture_output=True)},
        times=2 * TURNS,
    )
    measure.show("help", measured, "./runbook --help")
    assert measured["./runbook --help"] <= 0.3


@pytest.fixture(scope="module")
def ten_thousand(settings: Parameters, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten thousand records: one real run, copied under other names, times and numbers."""
    outputs = tmp_path_factory.mktemp("many") / "outputs"
    subprocess.run(
        [LAUNCHER, "run", "04-health/quick", "--target", settings.target, "--no-html", "--outputs", str(outputs)],
        check=False,
        capture_output=True,
    )
    (real,) = outputs.glob("*.ipynb")
    record = json.loads(real.read_text())
    record["cells"] = [
        cell for cell in record["cells"] if len(json.dumps(cell)) < 6000
    ]  # the copies need no long tables
    for number in range(10_000):
        moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=30 * number)
        about = record["metadata"]["runbook"]
        about["started"] = moment.isoformat().replace("+00:00", "Z")
        about["header"]["operator"] = f"operator-{number % 7}"
        name = f"{moment:%Y%m%dT%H%M%SZ}--sandbox--04-health.quick--{number:06x}.ipynb"
        (outputs / name).write_text(json.dumps(record))
    return outputs


def test_records_are_found_at_once(ten_thousand: Path) -> None:
    def command(*words: str) -> Callable[[], object]:
        return lambda: subprocess.run(
            [LAUNCHER, "records", "--outputs", str(ten_thousand), *words], check=True, capture_output=True
        )

    begun = time.perf_counter()
    command("list")()
    first = time.perf_counter() - begun
    path = _some_number(ten_thousand)
    ways = {"list": command("list"), "search": command("search", "operator-3"), "trend": command("trend", path)}
    measured = measure.medians({f"./runbook records {name}": way for name, way in ways.items()}, times=TURNS)
    sample = 50
    begun = time.perf_counter()
    some = ten_thousand.parent / "some"
    some.mkdir(exist_ok=True)
    for record in sorted(ten_thousand.glob("*.ipynb"))[:sample]:
        shutil.copy(record, some)
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import scrapbook; book = scrapbook.read_notebooks({str(some)!r}); [n.scraps for n in book.notebooks]",
        ],
        check=True,
        capture_output=True,
    )
    scrapbook = (time.perf_counter() - begun) * 10_000 / sample
    measure.show(
        "10,000 records, whole commands",
        measured | {"scrapbook.read_notebooks (from 50, extrapolated)": scrapbook},
        "./runbook records list",
    )
    print(f"  indexing 10,000 records once: {first:.1f} s")
    assert all(seconds <= 0.5 for seconds in measured.values())


def test_the_index_is_kept_up_incrementally(ten_thousand: Path) -> None:
    with Index(ten_thousand) as index:
        index.update()
    newest = max(ten_thousand.glob("*--sandbox--*.ipynb"))
    shutil.copy(newest, newest.with_name(newest.name.replace("--sandbox--", "--another--")))
    begun = time.perf_counter()
    with Index(ten_thousand) as index:
        assert index.update() == 1
    seconds = time.perf_counter() - begun
    print(f"\none more record among 10,000: indexed in {seconds:.3f} s")
    assert seconds < 0.5


def _some_number(outputs: Path) -> str:
    with Index(outputs) as index:
        return next(path for path in index.paths() if "seconds" in path or "percent" in path or "bytes" in path)
