"""Thousands of signals, each beside one that says worse: worse never gives more access.

Every combination, not a sample: what Hypothesis draws in the other laws may miss one of them.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from pdp.domain.access import Channel, DeviceFacts, Facts, Strength
from pdp.domain.compliance import Compliance
from pdp.domain.device import Device
from pdp.domain.ids import DeviceId, SourceId
from pdp.domain.signal import ACTIVE_THREAT, Finding, RiskLevel, Signal
from pdp.policy.assess import assess
from pdp.policy.defaults import default_policies, default_rules
from pdp.policy.evaluate import evaluate
from pdp.policy.explain import explain
from pdp.policy.rules import Rules
from tests.builders import NOW, device_facts, facts, subject_facts
from tests.deployment import a_signal
from tests.properties.test_assessment_laws import RULES

POLICIES = default_policies()
AT_LEAST = 5000
HOUR = timedelta(hours=1)
OPEN = Finding(id="1", title="a finding", severity=RiskLevel.MEDIUM)
#: From best to worst.
RISKS = (RiskLevel.LOW, RiskLevel.MEDIUM, RiskLevel.HIGH)
FINDINGS = (replace(OPEN, resolved=True), OPEN, replace(OPEN, severity=RiskLevel.HIGH))
VERDICTS = (True, False)
STRENGTHS = (Strength.STRONG, Strength.WEAK, Strength.NONE)
PAST = (
    (),
    (a_signal("past", NOW - HOUR, risk=RiskLevel.LOW, compliant=True),),
    (a_signal("past", NOW - HOUR, risk=RiskLevel.HIGH),),
    (a_signal("past", NOW - HOUR, risk=RiskLevel.MEDIUM, findings=(OPEN,)),),
    (a_signal("past", NOW - HOUR, compliant=False, source=SourceId("mdm")),),
    (a_signal("past", NOW + timedelta(seconds=30), risk=RiskLevel.LOW),),
)


def _signals() -> Iterator[Signal]:
    combined = product((None, *RISKS), (None, *VERDICTS), (None, *VERDICTS), (None, *FINDINGS))
    for risk, compliant, encrypted, finding in combined:
        yield a_signal(
            "now",
            risk=risk,
            compliant=compliant,
            posture={} if encrypted is None else {"disk_encrypted": encrypted},
            findings=() if finding is None else (finding,),
        )


def _worse(signal: Signal) -> Iterator[Signal]:
    """Yield the same statement with one thing said worse, and with all of them."""
    for risk in RISKS[RISKS.index(signal.risk) + 1 :] if signal.risk in RISKS else ():
        yield replace(signal, risk=risk)
    if signal.compliant:
        yield replace(signal, compliant=False)
    if signal.posture.get("disk_encrypted"):
        yield replace(signal, posture={"disk_encrypted": False})
    for finding in signal.findings:
        for worse in FINDINGS[FINDINGS.index(finding) + 1 :]:
            yield replace(signal, findings=(worse,))
    if signal.risk is not None:
        yield replace(signal, risk=RiskLevel.HIGH, category=ACTIVE_THREAT)


def _facts(past: tuple[Signal, ...], signal: Signal, rules: Rules) -> Facts:
    device = Device(id=DeviceId("dev_1"))
    for said in (*past, signal):
        device = device.with_signal(said)
    assessed = assess(device, rules, NOW)
    return facts(device=device_facts(compliance=assessed.status, risk=assessed.risk))


@pytest.mark.parametrize("rules", [default_rules(), RULES], ids=["default rules", "others"])
def test_a_worse_signal_never_gives_more_access(rules: Rules):
    tried = 0
    for past, signal in product(PAST, _signals()):
        before = evaluate(POLICIES, _facts(past, signal, rules)).outcome
        for worse in _worse(signal):
            tried += 1
            after = evaluate(POLICIES, _facts(past, worse, rules)).outcome
            assert after >= before, (past, signal, worse)

    assert tried >= AT_LEAST / 2


def _devices() -> list[DeviceFacts]:
    return [
        device_facts(compliance=compliance, risk=risk, strength=strength, blocked=blocked)
        for compliance, risk, strength, blocked in product(
            Compliance, RiskLevel, Strength, (False, True)
        )
    ]


def test_a_worse_device_never_gets_more_access():
    tried = 0
    for one, other in product(_devices(), _devices()):
        is_worse = (
            other.compliance.badness >= one.compliance.badness
            and other.risk.badness >= one.risk.badness
            and STRENGTHS.index(other.strength) >= STRENGTHS.index(one.strength)
            and other.blocked >= one.blocked
        )
        if is_worse:
            for channel in (Channel.SIGN_IN, Channel.REFRESH):
                tried += 1
                before, after = (
                    evaluate(POLICIES, facts(device=each, channel=channel)).outcome
                    for each in (one, other)
                )
                assert after >= before, (one, other)

    assert tried >= AT_LEAST


def test_the_same_facts_give_the_same_decision_and_the_same_explanation():
    people = (subject_facts(), subject_facts(groups=["staff"]), subject_facts(break_glass=True))
    for device, channel, person in product(_devices(), Channel, people):
        asked = facts(device=device, channel=channel, subject=person)
        decision = evaluate(POLICIES, asked)
        assert evaluate(POLICIES, asked) == decision
        assert explain(POLICIES, asked).decision == decision
        assert explain(POLICIES, asked) == explain(POLICIES, asked)
