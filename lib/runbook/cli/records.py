"""./runbook records: list, search, show, compare, verify, note, open.

Longer than 300 lines: each sub-command is one function.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbook.errors import EXIT_FAILED, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runbook.records.index import Entry, Index

Filter = dict[str, str | None]


@click.group()
@click.option("--outputs", type=click.Path(file_okay=False, path_type=Path), help="Folder of the records (outputs/).")
@click.pass_context
def records(context: click.Context, outputs: Path | None) -> None:
    """What runs have left. RECORD is a name, the beginning or end of one, or `last`."""
    from runbook.records.archive import export_page, finalise_orphans  # noqa: PLC0415 (--help does not need it)
    from runbook.records.journal import outputs_folder  # noqa: PLC0415 (as above)

    folder = outputs or outputs_folder()
    if not folder.is_dir():
        raise RecordError(f"there is no folder {folder}", remedy="run a notebook first: ./runbook run 04-health/quick")
    context.obj = folder
    for orphan in finalise_orphans(folder):
        export_page(orphan.path, wait=False)
        click.echo(
            f"finished for a run that had no end: {orphan.path.name} ({orphan.state}: {orphan.reason})", err=True
        )


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose records."""
    for option in (
        click.option("-t", "--target", help="Only records of this target."),
        click.option("-n", "--notebook", help="Only records of this notebook (04-health/quick)."),
        click.option("--verdict", type=click.Choice(["OK", "WARNING", "CRITICAL", "UNKNOWN"], case_sensitive=False)),
        click.option("--since", help="Only records from this UTC time on (2026-11-24, or longer)."),
    ):
        command = option(command)
    return command


@records.command("list")
@filters
@click.option("--limit", type=click.IntRange(1), default=30, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_(outputs: Path, /, *, limit: int, as_json: bool, **chosen: str | None) -> None:
    """List records, newest first."""
    with _index(outputs) as index:
        _print_entries(index.entries(limit=limit, **chosen), as_json=as_json)


@records.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1), default=30, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def search(outputs: Path, words: tuple[str, ...], *, limit: int, as_json: bool) -> None:
    """Find records by words of their findings, commands, notes or names."""
    with _index(outputs) as index:
        _print_entries(index.search(" ".join(words), limit=limit), as_json=as_json)


@records.command()
@click.argument("record", default="last")
@click.pass_obj
def show(outputs: Path, record: str) -> None:
    """Show a record in the terminal: banner, findings, commands, notes."""
    from runbook.records.chain import Chain  # noqa: PLC0415 (--help does not need it)
    from runbook.records.show import text  # noqa: PLC0415 (as above)

    path = find(outputs, record)
    click.echo(text(_load(path), name=path.name, notes=Chain(outputs).notes(path.stem)))


@records.command("open")
@click.argument("record", default="last")
@click.pass_obj
def open_(outputs: Path, record: str) -> None:
    """Open a record's page in the browser, written first where it is not there."""
    import webbrowser  # noqa: PLC0415 (--help does not need it)

    from runbook.records.html import export  # noqa: PLC0415 (as above)

    path = find(outputs, record)
    page = path.with_suffix(".html")
    export(path, page)
    click.echo(str(page))
    webbrowser.open(page.resolve().as_uri())


@records.command()
@click.pass_obj
def verify(outputs: Path) -> int:
    """Tell whether any record, page or journal was edited, deleted or inserted since it was written."""
    from runbook.records.archive import kept_elsewhere, under_way  # noqa: PLC0415 (--help does not need it)
    from runbook.records.chain import Chain  # noqa: PLC0415 (as above)
    from runbook.records.verify import verify as verify_  # noqa: PLC0415 (as above)

    chain = Chain(outputs)
    for run_id in under_way(outputs):
        click.echo(f"going on now: {run_id}")
    for path in kept_elsewhere(outputs):
        click.echo(f"no record yet, because {outputs} could not be written; the journal is kept in {path}")
    problems = verify_(chain)
    for problem in problems:
        click.echo(f"CRITICAL  {problem.name}: {problem.reason}")
    lines = chain.lines()
    if not problems:
        head = f"head of the chain: {lines[-1]['hash'][:16]}" if lines else "nothing has been run yet"
        click.echo(
            f"OK: {len(chain.records())} records, with their pages and journals, are as they were written ({head})."
        )
    return EXIT_FAILED if problems else 0


@records.command()
@click.argument("first", default="")
@click.argument("second", default="")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def diff(outputs: Path, first: str, second: str, *, as_json: bool) -> None:
    """Tell what changed on the server between two records (default: the last good one and the newest of its kind)."""
    import dataclasses  # noqa: PLC0415 (--help does not need it)

    from runbook.records.compare import changes  # noqa: PLC0415 (as above)
    from runbook.records.record import scraps_of  # noqa: PLC0415 (as above)
    from runbook.screen import columns  # noqa: PLC0415 (as above)

    was, now = _pair(outputs, first, second)
    found = changes(scraps_of(_load(was)).get("facts") or {}, scraps_of(_load(now)).get("facts") or {})
    if as_json:
        _print_json({"was": was.name, "now": now.name, "changes": [dataclasses.asdict(change) for change in found]})
        return
    click.echo(f"was  {was.name}\nnow  {now.name}\n")
    rows = [(change.topic, change.what, change.was or "(not there)", change.now or "(gone)") for change in found]
    click.echo(
        columns(("topic", "what", "was", "now"), rows) if rows else "Nothing of what both looked at has changed."
    )


@records.command()
@click.argument("record")
@click.argument("text")
@click.pass_obj
def note(outputs: Path, record: str, text: str) -> None:
    """Add a note to a record. The record stays as it is; the note has a place of its own in the chain."""
    import getpass  # noqa: PLC0415 (--help does not need it)
    import os  # noqa: PLC0415 (as above)

    from runbook.records.chain import Chain  # noqa: PLC0415 (as above)

    path = find(outputs, record)
    operator = os.environ.get("RUNBOOK_OPERATOR") or getpass.getuser()
    try:
        Chain(outputs).append("note", name=path.stem, operator=operator, text=text)
    except OSError as error:
        raise RecordError(
            f"the note cannot be written: {error.strerror}", remedy="free space, then try again"
        ) from None
    click.echo(f"noted on {path.name}")


@records.command()
@click.argument("number", default="")
@filters
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def trend(outputs: Path, /, number: str, *, as_json: bool, **chosen: str | None) -> None:
    """Show one number of the facts over time (filesystems./.used_percent); without NUMBER, what numbers there are."""
    from runbook.records.trend import trend_text  # noqa: PLC0415 (--help does not need it)

    with _index(outputs) as index:
        points = index.trend(number, **chosen) if number else []
        if not points:
            near = index.paths(number)
            if number:
                click.echo(
                    f"there is no number {number!r} in these records. "
                    + ("Meant:" if near else "See ./runbook records trend")
                )
            click.echo("\n".join(near[:200]))
            return
    if as_json:
        _print_json([{"time": moment, "value": value, "record": name} for moment, value, name in points])
    else:
        click.echo(trend_text(number, points))


@records.command()
@click.pass_obj
def finalise(outputs: Path) -> int:
    """Write the records of runs that nobody finished (every other command does this too)."""
    from runbook.records.archive import kept_elsewhere, under_way  # noqa: PLC0415 (--help does not need it)

    left = [*kept_elsewhere(outputs)]
    for path in left:
        click.echo(f"{outputs} still cannot be written; the journal is kept in {path}", err=True)
    for run_id in under_way(outputs):
        click.echo(f"going on now: {run_id}")
    return EXIT_FAILED if left else 0


def find(outputs: Path, wanted: str) -> Path:
    """Given a record's name, the beginning or end of one, or `last`, return its file. Raises RecordError."""
    direct = Path(wanted)
    if direct.suffix == ".ipynb" and direct.is_file():
        return direct
    with _index(outputs) as index:
        if wanted == "last":
            names = [entry.name for entry in index.entries(limit=1)]
        else:
            stem = wanted.removesuffix(".ipynb").removesuffix(".html")
            names = index.names_like(stem)
            names = [name for name in names if name == f"{stem}.ipynb"] or names
    if not names:
        raise RecordError(
            f"there is no record {wanted[:120]!r} in {outputs}", remedy="./runbook records list shows what there is"
        )
    if len(names) > 1:
        raise RecordError(
            f"{wanted!r} fits {len(names)} records or more: {', '.join(names[:3])} ...", remedy="write more of the name"
        )
    return outputs / names[0]


def _pair(outputs: Path, first: str, second: str) -> tuple[Path, Path]:
    if first and second:
        return find(outputs, first), find(outputs, second)
    with _index(outputs) as index:
        if first:
            name = find(outputs, first).name
            newest = index.entry(name)
        else:
            newest = next(iter(index.entries(limit=1)), None)
        if newest is None:
            raise RecordError(
                "there are no records to compare", remedy="run a notebook first: ./runbook run 04-health/quick"
            )
        good = index.last_good(newest.target, newest.notebook, before=newest.started)
        if good is None:
            raise RecordError(
                f"there is no earlier good record of {newest.notebook} on {newest.target}",
                remedy="name two records: ./runbook records diff FIRST SECOND",
            )
    return outputs / good.name, outputs / newest.name


def _index(outputs: Path) -> Index:
    from runbook.records.index import Index  # noqa: PLC0415 (--help does not need it)

    index = Index(outputs)
    index.update()
    return index


def _load(path: Path) -> dict[str, Any]:
    import orjson  # noqa: PLC0415 (--help does not need it)

    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{path} cannot be read: {error}", remedy="./runbook records verify tells what happened to it"
        ) from None
    return found


def _print_entries(entries: Iterable[Entry], *, as_json: bool) -> None:
    import dataclasses  # noqa: PLC0415 (--help does not need it)

    from runbook.screen import columns  # noqa: PLC0415 (as above)

    if as_json:
        _print_json([dataclasses.asdict(entry) for entry in entries])
        return
    rows = [
        (
            entry.started[:19].replace("T", " "),
            entry.verdict if entry.state == "whole" else entry.state.upper(),
            entry.notebook,
            entry.target,
            f"{entry.seconds:.1f}",
            entry.name.removesuffix(".ipynb").rsplit("--", 1)[-1],
            entry.sentence if entry.state == "whole" else entry.reason,
        )
        for entry in entries
    ]
    click.echo(
        columns(("time (UTC)", "verdict", "notebook", "target", "took (s)", "id", "what"), rows)
        if rows
        else "No records."
    )


def _print_json(value: Any) -> None:
    import orjson  # noqa: PLC0415 (--help does not need it)

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
