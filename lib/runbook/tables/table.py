"""The one table that cells show: immutable, with a stable text and HTML form.

The text form is for a bare terminal and for comparing; the HTML form is for JupyterLab, records and paper. Neither holds
ids, addresses of objects or scripts. A state always stands as a word; its colour only repeats it.
"""

from __future__ import annotations

import datetime as dt
import html
import re
import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runbook.verdict import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

WIDTH = 120
SHOWN_ROWS = 10
NARROWEST = 10
GAP = 2
NOTHING = "-"
FINDING = "finding"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # could steer a terminal or turn the text round


@dataclass(frozen=True, slots=True)
class Link:
    """A cell that leads to another notebook."""

    text: str
    href: str

    def __str__(self) -> str:
        return self.text


Cell = str | int | float | bool | None | State | Link | dt.date | dt.timedelta

# Dark text on a light ground with a firm border: tells apart in grey and for the colour-blind (blue, amber, vermilion, violet).
STATE_STYLES = {
    State.OK: "color:#0b3c5d;background:#e3eef7;border:1px solid #0b3c5d",
    State.WARNING: "color:#5c3d00;background:#ffe9b3;border:2px solid #b37700",
    State.CRITICAL: "color:#ffffff;background:#a32a00;border:2px solid #6b1b00",
    State.UNKNOWN: "color:#3d2b56;background:#eee8f6;border:2px dashed #5b3f86",
}
STATE_BASE = "font-weight:bold;padding:0 .4em;border-radius:2px;white-space:nowrap;print-color-adjust:exact"
TABLE_STYLE = "border-collapse:collapse;font-size:13px;margin:.3em 0"
CAPTION_STYLE = "caption-side:top;text-align:left;font-weight:bold;padding:.2em 0;color:inherit"
HEAD_STYLE = "padding:.25em .7em;border-bottom:2px solid currentColor;vertical-align:bottom"
CELL_STYLE = (
    "padding:.25em .7em;border-bottom:1px solid #bbb;vertical-align:top;max-width:34em;overflow-wrap:break-word"
)
SHORT_STYLE = ";white-space:nowrap"
SHORT = 28
NOTE_STYLE = "margin:.2em 0;font-size:13px"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns, with a title that says what was seen and a note below.

    `shown` is how many rows the text and HTML forms show (None: all); the data is always whole.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    note: str = ""
    shown: int | None = SHOWN_ROWS

    def __post_init__(self) -> None:
        """Raise ValueError for a row that does not fit the columns."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(row)} cells under {len(self.columns)} columns: {row!r}")

    @classmethod
    def of(cls, columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str = "", note: str = "") -> Table:
        """Given rows in any order, return a table; where the first column is a state, worst first, else as given.

        A column `finding` in which nothing stands is left out: it would only push the others together.
        """
        kept = [tuple(row) for row in rows]
        names = list(columns)
        if FINDING in names and not any(row[names.index(FINDING)] for row in kept):
            place = names.index(FINDING)
            names.pop(place)
            kept = [row[:place] + row[place + 1 :] for row in kept]
        if names[:1] == ["state"]:
            kept.sort(key=lambda row: -row[0].rank if isinstance(row[0], State) else 1)
        return cls(tuple(names), tuple(kept), title, note)

    @property
    def all(self) -> Table:
        """The same table, showing every row."""
        return replace(self, shown=None)

    @property
    def left_out(self) -> int:
        """How many rows the text and HTML forms do not show."""
        return 0 if self.shown is None else max(0, len(self.rows) - self.shown)

    @property
    def _more(self) -> str:
        return f"and {self.left_out:,} more (all in the record)" if self.left_out else ""

    @property
    def _notes(self) -> list[str]:
        return [text for text in (self._more, *self.note.split("\n")) if text]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        """Return aligned plain text, at most 120 characters wide."""
        seen = [[text_of(cell) for cell in row] for row in self.rows[: self.shown]]
        right = [_is_numeric(self.rows, index) for index in range(len(self.columns))]
        widths = _fit(self.columns, seen)
        lines = [self.title] if self.title else []
        if seen:
            lines += _line(self.columns, widths, right)
            lines.append((" " * GAP).join("-" * width for width in widths))
            for row in seen:
                lines += _line(row, widths, right)
        lines += [line for text in self._notes for line in textwrap.wrap(text, WIDTH)]
        return "\n".join(lines) or "(nothing)"

    def _repr_html_(self) -> str:
        """Return a table with inline styles only; everything that came from outside is escaped."""
        caption = f'<caption style="{CAPTION_STYLE}">{html.escape(self.title)}</caption>' if self.title else ""
        right = [_is_numeric(self.rows, index) for index in range(len(self.columns))]
        aligned = ["text-align:right" if number else "text-align:left" for number in right]
        head = "".join(
            f'<th scope="col" style="{HEAD_STYLE};{align}">{html.escape(name)}</th>'
            for name, align in zip(self.columns, aligned, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(
                f'<td style="{CELL_STYLE};{align}{SHORT_STYLE if len(text_of(cell)) <= SHORT else ""}">{_html_of(cell)}</td>'
                for cell, align in zip(row, aligned, strict=True)
            )
            + "</tr>"
            for row in self.rows[: self.shown]
        )
        notes = "".join(f'<p style="{NOTE_STYLE}">{html.escape(text)}</p>' for text in self._notes)
        if not self.rows:
            return f'<p style="{NOTE_STYLE};font-weight:bold">{html.escape(self.title or "(nothing)")}</p>{notes}'
        return (
            f'<table style="{TABLE_STYLE}">{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}'
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON types, states and times as words."""
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [[_json_of(cell) for cell in row] for row in self.rows],
            "note": self.note,
        }

    def frame(self) -> pd.DataFrame:
        """Return the whole table as a pandas DataFrame, states as words."""
        import pandas as pd  # noqa: PLC0415 (half a second that most cells do not need)

        plain = [[str(cell) if isinstance(cell, State | Link) else cell for cell in row] for row in self.rows]
        return pd.DataFrame(plain, columns=list(self.columns))


def text_of(cell: Cell) -> str:
    """Given a cell, return its text: one decimal for measured numbers, `-` for nothing, times in UTC."""
    match cell:
        case None:
            text = NOTHING
        case bool():
            text = "yes" if cell else "no"
        case int():
            text = f"{cell:,}"
        case float():
            text = f"{cell:.2f}" if 0 < abs(cell) < 1 else f"{cell:,.1f}"
        case dt.datetime():
            text = f"{cell.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
        case dt.timedelta():
            text = duration(cell.total_seconds())
        case _:
            text = CONTROL.sub("\N{REPLACEMENT CHARACTER}", " ".join(str(cell).split())) or NOTHING
    return text


def duration(seconds: float) -> str:
    """Given seconds, return them as a person says them: `45 s`, `12 min`, `3.5 hours`, `12.0 days`."""
    size = abs(seconds)
    if size < 1:
        return f"{seconds * 1000:.0f} ms"
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "hours")):
        if size < limit:
            return f"{seconds / unit:.1f} {name}" if unit == 3600 else f"{seconds / unit:.0f} {name}"  # noqa: PLR2004 (an hour)
    return f"{seconds / 86_400:.1f} days"


def size(number: float) -> str:
    """Given bytes, return them in binary units: `512 B`, `1.5 KiB`, `20.0 GiB`."""
    left = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(left) < 1024:  # noqa: PLR2004 (binary units)
            return f"{left:.0f} {unit}" if unit == "B" else f"{left:.1f} {unit}"
        left /= 1024
    return f"{left:.1f} TiB"


def _is_numeric(rows: tuple[tuple[Cell, ...], ...], index: int) -> bool:
    kinds = {type(row[index]) for row in rows if row[index] not in {None, "none"}}
    return bool(kinds) and kinds <= {int, float}


def _fit(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Given the texts, return column widths that fit the line.

    The widest columns give way and wrap; words (fingerprints, names of files) are only cut where nothing else helps.
    """
    texts = [[name, *(row[index] for row in rows)] for index, name in enumerate(columns)]
    widths = [max(len(text) for text in column) for column in texts]
    words = [max(len(word) for text in column for word in text.split() or [""]) for column in texts]
    for least in (words, [NARROWEST] * len(widths)):
        while sum(widths) + GAP * (len(widths) - 1) > WIDTH:
            wide = [index for index, width in enumerate(widths) if width > max(least[index], NARROWEST)]
            if not wide:
                break
            widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def _line(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    wrapped = [
        textwrap.wrap(text, width, break_on_hyphens=False) or [""] for text, width in zip(texts, widths, strict=True)
    ]
    height = max(len(lines) for lines in wrapped)
    out = []
    for number in range(height):
        parts = [
            (lines[number] if number < len(lines) else "").rjust(width)
            if to_right
            else (lines[number] if number < len(lines) else "").ljust(width)
            for lines, width, to_right in zip(wrapped, widths, right, strict=True)
        ]
        out.append((" " * GAP).join(parts).rstrip())
    return out


def _html_of(cell: Cell) -> str:
    if isinstance(cell, State):
        return f'<span style="{STATE_BASE};{STATE_STYLES[cell]}">{cell.name}</span>'
    if isinstance(cell, Link):
        return f'<a href="{html.escape(cell.href, quote=True)}">{html.escape(cell.text)}</a>'
    return html.escape(text_of(cell))


def _json_of(cell: Cell) -> Any:
    match cell:
        case State() | Link():
            return str(cell)
        case dt.timedelta():
            return cell.total_seconds()
        case dt.date():
            return cell.isoformat()
    return cell
