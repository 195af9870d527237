"""Outcomes: one word each, and no others."""

import pytest

from pdp.domain.access import Outcome


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Outcome.FULL, "full"),
        (Outcome.RESTRICTED, "restricted"),
        (Outcome.STEP_UP, "step-up"),
        (Outcome.REMEDIATE, "remediate"),
        (Outcome.BLOCK, "block"),
    ],
)
def test_an_outcome_has_one_word(outcome: Outcome, word: str):
    assert outcome.wire == word
    assert Outcome.from_wire(word) is outcome


@pytest.mark.parametrize("word", ["", "Full", "FULL", "step_up", "full ", "allow"])
def test_any_other_word_is_no_outcome(word: str):
    with pytest.raises(ValueError, match=f"^{word}$"):
        Outcome.from_wire(word)
