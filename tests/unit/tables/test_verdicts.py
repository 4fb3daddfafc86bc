"""Verdicts as tables."""

from __future__ import annotations

from runbook.tables import before_after, evidence, next_steps, verdict_table
from runbook.tables.verdicts import findings_of, reason_of, state_of
from runbook.verdict import State, Verdict, Verdicts

API = Verdict(State.CRITICAL, "services.running", "api", "the container is stopped", evidence="Exited (137)", next="02-services/status")  # fmt: skip
DISK = Verdict(
    State.WARNING, "disk.space", "/", "the disk fills up", "85.0 %", "80 %", next="08-troubleshoot/disk-full"
)
WORKER = Verdict(State.OK, "services.health", "arq-worker", "unhealthy", known="jobs are done; until 2027-06-30")
NGINX = Verdict(State.OK, "services.running", "nginx", "runs")
ALL = Verdicts.of([NGINX, WORKER, DISK, API])


def test_findings_stand_worst_first_then_known_exceptions() -> None:
    table = verdict_table(ALL)
    assert [row[2] for row in table.rows] == ["api", "/", "arq-worker", "nginx"]
    assert "known: jobs are done" in repr(table)
    assert table.title == "CRITICAL: api: the container is stopped (1 other cause) (1 known exception)"


def test_many_plain_oks_are_summed_up_by_room() -> None:
    rows = verdict_table(
        Verdicts.of([*ALL, *(Verdict(State.OK, "disk.space", f"/{n}", "room") for n in range(20))])
    ).rows
    assert [row[1:4] for row in rows[2:]] == [
        ("services.health", "arq-worker", "unhealthy (known: jobs are done; until 2027-06-30)"),
        ("disk", "20 checks", "passed"),
        ("services", "1 check", "passed"),
    ]


def test_evidence_is_shown_for_each_finding() -> None:
    assert [row[2] for row in evidence(ALL).rows] == ["Exited (137)", "the disk fills up", "unhealthy"]
    assert repr(evidence(Verdicts.of([NGINX]))) == "No findings to prove."


def test_next_leads_to_notebooks_that_exist_and_marks_the_others() -> None:
    rows = next_steps(ALL).rows
    assert rows[0][0] is State.CRITICAL
    assert getattr(rows[0][1], "href", "") == "../02-services/status.ipynb"
    assert rows[1][1] == "08-troubleshoot/disk-full (planned)"
    assert next_steps(Verdicts.of([NGINX])).title == "Nothing to open next."


def test_a_finding_without_a_notebook_is_not_swallowed() -> None:
    lonely = Verdicts.of([Verdict(State.UNKNOWN, "memory", "swap", "no evidence")])
    assert "1 finding without a notebook" in repr(next_steps(lonely))


def test_before_and_after_stand_side_by_side_worst_change_first() -> None:
    after = Verdicts.of(
        [
            Verdict(State.OK, "services.running", "api", "runs"),
            Verdict(State.CRITICAL, "services.running", "nginx", "the container is stopped"),
            WORKER,
        ]
    )
    changes = [(row[2], row[4]) for row in before_after(ALL, after).rows]
    assert changes == [("worse", "nginx"), ("not checked again", "/"), ("better", "api"), ("same", "arq-worker")]
    assert before_after(ALL, after).title == "Before CRITICAL, after CRITICAL: 1 better, 1 worse, 1 the same"


def test_a_subject_without_a_verdict_has_no_state() -> None:
    assert state_of(findings_of(ALL, "redis", "services")) is None
    assert state_of(findings_of(None, "api")) is None
    assert state_of(findings_of(ALL, "api", "services")) is State.CRITICAL
    assert state_of(findings_of(ALL, None, "services.running")) is State.CRITICAL
    assert reason_of([API, NGINX]) == "the container is stopped"
