"""./runbook notebooks: which notebook for which symptom."""

from __future__ import annotations

import re

import click


@click.command()
@click.argument("symptom", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def notebooks(symptom: tuple[str, ...], *, as_json: bool) -> None:
    """List the notebooks; given the words of a SYMPTOM or an alert, those that fit, best first."""
    import json  # noqa: PLC0415 (--help does not need it)

    from runbook import notebook as files  # noqa: PLC0415 (as above)
    from runbook.screen import columns  # noqa: PLC0415 (as above)

    found = [files.find(name) for name in files.names()]
    wanted = words(" ".join(symptom))
    if wanted:
        ranked = sorted(((fit(wanted, item), item) for item in found), key=lambda pair: (-pair[0], pair[1].name))
        found = [item for score, item in ranked if score > 0]
        if not found:
            click.echo(
                "No notebook names this symptom. Begin with ./runbook run 04-health/quick: it names the next one."
            )
            return
    if as_json:
        click.echo(
            json.dumps(
                [
                    {"name": item.name, "title": item.title, "kind": item.kind, "symptoms": item.symptoms}
                    for item in found
                ]
            )
        )
        return
    rows = [(item.name, item.kind, item.title, "; ".join(item.symptoms)) for item in found]
    click.echo(columns(("notebook", "kind", "title", "symptoms"), rows))


def words(text: str) -> set[str]:
    """Return the words of a text that say something, in lower case."""
    return {
        word
        for word in re.findall(r"[a-z0-9][a-z0-9_.-]+", text.lower())
        if word not in {"the", "is", "of", "on", "and", "not", "to", "in"}
    }


def fit(wanted: set[str], item: object) -> float:
    """Return how well a notebook fits the words of a symptom: 3 a word in its symptoms, 2 in title or name, 1 elsewhere."""
    from runbook.notebook import source_of  # noqa: PLC0415 (--help does not need it)

    content = getattr(item, "content", {"cells": []})
    first = source_of(content["cells"][0]) if content["cells"] else ""
    places = (
        (3.0, " ".join(getattr(item, "symptoms", ()))),
        (2.0, f"{getattr(item, 'title', '')} {getattr(item, 'name', '')}"),
        (1.0, first),
    )
    return sum(weight for word in wanted for weight, text in places if word in text.lower())
