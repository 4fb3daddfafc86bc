"""One run of a notebook, as its cells see it: start, preflight, gather, judge, finish, next.

The same object works under the runner, under plain papermill and by Run All in JupyterLab: parameters are read from the
notebook's own namespace and checked here, so no way of starting a notebook goes around the guards.
"""

from __future__ import annotations

import ast
import datetime as dt
import fnmatch
import getpass
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook import bundles, notebook, parameters, recorder, tables
from runbook.checks import exceptions
from runbook.checks.preflight import preflight
from runbook.connection import Connection
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Facts, gather
from runbook.facts import preflight as preflight_facts
from runbook.journal import Journal, outputs_folder
from runbook.secrets import redactor
from runbook.verdict import State, Verdict, Verdicts

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.checks import Check
    from runbook.commands import Result
    from runbook.facts import AnyFact
    from runbook.index import Entry

LONGEST_FOLLOW_SECONDS = 600
INJECTED_MARK = "# Parameters"  # papermill writes it as the first line of the cell it injects
VERSIONS_OF = ("runbook", "fabric", "paramiko", "papermill", "ipykernel")


class Run:
    """A run of one notebook against one target. Its repr is the banner."""

    def __init__(
        self,
        source: notebook.Notebook,
        values: dict[str, Any],
        settings: parameters.Parameters,
        journal: Journal,
    ) -> None:
        self.notebook = source
        self.values = values
        self.parameters = settings
        self.journal = journal
        self.connection = Connection(settings, on_results=self._note_commands)
        self.apply = bool(values.get("apply", False))
        self.before: Verdicts | None = None

    def __repr__(self) -> str:
        peer = self.connection.peer
        where = f"{peer.user}@{peer.host}:{peer.port}" if peer else "not connected"
        mode = "APPLY: this run changes the server" if self.apply else "read only: this run changes nothing"
        if self.notebook.kind == "read":
            mode = "read only: this notebook changes nothing"
        expected = self.parameters.connection.hostname or "any host"
        return f"{self.parameters.target} ({self.parameters.purpose}) | {where} | host {expected} | operator {operator()} | {mode}"

    def connect(self) -> None:
        """Open the connection and note who answered. Raises what Connection.open raises."""
        peer = self.connection.open()
        self.journal.event(
            "connect",
            host=self.parameters.connection.host,
            user=peer.user,
            fingerprint=peer.fingerprint,
            key_type=peer.key_type,
            server=peer.server_version,
            seconds=round(peer.connect_seconds, 3),
        )

    def preflight(self) -> tables.Table:
        """Check that this runbook applies here and now and return the checks as a table.

        Raises PreflightError that names every reason why it does not.
        """
        facts = gather(self.connection, self.parameters, preflight_facts.FACTS)
        verdicts = Verdicts.of(preflight(facts, self.parameters))
        self.journal.event("preflight", state=verdicts.state.name, rows=verdicts.as_json())
        against = [row for row in verdicts if row.state is not State.OK]
        if against:
            raise PreflightError(
                "this runbook does not apply here and now:\n"
                + "\n".join(f"  - {row.subject}: {row.reason}" for row in against),
                remedy="mend what is listed, then run again from the top; nothing was changed",
            )
        return tables.verdict_table(verdicts)

    def gather(self, *facts: AnyFact) -> Facts:
        """Ask the server (and look from this side) for the notebook's facts, or for the given ones; keep them."""
        found = gather(self.connection, self.parameters, facts or bundles.facts(self.notebook.name, self.values))
        self.journal.event("facts", seconds=round(found.seconds, 3), facts=found.as_json())
        return found

    def judge(self, facts: Facts, *checks: Check) -> Verdicts:
        """Given facts, return the verdicts, known exceptions applied; keep them.

        The first judgement of a run is the state before, a later one the state after.
        """
        rows: list[Verdict] = []
        for check in checks or bundles.checks(self.notebook.name):
            rows += check(facts, self.parameters)
        judged = Verdicts.of(exceptions.apply(rows, self.parameters.known_exceptions, today=facts.at.date()))
        when = "before" if self.before is None else "after"
        self.before = self.before or judged
        self.journal.event(
            "verdict", when=when, state=judged.state.name, sentence=judged.sentence, rows=judged.as_json()
        )
        return judged

    def next(self, verdict: Verdicts) -> tables.Table:
        """Given the verdict, return the notebooks to open next."""
        depth = self.notebook.name.count("/")
        return tables.next_steps(verdict, depth=depth)

    def trend(self, facts: Facts, *patterns: str) -> dict[str, list[tuple[dt.datetime, float]]]:
        """Return the numbers of earlier records of this target whose path fits one of `patterns`, oldest first, now as the last.

        A path is what `./runbook records trend` takes: "filesystems./.used_percent"; `*` stands for anything.
        """
        from runbook.index import Index, numbers  # noqa: PLC0415 (SQLite, only where a trend is drawn)

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
        from runbook.archive import finalise_orphans  # noqa: PLC0415 (as below)
        from runbook.index import Index  # noqa: PLC0415 (SQLite, only where records are listed)

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
        steps = sorted({row.next for row in verdict if row.next and row.state is not State.OK})
        self.journal.event("outcome", state=verdict.state.name, sentence=verdict.sentence, note=note, next=steps)
        self.connection.close()
        recorder.finishing()
        return Ending(verdict.state, f"{self.journal.run_id}.ipynb")

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

    def __repr__(self) -> str:
        return f"{self.state}. Record: outputs/{self.record}"


def start(name: str, **given: Any) -> Run:
    """Given the notebook's name ("04-health/quick"), begin a run of it and return it, connected.

    Parameters are read from the calling notebook's namespace; outside IPython they are given by keyword.
    Raises ParametersError, NotebookError, RecordError, SecretError, HostKeyError, ConnectionFailed.
    """
    source = notebook.find(name)
    namespace = _namespace()
    taken = {item.name: namespace[item.name] for item in source.parameters if item.name in namespace}
    values = notebook.check(source, _injected() | taken | given)
    target = values.get("target", "sandbox")
    journal = Journal.create(outputs_folder(), _header(source, target, values))
    recorder.install(journal)
    settings = parameters.load(target)
    if values.get("depth") in {"quick", "full"}:
        settings = settings.model_copy(update={"depth": values["depth"]})
    run = Run(source, values, settings, journal)
    if bundles.asks_server(source.name):
        run.connect()
    return run


def operator() -> str:
    """Return who runs this, as the operating system knows them; RUNBOOK_OPERATOR overrides it for shared accounts."""
    return os.environ.get("RUNBOOK_OPERATOR") or getpass.getuser()


def _shell() -> Any:
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None


def _namespace() -> dict[str, Any]:
    shell = _shell()
    return dict(shell.user_ns) if shell is not None else {}


def _injected() -> dict[str, Any]:
    """Return what papermill injected, unknown names included: papermill only warns of these, and goes on."""
    shell = _shell()
    if shell is None:
        return {}
    found: dict[str, Any] = {}
    for source in shell.history_manager.input_hist_raw:
        if source.lstrip().startswith(INJECTED_MARK):
            for node in ast.parse(source).body:
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    found[node.targets[0].id] = _literal(node.value)
    return found


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ParametersError(
            "injected parameters", [f"not a plain value: {error}"], remedy="pass texts, numbers or booleans"
        ) from None


def _header(source: notebook.Notebook, target: str, values: dict[str, Any]) -> dict[str, Any]:
    return {
        "notebook": source.name,
        "title": source.title,
        "procedures": list(source.procedures),
        "kind": source.kind,
        "target": target,
        "parameters": values,
        "operator": operator(),
        "notebook_sha256": source.sha256,
        "git_commit": git_commit(parameters.project_root()),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS_OF}
        | {"python": platform.python_version()},
        "started": time.time(),
    }


def git_commit(root: Path) -> str:
    """Given a checkout, return its commit, with "+changes" where files differ from it; "" outside of git."""
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+changes", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return described.stdout.strip()
