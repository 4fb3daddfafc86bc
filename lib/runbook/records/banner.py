"""What stands on the first screen of a record: state, what is wrong, what was changed; then who, when and which server. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook.records import outcome
from runbook.records.links import link_to
from runbook.records.outcome import NOT_REACHED, WHOLE, CellRun

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_NAMED = 5
MOST_FINDINGS, MOST_EVIDENCE = 6, 300
SHORT_COMMIT = 10


def banner(told: dict[str, Any], runs: Sequence[CellRun]) -> str:
    """Return the text on top of the record: the verdict, who, where, when, and what was not reached."""
    header = told["header"]
    whole = told["state"] == WHOLE
    verdict = told["verdict"] if whole else f"NOT WHOLE ({told['state']})"
    applied = told["applied"].get("state", "")
    if whole and applied in outcome.BAD_CHANGES:
        verdict = f"CHANGE {applied.upper()}, checks {verdict}"
    lines = [
        f"# {verdict}: {_cell(header.get('notebook', 'a notebook'))} on {_cell(header.get('target', 'a target'))}",
        "",
    ]
    if not whole:
        reached = [run.name for run in runs if run.status != NOT_REACHED]
        missed = [run.name for run in runs if run.status == NOT_REACHED]
        lines += [
            f"**This run did not come to its end: {_cell(told['state'])}.** {_cell(told['reason'])}",
            "",
            f"- Reached ({len(reached)}): {_cell(', '.join(reached)) or 'nothing'}",
            f"- Not reached ({len(missed)}): {_cell(', '.join(missed)) or 'nothing'}",
            f"- The last verdict it came to is {told['verdict']}; do not take it for the state of the server.",
            "",
        ]
    lines += [
        f"**The journal of this run was tampered with:** {_cell(problem)}\n" for problem in told["journal_problems"]
    ]
    judged = told["after"] or told["before"] or {}
    lines += [_cell(judged["sentence"]), ""] if judged.get("sentence") else []
    lines += findings_text(judged.get("rows", ()), str(header.get("notebook", "")))
    if told["applied"]:
        said = [told["applied"].get(key, "") for key in ("sentence", "downtime", "next")]
        lines += [f"**Change: {_cell(applied)}.** " + " ".join(_cell(_sentence(text)) for text in said if text), ""]
    facts = {
        "server": header.get("target", "unknown"),
        "operator": header.get("operator", "unknown"),
        "parameters": ", ".join(f"{key} = {value!r}" for key, value in (header.get("parameters") or {}).items()),
        "started (UTC)": to_the_second(told["started"]),
        "ended (UTC)": to_the_second(told["ended"]),
        "git commit": str(header.get("git_commit", header.get("commit", "unknown")))[:SHORT_COMMIT],
        "commands on the server": len(told["commands"]),
        "exit code": told["exit_code"],
        "continues": header.get("continues", ""),
        "resumes": header.get("resumes", ""),
        "takes back": header.get("undoes", ""),
    }
    lines += ["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in facts.items() if value != "")]
    lines += [f"\n> Note: {_cell(note)}" for note in told["notes"]]
    return "\n".join(lines)


def to_the_second(time: str) -> str:
    """Given a time as journals have it, return it for people.

    >>> to_the_second("2026-11-24T07:56:03.123456Z")
    '2026-11-24 07:56:03'
    """
    return time[:19].replace("T", " ")


def findings_text(rows: Sequence[dict[str, Any]], notebook: str) -> list[str]:
    """Given the rows of a verdict, worst first, and the notebook that judged them, return what is wrong as Markdown lines."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        # several checks that say the same are one finding; what follows from another finding is counted with it
        if row.get("state") != "OK" and not row.get("cause") and not row.get("voided"):
            found.setdefault(tuple(row.get(key, "") for key in ("state", "subject", "reason")), []).append(row)
    lines = []
    for number, ((state, subject, reason), same) in enumerate(list(found.items())[:MOST_FINDINGS], start=1):
        row = same[0]
        first = f"{number}. "
        counted = f" ({len(same)} checks)" if len(same) > 1 else ""
        lines.append(f"{first}**{state}** {_cell(subject)}: {_cell(reason)}{counted}")
        lead = f"{row.get('check')} {subject}"
        follow = [item for item in rows if item.get("cause") == lead]
        if row.get("evidence"):
            lines.append(f"{' ' * len(first)}- evidence: {_code(row['evidence'][:MOST_EVIDENCE])}")
        if follow:
            named = list(dict.fromkeys(item.get("subject", "") for item in follow))
            more = ", ..." if len(named) > MOST_NAMED else ""
            lines.append(
                f"{' ' * len(first)}- what follows from it: {len(follow)} ({_cell(', '.join(named[:MOST_NAMED]))}{more})"
            )
        if row.get("next"):
            lines.append(f"{' ' * len(first)}- open: {link_to(row['next'], notebook)}")
    if len(found) > MOST_FINDINGS:
        lines += ["", f"And {len(found) - MOST_FINDINGS} more: the table of all checks is below."]
    void = sum(1 for row in rows if row.get("voided"))
    if void and found:
        lines += ["", f"Known exceptions that are void for the moment, because of what stands above: {void}."]
    return [*lines, ""] if lines else []


def steps_text(steps: Sequence[dict[str, Any]]) -> str:
    """Return every step that was begun as a table, in order, with what became of it."""
    words = {True: "done", False: "FAILED", None: "BEGUN, END NOT SEEN"}
    rows = [
        f"| {item['number']} | {_cell(item['phase'])} | {_cell(item['name'])} | {words[item['ok']]} "
        f"| {'' if item['seconds'] is None else format(item['seconds'], '.1f')} | {_code(item['command'])} |"
        for item in steps
    ]
    head = ["| no. | phase | step | outcome | took (s) | command |", "|---:|---|---|---|---:|---|"]
    return "\n".join(["## Steps of the change", "", *head, *rows])


def commands_text(commands: Sequence[dict[str, Any]]) -> str:
    """Return every command that went to the server as a table, in order."""
    if not commands:
        return "## Commands on the server\nNone."
    rows = [
        f"| {number} | {_code(item.get('command', ''))} | {item.get('exit_code')} | {_cell(item.get('meaning', ''))} "
        f"| {1000 * float(item.get('seconds') or 0):.0f} | {'yes' if item.get('changes') else 'no'} |"
        for number, item in enumerate(commands, start=1)
    ]
    head = ["| no. | command | exit code | meaning | took (ms) | changes |", "|---:|---|---:|---|---:|---|"]
    return "\n".join(["## Commands on the server", "", *head, *rows])


def _sentence(text: str) -> str:
    """Return a text with a capital and a full stop.

    >>> _sentence("no downtime seen (4 looks)")
    'No downtime seen (4 looks).'
    """
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _cell(value: Any) -> str:
    """A text that stays within its cell of a Markdown table and is no markup."""
    text = str(value)
    for mark in "\\`*_{}[]<>#|~":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _code(text: str) -> str:
    """A command as inline code within a table: longer fences than any inside, bars escaped, one line."""
    line = text.replace("\r", "").replace("\n", "↵").replace("|", "\\|")
    fence = "`"
    while fence in line:
        fence += "`"
    return f"{fence} {line} {fence}"
