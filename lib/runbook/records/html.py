"""A record as one HTML page: self-contained, printable, nothing hidden, no script, no request to anywhere.

`python -m runbook.records.html RECORD.ipynb PAGE.html`. A content security policy in the page forbids scripts and requests, so
that what a server printed stays text whatever it says.
"""

from __future__ import annotations

import html
import os
import re
import sys
from pathlib import Path
from typing import Any

import orjson

from runbook.records.chain import Chain
from runbook.records.chained_lines import private
from runbook.records.outcome import tags_of, text_of

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# the richest first; what has none of these is shown as JSON
IMAGES = ("image/png", "image/jpeg", "image/gif")
STATES = {
    "ok": "ran",
    "failed": "FAILED",
    "interrupted": "INTERRUPTED",
    "not reached": "NOT REACHED",
    "ran before recording began": "ran before recording began",
}
ALLOWED = frozenset(
    [
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "details",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "kbd",
        "li",
        "mark",
        "ol",
        "p",
        "pre",
        "s",
        "samp",
        "small",
        "span",
        "strong",
        "sub",
        "summary",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "u",
        "ul",
        "var",
    ]
)
ATTRIBUTES = frozenset(
    [
        "class",
        "colspan",
        "rowspan",
        "scope",
        "align",
        "title",
        "alt",
        "style",
        "start",
        "href",
        "src",
        "width",
        "height",
    ]
)
STYLE = """
:root { color-scheme: light; --line: #d0d7de; --faint: #57606a; --code: #f6f8fa; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; color: #1f2328; background: #fff;
  max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1, h2, h3 { line-height: 1.25; margin: 1.6em 0 .5em; } h1 { font-size: 1.7rem; border-bottom: 1px solid var(--line); padding-bottom: .3em; }
h2 { font-size: 1.3rem; } h3 { font-size: 1.1rem; }
pre, code { font: 13px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
code { background: var(--code); padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .4rem 0; padding: .6rem .8rem; border-radius: 4px; }
pre code { background: none; padding: 0; }
.source { background: var(--code); border: 1px solid var(--line); }
.stream { background: #fff; border-left: 3px solid var(--line); border-radius: 0; }
.stderr, .error { background: #fff5f5; border-left: 3px solid #c62828; border-radius: 0; }
.table { overflow-x: auto; margin: .6rem 0; } table { border-collapse: collapse; font-size: 14px; }
details > summary { color: var(--faint); font-size: 12.5px; cursor: pointer; }
.runbook-banner h1 { margin-top: 0; overflow-wrap: anywhere; } .runbook-banner li { margin: .3rem 0; }
th, td { border: 1px solid var(--line); padding: .25rem .6rem; text-align: left; vertical-align: top; }
th { background: var(--code); } th:empty { padding: 0; border: 0; } td.number, th.number, td[align=right], th[align=right] { text-align: right; }
img { max-width: 100%; height: auto; }
blockquote { margin: .5rem 0; padding: .1rem 1rem; border-left: 4px solid var(--line); color: var(--faint); }
.cell { margin: .9rem 0; } .meta { color: var(--faint); font-size: 12.5px; margin: .2rem 0; }
.failed > .meta, .interrupted > .meta, .not-reached > .meta { color: #c62828; font-weight: 600; }
.not-whole { border: 2px solid #c62828; border-radius: 6px; padding: 0 1rem .5rem; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); color: var(--faint); font-size: 12.5px; }
@media (max-width: 40rem) { body { padding: .8rem .6rem 3rem; } h1 { font-size: 1.3rem; } table { font-size: 13px; } th, td { padding: .2rem .4rem; } }
@media print { details > summary { list-style: none; } .table { overflow: visible; } body { max-width: none; padding: 0; font-size: 11px; } pre, code, table { font-size: 9.5px; }
  .cell, tr, img { break-inside: avoid; } h1, h2, h3 { break-after: avoid; } a { color: inherit; text-decoration: none; } }
@page { margin: 14mm; }
"""


def page(record: dict[str, Any], *, name: str) -> str:
    """Given a record as nbformat JSON and its name, return the HTML page."""
    told = record.get("metadata", {}).get("runbook", {})
    header = told.get("header", {})
    title = f"{told.get('verdict', '')} {header.get('notebook', name)} on {header.get('target', '')}".strip()
    body = "\n".join(_cell(cell, whole=told.get("state", "whole") == "whole") for cell in record.get("cells", ()))
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><main>\n{body}\n</main>"
        f"<footer>Record {html.escape(name)}. The notebook file of this name is the record itself; this page is a copy to read "
        "and print. <code>./runbook records verify</code> tells whether the record is as it was written.</footer></body></html>\n"
    )


def _cell(cell: dict[str, Any], *, whole: bool) -> str:
    if cell["cell_type"] == "markdown":
        kinds = ["runbook-banner", *([] if whole else ["not-whole"])] if cell.get("id") == "runbook-banner" else []
        named = f' class="{" ".join(kinds)}"' if kinds else ""
        return f"<section{named}>{markdown(text_of(cell))}</section>"
    if cell["cell_type"] != "code":
        return f"<pre>{html.escape(text_of(cell))}</pre>"
    ran = cell.get("metadata", {}).get("runbook", {})
    status = ran.get("status", "")
    seconds = f", {ran['seconds']:.2f} s" if ran.get("seconds") is not None else ""
    meta = f'<p class="meta">{html.escape(STATES.get(status, status))}{seconds}</p>' if status else ""
    outputs = "\n".join(output(item) for item in cell.get("outputs", ()))
    if "runbook-scraps" in tags_of(cell):
        outputs = ""  # the same as JSON for programs; every part of it stands above in words
        return ""
    kind = status.replace(" ", "-")
    first = html.escape(text_of(cell).strip().split("\n")[0][:80])
    code = f"<details><summary>code: <code>{first}</code></summary>{source(text_of(cell))}</details>"
    return f'<div class="cell {html.escape(kind)}">{code}{meta}{outputs}</div>'


def source(code: str) -> str:
    """Given Python code, return it as highlighted HTML."""
    from pygments import highlight  # noqa: PLC0415 (tests of other parts do without)
    from pygments.formatters import HtmlFormatter  # noqa: PLC0415 (as above)
    from pygments.lexers.python import PythonLexer  # noqa: PLC0415 (as above)

    marked = highlight(code, PythonLexer(), HtmlFormatter(nowrap=True, noclasses=True, style="default"))
    return f'<pre class="source"><code>{marked.rstrip()}</code></pre>'


def output(item: dict[str, Any]) -> str:
    """Given one output of a cell, return it as HTML: an image, a table, or text."""
    kind = item.get("output_type")
    if kind == "stream":
        return f'<pre class="stream {html.escape(item.get("name", ""))}">{_text(item.get("text", ""))}</pre>'
    if kind == "error":
        trace = "\n".join(item.get("traceback") or [f"{item.get('ename')}: {item.get('evalue')}"])
        return f'<pre class="error">{_text(trace)}</pre>'
    return _bundle(item.get("data", {}))


def _bundle(data: dict[str, Any]) -> str:
    for kind in IMAGES:
        if kind in data:
            content = re.sub(r"[^A-Za-z0-9+/=]", "", _joined(data[kind]))
            described = html.escape(_joined(data.get("text/plain", "a figure"))[:300], quote=True)
            return f'<img src="data:{kind};base64,{content}" alt="{described}">'
    if "text/html" in data:
        return sanitised(_joined(data["text/html"]))
    if "text/markdown" in data:
        return markdown(_joined(data["text/markdown"]))
    if "text/plain" in data:
        return f'<pre class="stream">{_text(data["text/plain"])}</pre>'
    return f'<pre class="stream">{_text(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode())}</pre>' if data else ""


def _joined(value: Any) -> str:
    return value if isinstance(value, str) else "".join(value)


def _text(value: Any) -> str:
    return html.escape(ANSI.sub("", _joined(value)).rstrip("\n"))


def markdown(text: str) -> str:
    """Given Markdown, return HTML; raw HTML within it stays text."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 (tests of other parts do without)

    rendered: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    return sanitised(rendered)


def sanitised(fragment: str) -> str:
    """Given HTML from a cell, return it with known harmless elements only, all closed, and no address to fetch from."""
    import bleach  # noqa: PLC0415 (tests of other parts do without)

    cleaned: str = bleach.clean(
        re.sub(r"(?is)<(style|script)\b.*?</\1\s*>", "", fragment),
        tags=ALLOWED,
        attributes=_harmless,
        protocols={"data", "http", "https", "mailto"},
        css_sanitizer=_Colours(),
        strip=True,
    )
    return re.sub(r"(<table\b)", r'<div class="table">\1', cleaned).replace("</table>", "</table></div>")


def _harmless(tag: str, name: str, value: str) -> bool:
    if name == "src":
        return tag == "img" and value.startswith("data:image/")
    return name in ATTRIBUTES


class _Colours:
    """Keeps of a style what makes tables readable, and nothing that could fetch."""

    def sanitize_css(self, style: str) -> str:
        kept = [part.strip() for part in style.split(";") if re.fullmatch(r"[a-z-]+\s*:\s*[#\w .,%()-]+", part.strip())]
        return "; ".join(part for part in kept if "url" not in part.lower() and "expression" not in part.lower())


def export(record_path: Path, page_path: Path) -> Path:
    """Given a record's file, write its page whole or not at all, for its owner only. Raises OSError or ValueError.

    The page beside a record of the chain is noted there with its checksum.
    """
    text = page(orjson.loads(record_path.read_bytes()), name=record_path.name)
    part = page_path.with_name(f".{page_path.name}.{os.getpid()}")
    try:
        with open(part, "w", encoding="utf-8", opener=private) as file:
            file.write(text)
        chain = Chain(record_path.parent)
        if page_path == record_path.with_suffix(".html") and record_path.stem in chain.records():
            chain.add_page(record_path.stem, part, page_path)
        else:
            part.replace(page_path)
    finally:
        part.unlink(missing_ok=True)
    return page_path


def main(arguments: list[str]) -> None:
    """Export a record, then bring the index in step while nobody waits."""
    from runbook.records.index import Index  # noqa: PLC0415 (after the page)

    record_path, page_path = (Path(item) for item in arguments)
    export(record_path, page_path)
    with Index(record_path.parent) as index:
        index.update()


if __name__ == "__main__":
    main(sys.argv[1:])
