"""The crash matrix: a procedure, a step of it, a misfortune at that step, and what became of it.

    python tests/sandbox/matrix.py --procedure restore --fault kill [--step 3] [--instance blue] [--results FILE]
    python tests/sandbox/matrix.py --table FILE ...

A slice appends one JSON line for each case and prints the table. Steps come from the journal of one uninterrupted run.
Users write all the while; afterwards no row that was acknowledged may be lost, the service is up, the lock is free, the
records are true, and the goal is reached (went on by itself, resumed) or the server is as before (undone, rolled back).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import changes
import snapshot
from changes import Change, Desk, Warm
from faults_in_runs import Misfortune
from procedures import PROCEDURES, Procedure
from users import Users

from conftest import Host
from sandbox import lifecycle

FAULTS = ("kill", "cut", "reboot")
LOCKED, DONE = (
    "(the lock is taken)",
    "(all steps are done)",
)  # moments beside the steps, at which a run may be killed, too
READY_SECONDS = 90
READY_TIMES = 4  # on a machine that does much else
EXIT_REFUSED = 4
GOOD = {"applied", "nothing to do"}
LOCK = "/var/lib/runbook/lock"
OF_THE_USERS = ("table clients", "table audit_log")


@dataclass(frozen=True)
class Case:
    """One row: `outcome` is went on by itself, resumed, undone, rolled back, or NOT MENDED; `problems` are broken promises."""

    procedure: str
    number: int
    step: str
    fault: str
    outcome: str
    seconds: float
    outage_seconds: float
    rows_acknowledged: int
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every promise was kept."""
        return not self.problems


@dataclass
class Bench:
    """One server on which cases are run one after the other."""

    host: Host
    folder: Path
    warm: Warm | None = None
    phrases: dict[str, str] = field(default_factory=dict)

    def desk(self) -> Desk:
        """A new folder of records."""
        return Desk(Path(tempfile.mkdtemp(dir=self.folder)), target=f"sandbox@{self.host.name}", warm=self.warm)

    def ready(self) -> None:
        """Wait until the stack has settled."""
        told = ""
        for _ in range(READY_TIMES):
            told = self.host.sh(f"practice-ready {READY_SECONDS} && echo READY || true")
            if told.strip().endswith("READY"):
                return
        raise AssertionError(f"the stack is not ready: {told[-600:]}")

    def steps(self, procedure: Procedure) -> list[tuple[int, str]]:
        """Run the procedure once without misfortune and return its steps, by its journal."""
        self.prepare(procedure)
        desk = self.desk()
        done = self._start(desk, procedure).wait()
        assert done.applied.get("state") == "applied", done
        reached = procedure.goal(self.host)
        assert not reached, f"{procedure.name}, uninterrupted: {reached}"
        steps = [(number, name) for number, name, phase in done.steps if phase == "apply"]
        return [(0, LOCKED), *steps, (len(steps) + 1, DONE)]

    def prepare(self, procedure: Procedure) -> None:
        """Bring the server to where the procedure begins."""
        self.host.sh(f"rm -f {LOCK}")
        Users(self.host).clear()
        procedure.prepare(self.host)
        self.ready()

    def planned(self, procedure: Procedure) -> list[str]:
        """Return the names of the steps that a dry run shows."""
        self.prepare(procedure)
        dry = self.desk().dry_run(procedure.notebook, **procedure.values)
        return [step["name"] for step in dry.plan["steps"]]

    def _start(self, desk: Desk, procedure: Procedure, *, phrase: str = "") -> changes.Running:
        """Start the change, confirmed by that phrase or by the one that a dry run shows."""
        words = ["run", procedure.notebook, "--target", desk.target, "--no-html", "--apply"]
        values = [word for name, value in procedure.values.items() for word in ("-p", name, value)]
        if not procedure.confirmed:
            return desk.start(*words, *values)
        if not phrase:
            dry = desk.dry_run(procedure.notebook, **procedure.values)
            assert dry.plan, dry
            phrase = self.phrases[procedure.name] = dry.plan["phrase"]
        return desk.start(*words, *values, "--confirm", phrase)

    def _begin(self, desk: Desk, procedure: Procedure, number: int) -> changes.Running:
        """Start the change and return when the start of the step is on disk. The phrase of an earlier case may still hold."""
        phrase = self.phrases.get(procedure.name, "")
        running = self._start(desk, procedure, phrase=phrase)
        if running.until_step(number):
            return running
        ended = running.wait()
        assert phrase, f"the run never came to step {number}: {ended}"
        assert ended.code == EXIT_REFUSED, f"the run never came to step {number}: {ended}"
        running = self._start(desk, procedure)
        assert running.until_step(number), f"the run never came to step {number}: {running.wait()}"
        return running

    def run(self, procedure: Procedure, number: int, step: str, fault: str, *, delay: float = 0) -> Case:
        """Run one case; the misfortune comes `delay` seconds after the start of the step is on disk."""
        self.prepare(procedure)
        before = snapshot.take(self.host)
        desk = self.desk()
        begun = time.monotonic()
        with Users(self.host) as users:
            users.wait_for_writes(2)
            with Misfortune(fault, self.host.name) as misfortune:
                running = self._begin(desk, procedure, number)
                time.sleep(delay)
                misfortune.strike(running)
            outcome, problems = self._mend(desk, procedure, running, fault)
            problems += self._service(users)
        problems += self._promises(desk, running.run_id, fault, outcome)
        if outcome in {"undone", "rolled back"}:
            ignored = (*snapshot.UNDONE, *OF_THE_USERS, *procedure.stays)
            problems += [
                f"not as before: {line}"[:300] for line in before.differences(snapshot.take(self.host), ignore=ignored)
            ]
        elif outcome != "NOT MENDED" and (missed := procedure.goal(self.host)):
            problems.append(f"the goal is not reached: {missed}")
        lost = users.lost()
        if lost:
            problems.append(f"{len(lost)} of {len(users.acknowledged)} acknowledged rows are lost")
        problems += [f"a row cannot be read: {line}" for line in users.unreadable()[:3]]
        users.clear()
        seconds = round(time.monotonic() - begun, 1)
        return Case(procedure.name, number, step, fault, outcome, seconds, users.downtime_seconds, len(users.acknowledged), tuple(problems))  # fmt: skip

    def _mend(self, desk: Desk, procedure: Procedure, running: changes.Running, fault: str) -> tuple[str, list[str]]:
        """Do what an operator does afterwards: wait for the run's end, resume it, and where that is refused, undo it."""
        problems: list[str] = []
        if fault != "kill":
            ended = running.wait()
            state = ended.applied.get("state", "")
            if ended.code in {0, 1} and state in GOOD:
                return "went on by itself", problems
            if state == "rolled back":
                return state, problems
            if ended.code in {0, 1}:
                problems.append(f"exit code {ended.code} of a run that ended as {state or 'unknown'}")
        resumed = desk.resume(running.run_id)
        if resumed.code in {0, 1} and resumed.applied.get("state") in GOOD:
            return "resumed", problems
        if resumed.applied.get("state") == "rolled back":
            return "rolled back", problems
        undone = desk.undo(running.run_id)
        if undone.code in {0, 1} and undone.applied.get("state") in GOOD:
            return "undone", [*problems, *([] if procedure.may_refuse_resume else [f"resume failed: {_end(resumed)}"])]
        return "NOT MENDED", [*problems, f"resume: {_end(resumed)}", f"undo: {_end(undone)}"]

    def _service(self, users: Users) -> list[str]:
        try:
            self.ready()
            users.wait_for_writes(1, within_seconds=30)
        except AssertionError as error:
            return [f"the service is not up: {error}"[:600]]
        return []

    def _promises(self, desk: Desk, run_id: str, fault: str, outcome: str) -> list[str]:
        problems = []
        held = self.host.sh(f"cat {LOCK} 2>/dev/null || true").strip()
        if held:
            problems.append(f"the lock is stuck: {held}")
        at_work = self.host.sh(
            "systemctl list-units 'runbook-*' --state=running,activating --plain --no-legend"
        ).strip()
        if at_work:
            problems.append(f"a step is still at work: {at_work}")
        if not run_id:
            return [*problems, "the run has no journal"]
        desk.run("records", "list")  # any command that looks at records finishes those of runs that died
        told = changes.about(desk.outputs, run_id)
        if fault == "kill" and (told["state"] == "whole" or told["exit_code"] in {0, 1}):
            problems.append(f"the record of the killed run says {told['state']}, exit code {told['exit_code']}")
        failed = [
            e.data["name"] for e in changes.events(desk.outputs, run_id) if e.kind == "step.end" and not e.data["ok"]
        ]
        if failed and outcome != "went on by itself" and told["exit_code"] in {0, 1}:
            problems.append(
                f"step {failed[0]} failed, and the record says {told['state']}, exit code {told['exit_code']}"
            )
        verified = desk.run("records", "verify")
        if verified.code:
            problems.append(f"records verify: {_end(verified)}")
        return problems


def _end(change: Change) -> str:
    """The last words of a run."""
    state = change.applied.get("state", "no outcome") if change.run_id else "no record"
    return f"exit code {change.code}, {state}: {' / '.join(change.text.strip().splitlines()[-6:])}"[:900]


def table(cases: list[Case]) -> str:
    """Return the matrix as text: a block for each procedure, a row for each step, a column for each misfortune."""
    lines: list[str] = []
    for name in dict.fromkeys(case.procedure for case in cases):
        of = {(case.number, case.fault): case for case in cases if case.procedure == name}
        steps = dict(sorted({case.number: case.step for case in cases if case.procedure == name}.items()))
        lines += ["", f"{name:<44}" + "".join(f"{fault:<36}" for fault in FAULTS)]
        for number, step in steps.items():
            cells = [_cell(of.get((number, fault))) for fault in FAULTS]
            lines.append(f"  {number:>2} {step:<39}" + "".join(f"{cell:<36}" for cell in cells))
    good = sum(case.passed for case in cases)
    lines += ["", f"{len(cases)} cases, {good} with every promise kept, {len(cases) - good} not"]
    for case in cases:
        lines += [
            f"  {case.procedure} step {case.number} {case.step}, {case.fault}: {problem}" for problem in case.problems
        ]
    return "\n".join(lines)


def _cell(case: Case | None) -> str:
    if case is None:
        return "-"
    broken = "" if case.passed else "! "
    return f"{broken}{case.outcome} {case.seconds:.0f} s (out {case.outage_seconds:.0f})"


def read(*files: Path) -> list[Case]:
    """Return the newest row of each case from files of JSON lines."""
    found: dict[tuple[str, int, str], Case] = {}
    for file in files:
        for line in file.read_text().splitlines():
            row = json.loads(line)
            case = Case(**(row | {"problems": tuple(row["problems"])}))
            found[case.procedure, case.number, case.fault] = case
    return list(found.values())


def main() -> int:
    """Run a slice, or print what is there."""
    parser = argparse.ArgumentParser(description="The crash matrix, or a slice of it.")
    parser.add_argument("--procedure", choices=sorted(PROCEDURES), action="append")
    parser.add_argument("--fault", choices=FAULTS, action="append")
    parser.add_argument("--step", type=int, action="append", help="numbers of steps; all where not given")
    parser.add_argument("--delay", type=float, default=0, help="seconds from the start of the step to the misfortune")
    parser.add_argument("--warm", action="store_true", help="forked runs (see warm.py): the same core, half the time")
    parser.add_argument("--instance", default="sandbox")
    parser.add_argument("--results", type=Path, default=Path("matrix.jsonl"))
    parser.add_argument("--table", type=Path, nargs="+", help="print these results and run nothing")
    asked = parser.parse_args()
    if asked.table:
        print(table(read(*asked.table)))
        return 0
    lifecycle.up(asked.instance)
    bench = Bench(Host(asked.instance), Path(tempfile.mkdtemp(prefix="matrix-")), Warm() if asked.warm else None)
    clean = True
    for name in asked.procedure or sorted(PROCEDURES):
        procedure = PROCEDURES[name]
        for number, step in bench.steps(procedure):
            for fault in asked.fault or FAULTS:
                if (asked.step and number not in asked.step) or (step in {LOCKED, DONE} and fault != "kill"):
                    continue
                case = bench.run(procedure, number, step, fault, delay=asked.delay)
                with asked.results.open("a") as file:
                    file.write(json.dumps(asdict(case)) + "\n")
                print(f"{name} {number} {step} {fault}: {_cell(case)} {'; '.join(case.problems)}", flush=True)
                clean = clean and case.passed
                if not case.passed:
                    bench.host.reset()
    print(table(read(asked.results)))
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
