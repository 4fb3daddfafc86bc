"""One run of a notebook, as its cells see it: start, preflight, gather, judge, plan, apply, finish, next.

The same object works under the runner, under plain papermill and by Run All in JupyterLab: parameters are read from the
notebook's own namespace and checked here, so no way of starting a notebook goes around the guards.

Longer than 300 lines: it is what cells see, one short method for each of their calls.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import fnmatch
import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook import notebook, parameters, tables, triage
from runbook.changes import apply as applying
from runbook.changes import earlier_run, lock, planning
from runbook.changes.executor import Executor
from runbook.changes.plan import Context
from runbook.checks import exceptions
from runbook.checks.preflight import preflight
from runbook.checks.way_in import way_in
from runbook.connection import Connection
from runbook.errors import ConnectionFailed, HostKeyError, LockError, ParametersError, PreflightError, RunbookError
from runbook.execution import bundles, second_look
from runbook.execution.surroundings import header_of_run, injected, namespace, operator, shell_of_kernel
from runbook.facts import UNREADABLE, Facts, gather
from runbook.facts import preflight as preflight_facts
from runbook.records import recorder
from runbook.records.journal import Journal, is_alive, outputs_folder, read
from runbook.secrets import redactor
from runbook.verdict import State, Verdict, Verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runbook.changes.apply import Outcome
    from runbook.changes.plan import Plan, Step
    from runbook.checks import Check
    from runbook.commands import Result
    from runbook.facts import AnyFact
    from runbook.records.index import Entry

LONGEST_FOLLOW_SECONDS = 600
MOST_STEP_SECONDS, MOST_JOURNEY_SECONDS = 5.0, 7.5
MOST_JOB_SECONDS = 6.0  # a job of the synthetic user takes a moment; where it does not, the queue itself is asked, too
MOST_CONNECT_SECONDS = 4.0  # of a look that answers whatever happens, within 15 s in all


class Run:
    """A run of one notebook against one target. Its repr is the banner."""

    def __init__(
        self,
        source: notebook.Notebook,
        values: dict[str, Any],
        settings: parameters.Parameters,
        journal: Journal,
        earlier: earlier_run.Reference | None = None,
    ) -> None:
        self.notebook = source
        self.reference = earlier
        self.values = values
        self.parameters = settings
        self.journal = journal
        self.always_answers = source.name in bundles.ALWAYS_ANSWER
        if self.always_answers:
            settings = _impatient(settings)
            self.parameters = settings
        self.connection = Connection(settings, on_results=self._note_commands)
        self.unreachable: RunbookError | None = None
        self.applies = bool(values.get("apply", False))
        self.before: Verdicts | None = None
        self.outcome: Outcome | None = None
        self._held = False

    @property
    def kind(self) -> str:
        """The notebook's kind: read, change or danger."""
        return self.notebook.kind

    @property
    def label(self) -> str:
        """Begins the names of this run's units on the server: its time and its random part."""
        time_of_day, *_, rest = self.journal.run_id.lower().split("--")
        return f"{time_of_day}-{rest}"

    @property
    def stamp(self) -> str:
        """The time in the names of what this run makes; a resumed run goes on with the first one's."""
        if self._goes_on_with is not None:
            return self._goes_on_with.stamp
        return self.journal.run_id.partition("--")[0]

    @property
    def begun_before(self) -> tuple[Step, ...]:
        """Steps that the runs which it goes on with have begun, in order; none for a run of its own."""
        return self._goes_on_with.all_begun if self._goes_on_with is not None else ()

    @property
    def _goes_on_with(self) -> earlier_run.Earlier | None:
        """The earlier run that this one resumes."""
        if self.reference is None or self.reference.mode != "resume":
            return None
        return self.reference.earlier

    def __repr__(self) -> str:
        peer = self.connection.peer
        where = f"{peer.user}@{peer.host}:{peer.port}" if peer else "not connected"
        mode = "APPLY: this run changes the server" if self.applies else "dry run: this run changes nothing"
        if self.notebook.kind == "read":
            mode = "read only: this notebook changes nothing"
        elif self.reference is not None:
            mode = f"{mode} ({self.reference.mode} of {self.reference.earlier.run_id})"
        expected = self.parameters.connection.hostname or "any host"
        return f"{self.parameters.target} ({self.parameters.purpose}) | {where} | host {expected} | operator {operator()} | {mode}"

    def connect(self) -> None:
        """Open the connection and note who answered. Raises what Connection.open raises.

        What always answers goes on without: it looks from outside.
        """
        try:
            peer = self.connection.open()
        except (ConnectionFailed, HostKeyError) as error:
            self._go_on_without(error)
            return
        self.journal.event(
            "connect",
            host=self.parameters.connection.host,
            user=peer.user,
            fingerprint=peer.fingerprint,
            key_type=peer.key_type,
            server=peer.server_version,
            seconds=round(peer.connect_seconds, 3),
        )

    def _go_on_without(self, error: RunbookError) -> None:
        """Note that the server cannot be reached over SSH, where this notebook answers all the same; else raise the error."""
        if not self.always_answers:
            raise error
        self.unreachable = error
        self.journal.event("connect.failed", reason=error.reason, remedy=error.remedy)

    def preflight(self) -> tables.Table:
        """Check that this runbook applies here and now and return the checks as a table; take the lock where it will change.

        Raises PreflightError that names every reason why it does not; LockError when another operator is at work.
        """
        facts = self._gathered(*preflight_facts.FACTS)
        verdicts = Verdicts.of(preflight(facts, self.parameters))
        self.journal.event("preflight", state=verdicts.state.name, rows=verdicts.as_json())
        against = [row for row in verdicts if row.state is not State.OK]
        if (
            self.always_answers
        ):  # without SSH or sudo there is still much to see; on the wrong host, or without a record, not
            against = [row for row in against if row.state is State.CRITICAL and row.check != "preflight.sudo"]
        if against:
            raise PreflightError(
                "this runbook does not apply here and now:\n"
                + "\n".join(f"  - {row.subject}: {row.reason}" for row in against),
                remedy="mend what is listed, then run again from the top; nothing was changed",
            )
        if self.applies and self.kind != "read":
            self.take_lock()
        return tables.verdict_table(verdicts)

    def take_lock(self) -> None:
        """Take the target's lock and wait for what an earlier run still has at work there. Raises LockError."""
        if self._held:
            return
        self._take_over()
        holder = lock.Holder(
            operator(), platform.node(), self.notebook.name, self.journal.run_id, dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        )  # fmt: skip
        lock.take(self.connection, holder)
        self._held = True
        self.journal.event("lock", holder=holder, taken=True)
        atexit.register(self._let_go)
        shell = shell_of_kernel()
        if shell is not None:
            shell.events.register("post_run_cell", self._after_cell)
        Executor(self.connection, self.journal, self.label, applying.say).wait_for_earlier_steps()

    def _take_over(self) -> None:
        """Where the lock is held by the very run that this one resumes or takes back, and that run is over, take it away."""
        if self.reference is None:
            return
        held = lock.holder(self.connection)
        if held is None or held.run not in self.reference.earlier.runs:
            return
        if is_alive(self.journal.outputs, held.run):
            raise LockError(f"the run {held.run} is still going on", remedy="wait for its end, or stop it first")
        lock.release(self.connection, held.run)
        self.journal.event("lock", holder=held, taken_over=True)

    def _after_cell(self, result: Any) -> None:
        """A cell that failed ends the run: nothing was begun, so the target is free again."""
        if result.error_before_exec or result.error_in_exec:
            self._let_go()

    def _let_go(self) -> None:
        """Release the lock, unless a step was begun and the server may be between two states."""
        if not self._held or self._between():
            return
        self._held = False
        with contextlib.suppress(RunbookError):  # the server is away: the lock names us, and `unlock` takes it away
            lock.release(self.connection, self.journal.run_id)
            self.journal.event("lock", released=True)

    def _between(self) -> bool:
        if self.outcome is not None:
            return self.outcome.between
        return any(event.kind == "step.start" for event in read(self.journal.place).events)

    def plan(self, facts: Facts, verdict: Verdicts) -> Plan:
        """Given the facts and what the checks say of them, return the plan: what would be done, and how it is undone.

        Raises PreflightError, ParametersError where the planner refuses.
        """
        made = self._planned(facts, verdict)
        self.journal.event("plan", **made.as_json())
        return made

    def _planned(self, facts: Facts, verdict: Verdicts) -> Plan:
        if self.reference is not None and self.reference.mode == "undo":
            taken = earlier_run.undo_plan(self.reference.earlier, self.parameters.target, self.stamp)
            return planning.less_finished(self.connection, taken)
        resumed = self._goes_on_with is not None
        context = Context(facts, verdict, self.parameters, self.values, self.stamp, resumed)
        return planning.make(self.connection, self.notebook.name, context)

    def plan_anew(self) -> Plan:
        """Gather the facts anew and plan from them."""
        facts = self._gathered()
        return self._planned(facts, self._judged(facts))

    def look(self) -> Verdicts:
        """Gather and judge, without keeping it as the run's verdict."""
        with self.connection.unrecorded():
            return self._judged(self._gathered())

    def apply(self, plan: Plan) -> Outcome:
        """Carry out the plan where `apply` is True and it is confirmed; else say what is missing.

        Raises ConfirmationError, LockError. A step that fails does not raise: the outcome says so, and what was done about it.
        """
        before = self.before if self.before is not None else self.look()
        self.outcome = applying.apply(self, plan, str(self.values.get("confirm", "")), before)
        return self.outcome

    def gather(self, *facts: AnyFact) -> Facts:
        """Ask the server (and look from this side) for the notebook's facts, or for the given ones; keep them."""
        found = self._gathered(*facts)
        self.journal.event("facts", seconds=round(found.seconds, 3), facts=found.as_json())
        return found

    def judge(self, facts: Facts, *checks: Check) -> Verdicts:
        """Given facts, return the verdicts, known exceptions applied; keep them.

        The first judgement of a run is the state before, a later one the state after.
        """
        judged = self._judged(facts, *checks)
        when = "before" if self.before is None else "after"
        self.before = self.before or judged
        self.journal.event(
            "verdict", when=when, state=judged.state.name, sentence=judged.sentence, rows=judged.as_json()
        )
        return judged

    def _gathered(self, *facts: AnyFact) -> Facts:
        asked = facts or bundles.facts(self.notebook.name, self.values)
        if self.unreachable is None:
            try:
                return gather(self.connection, self.parameters, asked)
            except ConnectionFailed as error:  # lost in between
                self._go_on_without(error)
        reason = self.unreachable.reason.splitlines()[0] if self.unreachable is not None else ""
        return gather(self.connection, self.parameters, asked, unreachable=reason)

    def _judged(self, facts: Facts, *checks: Check) -> Verdicts:
        rows = [row for check in checks or bundles.checks(self.notebook.name) for row in self._checked(check, facts)]
        if self.unreachable is not None:
            told = " ".join(str(self.unreachable).split())
            rows.append(way_in(self.unreachable.reason.splitlines()[0], rows, evidence=told))
        known, today = self.parameters.known_exceptions, facts.at.date()
        found = self.causes(facts, exceptions.apply(rows, known, today=today))
        if found.open and self.notebook.name in bundles.LOOKS_TWICE and not checks:
            found = self.causes(facts, exceptions.apply([*rows, *self._second_look(facts)], known, today=today))
        return found.verdicts

    def _checked(self, check: Check, facts: Facts) -> list[Verdict]:
        """Judge; a check that trips over an answer that nobody has seen yet is missing evidence, not the end of the run."""
        try:
            return check(facts, self.parameters)
        except UNREADABLE as error:
            name = f"{check.__module__.rpartition('.')[2]}.{check.__name__}"
            return [
                Verdict(
                    State.UNKNOWN,
                    "about.check",
                    name,
                    f"no evidence: the answer could not be judged: {type(error).__name__}: {error}"[:200],
                )
            ]

    def _second_look(self, facts: Facts) -> list[Verdict]:
        """Ask what would tell the cause of a symptom that has none yet."""
        more = second_look.changes_since_good(self.journal.outputs, self.notebook.name, facts, self.parameters)
        if self.unreachable is None:
            with contextlib.suppress(ConnectionFailed):
                more += second_look.look_again(self.connection, facts, self.parameters)
        return more

    def causes(self, facts: Facts, verdict: Iterable[Verdict]) -> triage.Causes:
        """Given the facts and what was judged, return the causes, the one to mend first in front."""
        return triage.causes(verdict, facts, self.parameters)

    def next(self, verdict: Verdicts) -> tables.Table:
        """Given the verdict, return the notebooks to open next."""
        depth = self.notebook.name.count("/")
        return tables.next_steps(verdict, depth=depth)

    def trend(self, facts: Facts, *patterns: str) -> dict[str, list[tuple[dt.datetime, float]]]:
        """Return the numbers of earlier records of this target whose path fits one of `patterns`, oldest first, now as the last.

        A path is what `./runbook records trend` takes: "filesystems./.used_percent"; `*` stands for anything.
        """
        from runbook.records.index import Index, numbers  # noqa: PLC0415 (SQLite, only where a trend is drawn)

        current = {
            path: value
            for path, value in numbers(facts.as_json())
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)
        }
        with Index(self.journal.outputs) as index:
            index.update()
            earlier = {path: index.trend(path, target=self.parameters.target) for path in current}
        return {
            path: [*((dt.datetime.fromisoformat(time), value) for time, value, _ in points), (facts.at, current[path])]
            for path, points in earlier.items()
        }

    def follow(self, service: str, seconds: float) -> tables.Table:
        """Show a log (one service's, or all) as it comes, for a bounded time; the stop button or Ctrl-C ends it at once.

        Raises ParametersError for a time that is too long.
        """
        from runbook.facts.logs import follow_command  # noqa: PLC0415 (only the notebook of logs follows)

        if seconds > LONGEST_FOLLOW_SECONDS:
            reason = f"{seconds:g} s is longer than a log is followed ({LONGEST_FOLLOW_SECONDS} s)"
            raise ParametersError("follow_seconds", [reason], remedy="run it again when the time is over")
        if seconds <= 0:
            return tables.Table((), (), "Nothing was followed: follow_seconds is 0.")
        lines, pending, ended = 0, "", "the time was over"
        try:
            for text in self.connection.follow(follow_command(self.parameters, service, seconds)):
                # whole lines only: a secret that is cut in two would not be known
                *whole, pending = (pending + text).split("\n")
                shown = [tables.live_line(self.parameters, service, line) for line in whole if line.strip()]
                sys.stdout.write(redactor.text("".join(f"{line}\n" for line in shown)))
                sys.stdout.flush()
                lines += len(shown)
        except KeyboardInterrupt:
            ended = "it was stopped"
        self.journal.event("followed", service=service or "all", seconds=seconds, lines=lines, ended=ended)
        return tables.Table((), (), f"{lines} lines of {service or 'all services'} came until {ended}.")

    def last_records(self) -> dict[str, Entry]:
        """Return the newest record of each notebook on this target; runs that died are finished first."""
        from runbook.records.archive import finalise_orphans  # noqa: PLC0415 (as below)
        from runbook.records.index import Index  # noqa: PLC0415 (SQLite, only where records are listed)

        finalise_orphans(self.journal.outputs)
        with Index(self.journal.outputs) as index:
            index.update()
            newest = {
                name: index.entries(limit=1, notebook=name, target=self.parameters.target) for name in notebook.names()
            }
        return {name: entries[0] for name, entries in newest.items() if entries}

    def finish(self, verdict: Verdicts) -> Ending:
        """Close the connection, keep the outcome and the operator's note, and say where the record will be.

        The record itself is written when the notebook's last cell has run.
        """
        note = str(self.values.get("note", ""))
        # in the order of the causes; what follows from one needs no page of its own
        steps = list(
            dict.fromkeys(row.next for row in verdict if row.next and row.state is not State.OK and not row.cause)
        )
        self.journal.event("outcome", state=verdict.state.name, sentence=verdict.sentence, note=note, next=steps)
        self._let_go()
        self.connection.close()
        recorder.finishing()
        return Ending(verdict.state, f"{self.journal.run_id}.ipynb", self.outcome.state if self.outcome else "")

    def _note_commands(self, results: dict[str, Result]) -> None:
        """Keep what was asked of the server: one event for a round trip."""
        self.journal.event(
            "commands",
            commands=[
                {
                    "name": name,
                    "command": result.command.shown,
                    "exit_code": result.exit_code,
                    "meaning": result.meaning,
                    "seconds": result.duration_seconds,
                    "sudo": result.command.sudo,
                    "changes": result.command.changes,
                }
                for name, result in results.items()
            ],
        )


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: its state and the name of its record in outputs/."""

    state: State
    record: str
    outcome: str = ""

    def __repr__(self) -> str:
        done = f" Change: {self.outcome}." if self.outcome else ""
        return f"{self.state}.{done} Record: outputs/{self.record}"


def start(name: str, **given: Any) -> Run:
    """Given the notebook's name ("04-health/quick"), begin a run of it and return it, connected.

    Parameters are read from the calling notebook's namespace; outside IPython they are given by keyword.
    Raises ParametersError, NotebookError, RecordError, SecretError, HostKeyError, ConnectionFailed.
    """
    source = notebook.find(name)
    names = namespace()
    taken = {item.name: names[item.name] for item in source.parameters if item.name in names}
    earlier = earlier_run.find(outputs_folder())
    values = notebook.check(source, injected() | taken | given)
    if earlier is not None and earlier.mode == "resume":
        values |= {key: value for key, value in earlier.earlier.pinned.items() if key in values}
    target = values.get("target", "sandbox")
    header = header_of_run(source, target, values)
    if earlier is not None:
        header |= {"resumes" if earlier.mode == "resume" else "undoes": earlier.earlier.run_id}
    journal = Journal.create(outputs_folder(), header)
    recorder.install(journal)
    settings = parameters.load(target)
    if values.get("depth") in {"quick", "full"}:
        settings = settings.model_copy(update={"depth": values["depth"]})
    run = Run(source, values, settings, journal, earlier)
    if bundles.asks_server(source.name):
        run.connect()
    return run


def _impatient(settings: parameters.Parameters) -> parameters.Parameters:
    """Return the settings with waits that leave time to look from outside when SSH hangs."""
    wait = min(settings.connection.connect_timeout_seconds, MOST_CONNECT_SECONDS)
    changed: dict[str, Any] = {"connection": settings.connection.model_copy(update={"connect_timeout_seconds": wait})}
    if settings.synthetic is not None:
        account = settings.synthetic
        changed["synthetic"] = account.model_copy(
            update={
                "job_timeout_seconds": min(account.job_timeout_seconds, MOST_JOB_SECONDS),
                "step_timeout_seconds": min(account.step_timeout_seconds, MOST_STEP_SECONDS),
                "journey_timeout_seconds": min(account.journey_timeout_seconds, MOST_JOURNEY_SECONDS),
            }
        )
    changed["web"] = settings.web.model_copy(
        update={"timeout_seconds": min(settings.web.timeout_seconds, MOST_STEP_SECONDS)}
    )
    return settings.model_copy(update=changed)


def look_and_plan(
    source: notebook.Notebook, values: Mapping[str, Any], settings: parameters.Parameters, stamp: str
) -> Plan:
    """Given a notebook and its values, return the plan for the server as it is now, without a run: nothing is kept."""
    with Connection(settings) as connection:
        facts = gather(connection, settings, bundles.facts(source.name, dict(values)))
        rows = [row for check in bundles.checks(source.name) for row in check(facts, settings)]
        judged = Verdicts.of(exceptions.apply(rows, settings.known_exceptions, today=facts.at.date()))
        return planning.make(connection, source.name, Context(facts, judged, settings, values, stamp))
