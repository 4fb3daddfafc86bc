"""The one kind of picture: a matplotlib Figure that shows itself as PNG, sober, and readable when printed in grey.

Matplotlib's pyplot is never imported: it keeps figures alive in a registry and costs start-up time. Meaning is never in a
colour alone: limits are lines with a word beside them, and bars over a limit are hatched.
"""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from runbook.facts import Missing

WIDTH_INCHES = 8.0
ROW_INCHES = 0.34
DOTS_PER_INCH = 100
TITLE_WIDTH = 95
INK = "#222222"
GRID = "#d0d0d0"
# From the colour-blind safe set of Okabe and Ito (2008), ordered so that neighbours differ in grey too.
COLOURS = ("#0072B2", "#E69F00", "#333333", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#999999")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHED = ("", "///", "", "...", "\\\\\\", "", "xx", "")
PLAIN, WARNING, CRITICAL = "#7a9cc0", "#E69F00", "#a32a00"
HATCHES = {PLAIN: "", WARNING: "///", CRITICAL: "xxx"}


class Picture(Figure):
    """A figure that a notebook shows as PNG and a terminal as its title."""

    def __init__(self, title: str, *, height_inches: float = 3.0) -> None:
        super().__init__(
            figsize=(WIDTH_INCHES, height_inches), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white"
        )
        self.said = title
        self.suptitle(textwrap.fill(title, TITLE_WIDTH), x=0.01, ha="left", fontsize=10.5, fontweight="bold", color=INK)

    def panels(self, *x_labels: str) -> list[Axes]:
        """Return axes side by side in this picture's style, one for each x label, sharing the y axis."""
        row = self.subplots(1, len(x_labels), sharey=True, squeeze=False)[0]
        for axes, label in zip(row, x_labels, strict=True):
            _sober(axes)
            axes.set_xlabel(label, fontsize=9, color=INK)
        return list(row)

    def panel(self, x_label: str = "", y_label: str = "") -> Axes:
        """Return the only axes of a picture."""
        axes = self.panels(x_label)[0]
        axes.set_ylabel(y_label, fontsize=9, color=INK)
        return axes

    def __repr__(self) -> str:
        return f"Plot: {self.said}"

    __str__ = __repr__

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()


def bars_height(number: int, *, panels: int = 1) -> float:
    """Given how many bars stand under one another, return a picture's height in inches."""
    return max(1.8, 1.0 + panels * 0.1 + ROW_INCHES * number)


def nothing(title: str, reason: str) -> Picture:
    """Return a picture that says why there is nothing to draw: an empty plot would look like good news."""
    picture = Picture(title, height_inches=1.2)
    axes = picture.add_subplot()
    axes.axis("off")
    axes.text(0, 0.5, textwrap.fill(reason, TITLE_WIDTH), ha="left", va="center", fontsize=9.5, color=INK)
    return picture


def no_evidence(title: str, fact: Missing) -> Picture:
    """Return a picture that says that the fact could not be seen."""
    return nothing(f"{title}: no evidence", f"This could not be looked at: {fact.reason}")


def colour_of(value: float, warning: float, critical: float, *, low_is_bad: bool = False) -> str:
    """Given a value and its limits, return the bar's colour."""
    if low_is_bad:
        return CRITICAL if value <= critical else WARNING if value <= warning else PLAIN
    return CRITICAL if value >= critical else WARNING if value >= warning else PLAIN


def flat_bars(
    axes: Axes,
    names: Sequence[str],
    values: Sequence[float],
    colours: Sequence[str],
    texts: Sequence[str],
    *,
    text_at: Sequence[float] | None = None,
) -> None:
    """Draw bars under one another, the first on top, each with its text at its end (or where `text_at` says)."""
    places = range(len(names))
    drawn = axes.barh(list(places), list(values), height=0.62, color=list(colours), edgecolor=INK, linewidth=0.6)
    for bar, colour in zip(drawn, colours, strict=True):
        bar.set_hatch(HATCHES[colour])
    for place, value, text in zip(places, text_at or values, texts, strict=True):
        axes.annotate(
            text, (value, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8.5, color=INK,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}, zorder=4,
        )  # fmt: skip
    axes.set_yticks(list(places), list(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")


def limit_line(axes: Axes, value: float, word: str, *, vertical: bool = True) -> None:
    """Draw a limit with its word beside it: dashed for a warning, solid for critical."""
    critical = word.startswith("critical")
    style: dict[str, Any] = {"color": CRITICAL if critical else INK, "linewidth": 1.1, "linestyle": "-" if critical else "--", "zorder": 3}  # fmt: skip
    if vertical:
        axes.axvline(value, **style)
        axes.annotate(word, (value, 1), xycoords=("data", "axes fraction"), xytext=(-3 if critical else 3, 2), textcoords="offset points", ha="left" if critical else "right", va="bottom", fontsize=7.5, color=style["color"])  # fmt: skip
    else:
        axes.axhline(value, **style)
        axes.annotate(word, (1, value), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points", ha="left", va="center", fontsize=7.5, color=style["color"])  # fmt: skip


def utc_axis(axes: Axes) -> None:
    """Make the x axis one of UTC times, labelled as briefly as can be."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 (0.1 s, only for times)

    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_xlabel("time (UTC)", fontsize=9, color=INK)


def _sober(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#888888")
    axes.tick_params(labelsize=8.5, color="#888888", labelcolor=INK)
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
