"""What it takes to change one's own account: never a password alone, where it opens more."""

from datetime import timedelta

import pytest

from pdp.domain.compliance import Compliance
from pdp.settings import LifetimeSettings
from pdp.usecases.authorize_change import ChangeRefused, refuse_device_enrolment
from tests.builders import NOW, a_session

LIFETIMES = LifetimeSettings()
STALE = LIFETIMES.fresh_sign_in + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("acr", "has_factor", "compliance", "refused"),
    [
        ("pwd", False, Compliance.UNKNOWN, ChangeRefused.DEVICE_NOT_COMPLIANT),
        ("pwd", False, Compliance.IN_GRACE, ChangeRefused.DEVICE_NOT_COMPLIANT),
        ("pwd", False, Compliance.ERROR, ChangeRefused.DEVICE_NOT_COMPLIANT),
        ("pwd", False, Compliance.COMPLIANT, None),
        ("pwd", True, Compliance.COMPLIANT, ChangeRefused.NEEDS_FACTOR),
        ("mfa", True, Compliance.UNKNOWN, None),
    ],
)
def test_a_further_device_takes_the_second_factor_or_a_compliant_device(
    acr: str,
    has_factor: bool,  # noqa: FBT001  a column of the table
    compliance: Compliance,
    refused: ChangeRefused | None,
):
    found = refuse_device_enrolment(
        a_session(acr=acr),
        has_factor=has_factor,
        compliance=compliance,
        lifetimes=LIFETIMES,
        now=NOW,
    )

    assert found == refused


def test_a_further_device_takes_a_fresh_sign_in_before_anything_else():
    found = refuse_device_enrolment(
        a_session(acr="mfa"),
        has_factor=True,
        compliance=Compliance.COMPLIANT,
        lifetimes=LIFETIMES,
        now=NOW + STALE,
    )

    assert found is ChangeRefused.NOT_FRESH
