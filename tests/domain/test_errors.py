"""Broken promises: what was not there is named."""

from pdp.domain.errors import NotFound


def test_what_was_not_found_is_named():
    error = NotFound("device", "dev_1")

    assert str(error) == "no device 'dev_1'"
    assert (error.kind, error.key) == ("device", "dev_1")
