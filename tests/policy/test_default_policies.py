"""What the policies that a deployment begins with decide."""

import pytest

from pdp.domain.access import Facts, Outcome
from pdp.domain.compliance import Compliance
from pdp.domain.signal import RiskLevel
from pdp.policy.defaults import default_policies
from pdp.policy.evaluate import evaluate
from tests.builders import device_facts, facts, machine_facts, subject_facts


def on(compliance: Compliance, risk: RiskLevel = RiskLevel.UNKNOWN) -> Facts:
    """Return the facts of a sign-in on such a device."""
    return facts(device=device_facts(compliance=compliance, risk=risk))


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        pytest.param(on(Compliance.COMPLIANT), Outcome.FULL, id="compliant"),
        pytest.param(on(Compliance.IN_GRACE), Outcome.FULL, id="in-grace"),
        pytest.param(on(Compliance.STALE), Outcome.REMEDIATE, id="stale"),
        pytest.param(on(Compliance.UNKNOWN), Outcome.REMEDIATE, id="unknown"),
        pytest.param(on(Compliance.NOT_COMPLIANT), Outcome.REMEDIATE, id="not-compliant"),
        pytest.param(on(Compliance.ERROR), Outcome.BLOCK, id="error"),
        pytest.param(
            on(Compliance.COMPLIANT, RiskLevel.HIGH), Outcome.REMEDIATE, id="high-risk-override"
        ),
        pytest.param(machine_facts(), Outcome.FULL, id="machine"),
        pytest.param(facts(device=None), Outcome.BLOCK, id="person-without-any-device-facts"),
    ],
)
def test_the_default_bundle_decides(given: Facts, outcome: Outcome):
    assert evaluate(default_policies(), given).outcome is outcome


def test_the_default_bundle_lets_a_break_glass_person_past_an_error_alone():
    someone = subject_facts(break_glass=True)
    error = facts(device=device_facts(compliance=Compliance.ERROR), subject=someone)
    stale = facts(device=device_facts(compliance=Compliance.STALE), subject=someone)
    assert evaluate(default_policies(), error).outcome is Outcome.FULL
    assert evaluate(default_policies(), error).fail_open
    assert evaluate(default_policies(), stale).outcome is Outcome.REMEDIATE
