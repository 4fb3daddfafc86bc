"""The list of sentences is the one that the code has now."""

from __future__ import annotations

from sentences import PAGE, page


def test_the_list_is_of_this_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python tests/unit/docs/sentences.py"
