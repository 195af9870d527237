"""What a broken promise becomes on the command line: a sentence that is true, and a code."""

import pytest

from pdp.cli.failures import failure_of
from pdp.domain.errors import NotFound, OutcomeUnknown, Unavailable


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Unavailable("gone"), 1, "gone: nothing was changed, try again"),
        (OutcomeUnknown("gone"), 1, "gone: look whether it was done before you try again"),
        (NotFound("device", "dev_1"), 2, "no device 'dev_1': see `pdp device list`"),
    ],
    ids=lambda case: type(case).__name__,
)
def test_what_is_known_of_the_outcome_is_what_is_said(error, code, said):
    failure = failure_of(error)

    assert (failure.exit_code, failure.message) == (code, said)
