"""Every captured output in tests/cases/facts is read as the file beside it says.

`<fact>-<case>.json` holds the fact as plain JSON, or {"missing": "<beginning of the reason>"}.
"""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING

import pytest
from captured import CASES, ROOT, Captured, fact_of

from runbook.facts import Fact, Missing, gather, plain

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.parameters import Parameters


@pytest.mark.parametrize("case", CASES, ids=str)
def test_captured_output_is_read(case: Path, parameters: Parameters) -> None:
    """The parser gives what the file beside the output says."""
    fact = fact_of(case)
    found = gather(Captured(case), parameters, [fact])[fact.name]
    expected = json.loads((ROOT / case).with_suffix(".json").read_text(encoding="utf-8"))
    if isinstance(expected, dict) and "missing" in expected:
        assert isinstance(found, Missing), found
        assert found.reason.startswith(expected["missing"])
    else:
        assert plain(found) == expected


def test_every_fact_has_a_case() -> None:
    """A parser without a captured output is a parser that nobody has tried."""
    here = {(case.parent.name, case.stem.split("-")[0]) for case in CASES}
    modules = [path.stem for path in (ROOT.parents[2] / "lib/runbook/facts").glob("[a-z]*.py")]
    asked = {
        (module, name)
        for module in modules
        if module != "preflight"
        for name, value in vars(importlib.import_module(f"runbook.facts.{module}")).items()
        if isinstance(value, Fact)
    }
    assert asked - here == set()
