"""The table that every cell shows: stable, escaped, never wider than a terminal."""

from __future__ import annotations

import datetime as dt
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.tables import Link, Table, duration, size
from runbook.verdict import State

ROWS = [
    (State.OK, "nginx", 12.34, 1),
    (State.CRITICAL, "api", 99.9, 20_000),
    (State.WARNING, "db", None, 3),
]


def sample() -> Table:
    return Table.of(("state", "service", "CPU %", "restarts"), ROWS, title="Containers", note="measured over 1 s")


def test_worst_row_stands_first_and_text_is_exact() -> None:
    assert repr(sample()) == (
        "Containers\n"
        "state     service  CPU %  restarts\n"
        "--------  -------  -----  --------\n"
        "CRITICAL  api       99.9    20,000\n"
        "WARNING   db           -         3\n"
        "OK        nginx     12.3         1\n"
        "measured over 1 s"
    )


def test_rows_beyond_the_tenth_are_counted_not_shown() -> None:
    table = Table.of(("name",), [(f"row {number}",) for number in range(14)])
    assert "row 9" in repr(table)
    assert "row 10" not in repr(table)
    assert "and 4 more (all in the record)" in repr(table)
    assert "and 4 more (all in the record)" in table._repr_html_()
    assert "row 13" in repr(table.all)
    assert "more (all in" not in repr(table.all)
    assert len(table.as_json()["rows"]) == 14


def test_long_reasons_wrap_within_the_line() -> None:
    table = Table.of(("state", "reason"), [(State.OK, "the disk " * 60)])
    assert max(len(line) for line in repr(table).splitlines()) <= 120
    assert repr(table).count("the disk") == 60 or repr(table).replace("\n", " ").split().count("disk") == 60


def test_words_stay_whole_while_others_can_give_way() -> None:
    fingerprint = "SHA256:" + "x" * 43
    table = Table.of(("what", "seen", "why"), [("host key", f"ssh-ed25519 {fingerprint}", "kept as on paper " * 9)])
    assert fingerprint in repr(table)
    assert max(len(line) for line in repr(table).splitlines()) <= 120


@given(st.lists(st.tuples(st.text(), st.text(max_size=300)), max_size=12))
def test_any_text_stays_within_the_line_and_prints_no_control_characters(rows: list[tuple[str, str]]) -> None:
    table = Table.of(("first", "second"), rows)
    assert all(len(line) <= 120 for line in repr(table).split("\n"))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", repr(table))


class Tags(HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@given(st.text(), st.text(), st.text(), st.text())
def test_html_is_a_semantic_table_whatever_the_cells_hold(title: str, column: str, cell: str, note: str) -> None:
    page = Table.of((column,), [(cell,), (Link(cell, cell),)], title=title, note=note)._repr_html_()
    tags = Tags(page).seen
    assert {tag for tag, _ in tags} <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "a", "p"}
    assert all(set(attributes) <= {"style", "scope", "href"} for _, attributes in tags)
    assert [attributes["scope"] for tag, attributes in tags if tag == "th"] == ["col"]


def test_a_state_is_a_word_in_both_forms() -> None:
    for state in State:
        table = Table.of(("state",), [(state,)])
        assert state.name in repr(table)
        assert f">{state.name}</span>" in table._repr_html_()


def test_forms_are_the_same_every_time() -> None:
    assert repr(sample()) == repr(sample())
    assert sample()._repr_html_() == sample()._repr_html_()
    assert " id=" not in sample()._repr_html_()


def test_an_empty_table_says_so() -> None:
    table = Table.of(("name",), [], title="No finding.")
    assert repr(table) == "No finding."
    assert "No finding." in table._repr_html_()
    assert "<table" not in table._repr_html_()


def test_json_is_plain_and_whole() -> None:
    when = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
    table = Table.of(("state", "when", "age"), [(State.UNKNOWN, when, dt.timedelta(hours=1))])
    assert json.loads(json.dumps(table.as_json()))["rows"] == [["UNKNOWN", "2026-01-02T03:04:00+00:00", 3600.0]]


def test_frame_keeps_every_row_and_the_states_as_words() -> None:
    frame = sample().frame()
    assert list(frame.columns) == ["state", "service", "CPU %", "restarts"]
    assert list(frame["state"]) == ["CRITICAL", "WARNING", "OK"]
    assert frame["restarts"].sum() == 20_004


def test_a_column_of_findings_without_any_is_left_out() -> None:
    assert Table.of(("state", "disk", "finding"), [(State.OK, "/", "")]).columns == ("state", "disk")
    found = Table.of(("state", "disk", "finding"), [(State.OK, "/", ""), (State.WARNING, "/var", "fills up")])
    assert found.columns == ("state", "disk", "finding")
    assert found.rows[0][2] == "fills up"


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells under 1 columns"):
        Table.of(("name",), [("a", "b")])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "12 ms"),
        (1, "1 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2.0 hours"),
        (172_800, "2.0 days"),
        (-45, "-45 s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 * 1024**2, "1.5 GiB"), (1024**5, "1024.0 TiB")])  # fmt: skip
def test_sizes(number: float, text: str) -> None:
    assert size(number) == text
