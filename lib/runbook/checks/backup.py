"""Backups: there, young enough, of a believable size, readable to the end, off the server, made by something.

Longer than 300 lines: one judgement for each way in which a copy can fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_condition, state_when_high, threshold_text, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from runbook.facts import Facts
    from runbook.facts.backup import Copy, ReadThrough
    from runbook.parameters import BackupClass, Parameters

BACKUP, FULL, COVERAGE = "06-database/backup", "07-backup/full-backup", "07-backup/coverage"
OTHERS = 0o007


def _next(item: BackupClass) -> str:
    return BACKUP if item.kind == "database" else FULL


def _state(item: BackupClass) -> State:
    return State.CRITICAL if item.importance == "critical" else State.WARNING


def copies(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Every class has a copy that is large enough, young enough and not suddenly smaller."""
    found = facts.get("copies")
    if isinstance(found, Missing):
        return [unknown("backup.copy", "backups", found, next_notebook=COVERAGE)]
    return [verdict for item in parameters.backup.classes for verdict in _copies(item, found[item.name], facts.at)]


def _copies(item: BackupClass, copies: Sequence[Copy], now: dt.datetime) -> list[Verdict]:
    if not copies:
        return [
            Verdict(
                _state(item),
                "backup.copy",
                item.name,
                "there is no copy",
                value="0",
                limit="at least 1",
                evidence=f"find {item.directory} -name '{item.pattern}': nothing",
                next=_next(item),
            )
        ]
    newest = copies[0]
    evidence = f"{newest.path}, {newest.size_bytes} bytes, {newest.modified:%Y-%m-%d %H:%M} UTC"
    small = newest.size_bytes < item.min_size_bytes
    verdicts = [
        judge_condition(
            not small,
            "backup.copy",
            item.name,
            ok=f"{len(copies)} copies",
            bad="the newest copy is empty or far too small",
            state=_state(item),
            value=f"{newest.size_bytes} bytes",
            limit=f"{item.min_size_bytes} bytes",
            evidence=evidence,
            next=_next(item),
        ),
        _age(item, newest.modified, now, evidence),
        judge_condition(
            newest.has_checksum,
            "backup.checksum",
            item.name,
            ok="a checksum lies beside it",
            bad="no checksum lies beside the newest copy",
            state=State.WARNING,
            value="yes" if newest.has_checksum else "no",
            limit="yes",
            evidence=evidence,
            next=_next(item),
        ),
        judge_condition(
            not int(newest.mode, 8) & OTHERS,
            "backup.mode",
            item.name,
            ok="others cannot read it",
            bad="everybody on the server can read the newest copy",
            state=State.WARNING,
            value=newest.mode,
            limit="no rights for others",
            evidence=evidence,
            next=_next(item),
        ),
    ]
    if len(copies) > 1 and copies[1].size_bytes:
        lost = 100 * (1 - newest.size_bytes / copies[1].size_bytes)
        state = state_when_high(lost, item.shrink_percent)
        verdicts.append(
            Verdict(
                state,
                "backup.size",
                item.name,
                "as large as before" if state is State.OK else "much smaller than the copy before it",
                value=f"{max(0.0, lost):.0f} % smaller",
                limit=threshold_text(item.shrink_percent, "% smaller"),
                evidence=f"{evidence}; before: {copies[1].size_bytes} bytes",
                next="" if state is State.OK else COVERAGE,
            )
        )
    return verdicts


def _age(item: BackupClass, made: dt.datetime, now: dt.datetime, evidence: str) -> Verdict:
    hours = (now - made).total_seconds() / 3600
    return judge_condition(
        hours <= item.max_age_hours,
        "backup.age",
        item.name,
        ok="young enough",
        bad=f"all changes of the last {hours:.0f} hours would be lost",
        state=_state(item),
        value=f"{hours:.1f} h",
        limit=f"{item.max_age_hours:g} h",
        evidence=evidence,
        next=_next(item),
    )


def read_through(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """The newest copy of every class reads to its end and matches its checksum; else the newest good one is named."""
    found, listed = facts.get("read_through"), facts.get("copies")
    if isinstance(found, Missing):
        return [unknown("backup.verified", "backups", found, next_notebook=COVERAGE)]
    verdicts = []
    for item in parameters.backup.classes:
        looked = found[item.name]
        if not looked:
            continue  # without a copy there is nothing to read, which backup.copy says
        verdicts.append(_verified(item, looked))
        good = next((one for one in looked if one.good), None)
        copy = (
            None
            if isinstance(listed, Missing) or good is None
            else next((one for one in listed[item.name] if one.path == good.path), None)
        )
        if copy is not None and looked[0] is not good:
            verdicts.append(_age(item, copy.modified, facts.at, f"the newest GOOD copy is {copy.path}"))
    return verdicts


def _verified(item: BackupClass, looked: Sequence[ReadThrough]) -> Verdict:
    newest = looked[0]
    good = next((one for one in looked if one.good), None)
    if newest.read is None and newest.said:
        return Verdict(
            State.UNKNOWN,
            "backup.verified",
            item.name,
            f"no evidence: {newest.said}",
            value="not read",
            limit="read",
            evidence=newest.path,
            next=COVERAGE,
        )
    if newest.read is None and newest.good:
        return Verdict(
            State.WARNING,
            "backup.verified",
            item.name,
            "no tool here reads this format to its end",
            value="not read",
            limit="read",
            evidence=newest.path,
            next=COVERAGE,
        )
    why = (
        f"could not be restored from: {newest.fault}"
        if newest.fault
        else "differs from its checksum"
        if newest.checksum_matches is False
        else f"cannot be read to its end: {newest.said}"
    )
    other = (
        f"the newest good one is {good.path.rpartition('/')[2]}"
        if good
        else f"none of the newest {len(looked)} is good"
    )
    return judge_condition(
        newest.good,
        "backup.verified",
        item.name,
        ok="the newest copy was read to its end just now",
        bad=f"the newest copy {why}; {other}",
        state=_state(item),
        value="good" if newest.good else "bad",
        limit="good",
        evidence=f"{newest.path} sha256 {newest.sha256[:16]}",
        next=_next(item),
    )


def schedule(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Something makes the copies: its timer runs, and its last run ended well."""
    found = facts.get("units")
    if isinstance(found, Missing):
        return [unknown("backup.schedule", "timers", found, next_notebook=COVERAGE)]
    verdicts = []
    for item in parameters.backup.classes:
        if item.timer is None:
            continue
        timer = found.expected.get(item.timer)
        service = found.expected.get(f"{item.timer.removesuffix('.timer')}.service")
        waiting = timer is not None and timer.active == "active" and timer.next is not None
        ended = service is not None and service.result == "success" and service.exit_status in {0, None}
        reason = f"{item.timer} does not run" if not waiting else "its last run failed"
        when = f"next {timer.next:%Y-%m-%d %H:%M} UTC" if timer is not None and timer.next else "no next run"
        last = (
            f"last ended {service.ended:%Y-%m-%d %H:%M} UTC, {service.result}, exit status {service.exit_status}"
            if service is not None and service.ended
            else "no run since the last boot"
        )
        verdicts.append(
            judge_condition(
                waiting and ended,
                "backup.schedule",
                item.name,
                ok=when,
                bad=reason,
                state=_state(item),
                value=timer.active if timer else "absent",
                limit="active",
                evidence=f"{item.timer}: {when}; {last}",
                next=_next(item),
            )
        )
    return verdicts


def off_host(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Every class has a young copy off the server."""
    found = facts.get("off_host")
    if isinstance(found, Missing):
        return [unknown("backup.off-host", "backups", found, next_notebook=FULL)]
    verdicts = []
    for item in parameters.backup.classes:
        away = found.get(item.name)
        if away is None:
            verdicts.append(
                Verdict(
                    _state(item),
                    "backup.off-host",
                    item.name,
                    "no place off the server is named: what destroys the server destroys its backups",
                    value="none",
                    limit="a place",
                    evidence="params file: backup.classes.off_host",
                    next=FULL,
                )
            )
        elif away.error:
            verdicts.append(
                Verdict(
                    State.UNKNOWN,
                    "backup.off-host",
                    item.name,
                    f"no evidence: {away.error}",
                    value="unknown",
                    limit=away.place,
                    next=FULL,
                )
            )
        elif away.modified is None:
            verdicts.append(
                Verdict(
                    _state(item),
                    "backup.off-host",
                    item.name,
                    "there is no copy off the server",
                    value="0",
                    limit="at least 1",
                    evidence=away.place,
                    next=FULL,
                )
            )
        else:
            hours = (facts.at - away.modified).total_seconds() / 3600
            good = hours <= item.max_age_hours and away.size_bytes >= item.min_size_bytes and not away.damaged
            verdicts.append(
                judge_condition(
                    good,
                    "backup.off-host",
                    item.name,
                    ok="a young copy is off the server",
                    bad=f"the copy off the server is not good: {away.damaged}"
                    if away.damaged
                    else "the copy off the server is too old or too small",
                    state=_state(item),
                    value=f"{hours:.1f} h",
                    limit=f"{item.max_age_hours:g} h",
                    evidence=f"{away.place}/{away.name}, {away.size_bytes} bytes",
                    next=FULL,
                )
            )
    return verdicts
