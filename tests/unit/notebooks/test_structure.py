"""Every notebook keeps to the template, so that the eye learns once where things stand."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from runbook import notebook
from runbook.parameters import project_root

FEWEST, MOST, LONGEST_CELL, MOST_WORDS, LARGEST_BYTES = 12, 22, 8, 620, 600_000
SHARE_COMPARED = 0.8
PURPOSE = ["Use when", "Do not use when", "Changes", "Undo", "Needs", "Takes", "Next"]
TYPES = {"str": str, "int": int, "float": float, "bool": bool}
START_PAGE = "00-start-here"
PROCEDURES = {
    line.split()[0]: (line.split()[1], line.split()[2])
    for line in (Path(__file__).parent / "procedures.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
}
READY = {
    "start.quick-reference", "access.ssh", "access.sudo", "access.firewall", "access.server-locations", "services.status",
    "services.logs", "health.quick", "health.detailed", "health.log-scan", "certificates.status", "certificates.timer",
    "maintenance.certificates", "deploy.backend", "deploy.backend-rollback", "deploy.frontend", "deploy.migrate", "deploy.migrate-rollback", "database.query", "database.size", "database.backup", "database.backup-compressed", "database.restore", "database.vacuum", "backup.coverage", "backup.config-and-certs", "backup.minio", "backup.off-host", "backup.retention", "backup.disaster-recovery", "services.restart", "services.stop-start", "certificates.renew-dry-run", "certificates.renew", "certificates.internal-postgres",
    "certificates.internal-minio", "maintenance.rotate-secrets",
}  # fmt: skip
# procedures that read, in a notebook that may change something afterwards
LOOKS_FIRST = {"certificates.renew-dry-run"}
# the way back of a procedure that has a notebook of its own: it changes more than the procedure itself
WAY_BACK = {"07-backup/restore-uploads": "backup.minio"}
NAMES = notebook.names()
PLANNED = {where for _, where in PROCEDURES.values()} - set(NAMES)
FORBIDDEN = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.If, ast.For, ast.While, ast.Try, ast.With, ast.IfExp,
    ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp,
)  # fmt: skip
LEAKS = {
    # other than loopback, "any", and what Docker gives to its own networks
    "an address": r"\b(?!127\.0\.0\.1\b|0\.0\.0\.0\b|172\.(?:1[6-9]|2\d|3[01])\.)(?:\d{1,3}\.){3}\d{1,3}\b",
    "a private key": r"BEGIN [A-Z ]*PRIVATE KEY",
    "a token": r"\beyJ[\w-]{10,}\.",
    "a path of somebody's machine": r"/(?:root|home|Users|work|tmp/pytest)/",
    "an object's address in memory": r"\bat 0x[0-9a-f]{6,}",
    "a mail address of a person": r"[\w.]+@(?!127\.0\.0\.1|pazpaz\.test|LOOPBACK)[\w-]+\.[a-z]{2,}",
}


def cells_of(name: str, kind: str = "") -> list[dict[str, Any]]:
    """Return the cells of a notebook, all or of one kind."""
    cells = notebook.find(name).content["cells"]
    return [cell for cell in cells if not kind or cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    """Return a cell's source as one text."""
    return notebook.source_of(cell)


def texts(cell: dict[str, Any]) -> list[str]:
    """Return everything in a cell's outputs that is text."""
    found = []
    for output in cell["outputs"]:
        found.append("".join(output.get("text", "")))
        found += ["".join(value) for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
    return found


def every(kind: str = "") -> list[Any]:
    """Return all cells as test parameters."""
    return [pytest.param(name, cell, id=f"{name}:{cell['id']}") for name in NAMES for cell in cells_of(name, kind)]


def test_every_ready_procedure_is_claimed_and_every_claim_exists() -> None:
    claimed = {procedure for name in NAMES for procedure in notebook.find(name).procedures}
    assert claimed <= PROCEDURES.keys(), "an id that the list of procedures lacks"
    assert claimed >= READY
    for name in NAMES:
        for procedure in notebook.find(name).procedures:
            if WAY_BACK.get(name) == procedure:
                continue
            kind, where = PROCEDURES[procedure]
            assert where == name, procedure
            assert kind == notebook.find(name).kind or (kind == "read" and procedure in LOOKS_FIRST), procedure


@pytest.mark.parametrize("name", NAMES)
def test_file_is_a_notebook_of_the_runbook(name: str) -> None:
    found = notebook.find(name)
    assert (found.content["nbformat"], found.content["nbformat_minor"]) == (4, 5)
    assert found.content["metadata"]["kernelspec"]["name"] == "python3"
    assert set(found.content["metadata"]) == {"kernelspec", "language_info", "runbook"}
    assert set(found.content["metadata"]["runbook"]) == {"kind", "procedures", "subsystem", "symptoms"}
    assert found.kind in {"read", "change", "danger"}
    assert found.procedures
    assert found.path.stat().st_size < LARGEST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_length_and_ids(name: str) -> None:
    cells = cells_of(name)
    assert FEWEST <= len(cells) <= MOST
    ids = [cell["id"] for cell in cells]
    assert len(set(ids)) == len(ids)
    assert [identifier for identifier in ids if not re.fullmatch(r"[a-z]+(-[a-z]+)*", identifier)] == []
    assert sum(len(source(cell).split()) for cell in cells_of(name, "markdown")) <= MOST_WORDS


@pytest.mark.parametrize("name", NAMES)
def test_sections_stand_in_the_order_of_the_template(name: str) -> None:
    ids = [cell["id"] for cell in cells_of(name)]
    wanted = [
        "purpose",
        "parameters",
        "which-server",
        "setup",
        "preflight",
        "verdict",
        "evidence",
        "record",
        "next-steps",
    ]
    if name == START_PAGE:
        wanted = ["purpose", "parameters", "setup", "record"]
    assert [identifier for identifier in ids if identifier in wanted] == wanted
    assert ids[:2] == ["purpose", "parameters"]


@pytest.mark.parametrize("name", NAMES)
def test_first_screen_says_whether_this_is_the_right_page(name: str) -> None:
    text = source(cells_of(name)[0])
    assert re.match(r"# \S.*\n\n\S", text), "a title, then one paragraph"
    rows = re.findall(r"(?m)^\| \*\*(.+?)\*\* \| (\S.*) \|$", text)
    assert [row[0] for row in rows] == PURPOSE
    symptoms = notebook.find(name).symptoms
    assert symptoms or name == START_PAGE
    assert all(f"`{symptom}`" in text for symptom in symptoms), "symptoms stand verbatim"


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_typed_literals_with_a_comment_each(name: str) -> None:
    cell = cells_of(name)[1]
    assert cell["metadata"]["tags"] == ["parameters"]
    lines = source(cell).splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z_]+: (str|int|float|bool) = .+  # \S.+", line)] == []
    assigned = [node for node in ast.parse(source(cell)).body if isinstance(node, ast.AnnAssign)]
    assert len(assigned) == len(lines)
    values = {
        node.target.id: (TYPES[ast.unparse(node.annotation)], ast.literal_eval(node.value))
        for node in assigned
        if isinstance(node.target, ast.Name) and node.value is not None
    }
    assert all(type(value) is kind for kind, value in values.values())
    assert next(iter(values.items())) == ("target", (str, "sandbox"))
    if notebook.find(name).kind == "read":
        assert "apply" not in values, "what changes nothing has nothing to apply"
    else:
        assert list(values.items())[-1] == ("apply", (bool, False))


@pytest.mark.parametrize(("name", "cell"), every("code"))
def test_code_cells_hold_no_logic(name: str, cell: dict[str, Any]) -> None:
    text = source(cell)
    assert 1 <= len(text.splitlines()) <= LONGEST_CELL
    assert not re.search(r"(?m)^\s*[!%?]|[!?]$|get_ipython|__file__|sys\.|os\.|\.\./", text)
    tree = ast.parse(text)
    assert [type(node).__name__ for node in ast.walk(tree) if isinstance(node, FORBIDDEN)] == []
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert called <= {"start"}, "print, exit, input and open have no place in a cell"
    shown = [node for node in tree.body if isinstance(node, ast.Expr)]
    if cell["id"] != "parameters":
        assert shown == tree.body[-1:], "one shown value, at the end"
    if cell["id"] == "setup":
        assert f'run = start("{name}")' in text


@pytest.mark.parametrize(("name", "cell"), every("markdown"))
def test_headings_are_questions_with_the_expected_answer(name: str, cell: dict[str, Any]) -> None:
    text = source(cell)
    assert "<" not in text.replace("params/<target>", ""), "markdown only, no HTML"
    if cell["id"] != "purpose":
        assert re.match(r"## \S.*\?\n", text), name
        assert re.search(r"(?m)^Expect: \S", text)
        assert re.search(r"(?m)^If not( sure)?: \S", text)


@pytest.mark.parametrize(("name", "cell"), every("markdown"))
def test_links_lead_to_notebooks_and_planned_ones_are_named_as_such(name: str, cell: dict[str, Any]) -> None:
    path = notebook.find(name).path
    for target in re.findall(r"\]\(([^)]+)\)", source(cell)):
        assert (path.parent / target).resolve().is_file(), target
    plain = re.sub(r"\[[^\]]*\]\([^)]*\)", "", source(cell))
    for named, planned in re.findall(r"(\d\d-[a-z-]+/[a-z-]+)( \(planned\))?", plain):
        assert named in (PLANNED if planned else NAMES), named


def test_checks_lead_to_notebooks_of_the_runbook() -> None:
    known = {*NAMES, *PLANNED}
    for path in sorted((project_root() / "lib" / "runbook" / "checks").glob("*.py")):
        named = set(re.findall(r'"(\d\d-[a-z-]+/[a-z-]+)"', path.read_text(encoding="utf-8")))
        assert named <= known, path.name


@pytest.mark.parametrize(("name", "cell"), every("code"))
def test_outputs_are_stored_and_fit_for_everybody(name: str, cell: dict[str, Any]) -> None:
    assert cell["execution_count"] is not None, f"{name} was not run: python tests/notebooks/refresh.py {name}"
    assert {output["output_type"] for output in cell["outputs"]} <= {"execute_result", "display_data"}
    assert bool(cell["outputs"]) == (cell["id"] != "parameters")
    for text in texts(cell):
        for what, pattern in LEAKS.items():
            assert not re.search(pattern, text), what


@pytest.mark.parametrize("name", NAMES)
def test_outputs_come_from_the_practice_server(name: str) -> None:
    setup = next(cell for cell in cells_of(name) if cell["id"] == "setup")
    assert all(text.startswith("sandbox (practice server)") for text in texts(setup) if text)
    assert json.dumps(cells_of(name)).count("pazpaz.health") == 0


def test_most_outputs_are_compared() -> None:
    """Count as compared what nbval compares: stored text that no tag excuses."""
    code = [cell for name in NAMES for cell in cells_of(name, "code")]
    compared = [
        cell
        for cell in code
        if any(text.strip() for text in texts(cell)) and "nbval-ignore-output" not in cell["metadata"].get("tags", ())
    ]
    assert len(compared) >= SHARE_COMPARED * len(code), f"{len(compared)} of {len(code)} code cells"


def test_sanitising_leaves_words_to_compare() -> None:
    """What is left of a stored output after sanitising must still tell one state from another."""
    rules = re.findall(
        r"^regex: (.*)\nreplace: (.*)$",
        (project_root() / "tests" / "notebooks" / "sanitize.cfg").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert rules
    for left, right in (("OK", "WARNING"), ("healthy", "unhealthy"), ("8 running", "7 running"), ("0600", "0644"), ("80 / 92 %", "85 / 92 %")):  # fmt: skip
        one, other = f"| {left} |", f"| {right} |"
        for pattern, replacement in rules:
            one, other = re.sub(pattern, replacement, one), re.sub(pattern, replacement, other)
        assert one != other
