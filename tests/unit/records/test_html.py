"""The page: self-contained, nothing hidden, and text stays text whatever a server printed."""

from __future__ import annotations

import base64
import html.parser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.records.html import export, output, page, sanitised

if TYPE_CHECKING:
    from pathlib import Path

PIXEL = base64.b64encode(b"\x89PNG").decode()


class Reader(html.parser.HTMLParser):
    """Collects the elements, addresses and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.fetched: list[str] = []
        self.handlers: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in {"src", "srcset", "poster", "background"}]
        self.fetched += [value or "" for name, value in attrs if name == "href" and tag in {"link", "base", "use"}]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


def record(*outputs: dict[str, Any]) -> dict[str, Any]:
    code = {
        "cell_type": "code",
        "id": "a",
        "metadata": {"runbook": {"status": "ok", "seconds": 1.5}},
        "source": "x = '<b>'",
        "outputs": outputs,
    }
    top = {
        "cell_type": "markdown",
        "id": "runbook-banner",
        "metadata": {},
        "source": "# OK: a | b\n\n| a | b |\n|---|---|\n| 1 | <i>2</i> |",
    }
    return {
        "cells": [top, code],
        "metadata": {"runbook": {"state": "whole", "verdict": "OK", "header": {"notebook": "x"}}},
    }


def test_it_shows_source_table_image_text_and_status() -> None:
    shown = page(
        record(
            {"output_type": "stream", "name": "stdout", "text": "printed <here>\n"},
            {
                "output_type": "display_data",
                "data": {"text/html": "<table><tr><td>cell</td></tr></table>", "text/plain": "plain"},
            },
            {"output_type": "display_data", "data": {"image/png": PIXEL, "text/plain": "a figure"}},
            {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["\x1b[31mred\x1b[0m"]},
        ),
        name="r.ipynb",
    )
    seen = read(shown)
    for text in ("printed <here>", "cell", "red", "x = '<b>'", "ran, 1.50 s", "<i>2</i>"):
        assert text in seen.text, text
    assert seen.fetched == [f"data:image/png;base64,{PIXEL}"]
    assert "default-src 'none'" in shown
    assert "script" not in seen.elements
    assert "\x1b" not in shown


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=https://evil.example/x.png onerror=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    '<div style="background:url(https://evil.example)">x</div>',
    "<iframe src=//evil.example></iframe><object data=x></object><embed src=x>",
    "<link rel=stylesheet href=//evil.example><base href=//evil.example><meta http-equiv=refresh content=0>",
    "</main></body><script>1</script>",
    "<svg onload=alert(1)><use href='//evil.example#x'/></svg>",
    "<style>@import url(//evil.example)</style>",
    "<form action=//evil.example><input name=x autofocus onfocus=alert(1)></form>",
]


@pytest.mark.parametrize("fragment", HOSTILE)
def test_hostile_markup_does_nothing(fragment: str) -> None:
    seen = read(output({"output_type": "display_data", "data": {"text/html": fragment}}))
    assert not {"script", "iframe", "object", "embed", "link", "base", "meta", "svg", "style", "form", "input"} & set(
        seen.elements
    )
    assert seen.fetched == []
    assert seen.handlers == []
    cleaned = sanitised(fragment)
    assert "javascript:" not in cleaned
    assert "url(" not in cleaned


@given(st.text())
@settings(max_examples=60)
def test_what_a_server_prints_stays_text(text: str) -> None:
    seen = read(output({"output_type": "stream", "name": "stdout", "text": text}))
    assert seen.elements == ["pre"]


def test_half_a_run_stands_out() -> None:
    half = record()
    half["metadata"]["runbook"]["state"] = "died"
    half["cells"][1]["metadata"]["runbook"]["status"] = "not reached"
    shown = page(half, name="r.ipynb")
    assert 'class="runbook-banner not-whole"' in shown
    assert "NOT REACHED" in read(shown).text


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    source = tmp_path / "r.ipynb"
    source.write_text("{")
    with pytest.raises(ValueError, match="end of data"):
        export(source, tmp_path / "r.html")
    assert [path.name for path in tmp_path.iterdir()] == ["r.ipynb"]
