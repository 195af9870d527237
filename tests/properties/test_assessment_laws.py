"""The laws of assessing: worse is never better, time never heals, order does not matter."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pdp.domain.compliance import Compliance
from pdp.domain.device import Device
from pdp.domain.ids import DeviceId, SourceId
from pdp.domain.signal import ACTIVE_THREAT, DeviceName, Finding, NameKind, RiskLevel, Signal
from pdp.policy.assess import assess
from pdp.policy.defaults import default_rules
from pdp.policy.rules import Rules
from pdp.policy.rules_document import parse_rules
from tests.builders import NOW

MINUTES = st.integers(min_value=0, max_value=3000).map(lambda number: timedelta(minutes=number))

SOURCES = [SourceId("edr"), SourceId("mdm")]
FINDINGS = st.builds(
    Finding,
    id=st.sampled_from(["1", "2"]),
    title=st.sampled_from(["a finding", "the finding"]),
    severity=st.sampled_from(RiskLevel),
    category=st.sampled_from(["", "usb", ACTIVE_THREAT]),
    resolved=st.booleans(),
)
SIGNALS = st.builds(
    Signal,
    id=st.uuids().map(str),
    source=st.sampled_from(SOURCES),
    device=st.just((DeviceName(NameKind.ID, "dev_1"),)),
    event_time=MINUTES.map(lambda ago: NOW - ago),
    risk=st.none() | st.sampled_from(RiskLevel),
    category=st.sampled_from(["", ACTIVE_THREAT, "usb"]),
    compliant=st.none() | st.booleans(),
    posture=st.dictionaries(
        st.sampled_from(["disk_encrypted", "firewall_enabled"]), st.booleans() | st.just("odd")
    ),
    findings=st.lists(FINDINGS, max_size=2, unique_by=lambda finding: finding.id).map(tuple),
)
RULES = parse_rules(
    """
pratique: compliance/v1
max_age: 24h
rules:
  - {id: high, when: {risk: [high]}, status: not-compliant}
  - {id: medium, when: {risk: [medium]}, status: not-compliant, grace: 4h}
  - {id: low, when: {risk: [low]}, status: not-compliant, grace: 9h, max_age: 3h}
  - {id: finding, when: {finding: {severity: [medium, high]}}, status: not-compliant, grace: 2h}
  - {id: usb, when: {finding: {severity: high, category: usb}}, status: error}
  - {id: verdict, when: {compliant: false}, status: not-compliant, source: mdm, max_age: 6h}
  - {id: disk, when: {posture: disk_encrypted, equals: false}, status: not-compliant, grace: 1h}
  - {id: firewall, when: {posture: firewall_enabled, missing: true}, status: unknown}
"""
)


def device_after(signals: Sequence[Signal]) -> Device:
    """Return the device after these signals."""
    device = Device(id=DeviceId("dev_1"))
    for signal in signals:
        device = device.with_signal(signal)
    return device


def worsened(signal: Signal) -> Signal:
    """Return the same statement, with the worst that it could have said."""
    return replace(
        signal,
        risk=None if signal.risk is None else RiskLevel.HIGH,
        compliant=None if signal.compliant is None else False,
        posture={name: False if value is True else value for name, value in signal.posture.items()},
        findings=tuple(
            replace(finding, resolved=False, severity=RiskLevel.HIGH) for finding in signal.findings
        ),
    )


@given(st.lists(SIGNALS, max_size=5), SIGNALS, st.sampled_from([RULES, default_rules()]))
def test_a_worse_statement_never_gives_a_better_status(
    signals: list[Signal], signal: Signal, rules: Rules
):
    as_said = assess(device_after([*signals, signal]), rules, NOW)
    worse = assess(device_after([*signals, worsened(signal)]), rules, NOW)
    assert worse.status.badness >= as_said.status.badness
    assert worse.risk.badness >= as_said.risk.badness


@given(st.lists(SIGNALS, max_size=5), MINUTES)
def test_an_assessment_stands_until_it_said(signals: list[Signal], later: timedelta):
    device = device_after(signals)
    assessment = assess(device, RULES, NOW)
    then = NOW + later
    assume(assessment.valid_until is None or then < assessment.valid_until)
    again = assess(device, RULES, then)
    assert (again.status, again.risk, again.causes) == (
        assessment.status,
        assessment.risk,
        assessment.causes,
    )


@given(st.lists(SIGNALS, max_size=5), MINUTES)
def test_time_alone_never_heals(signals: list[Signal], later: timedelta):
    device = device_after(signals)
    before = assess(device, RULES, NOW).status
    assert assess(device, RULES, NOW + later).status.badness >= before.badness


@settings(max_examples=10)
@given(st.lists(SIGNALS, min_size=6, max_size=6, unique_by=lambda signal: signal.id))
def test_six_signals_give_the_same_device_in_all_720_orders(signals: list[Signal]):
    expected = device_after(signals)
    for order in permutations(signals):
        assert device_after(order) == expected


@given(st.lists(SIGNALS, min_size=1, max_size=5), st.data())
def test_a_repeated_signal_changes_nothing(signals: list[Signal], data: st.DataObject):
    again = data.draw(st.sampled_from(signals))
    assert device_after([*signals, again]) == device_after(signals)


AT_ONCE = st.lists(
    SIGNALS.map(lambda signal: replace(signal, source=SOURCES[0], event_time=NOW)),
    min_size=1,
    max_size=4,
    unique_by=lambda signal: signal.id,
)


@given(AT_ONCE, AT_ONCE)
def test_of_statements_of_one_instant_the_worst_stands(some: list[Signal], more: list[Signal]):
    fewer = assess(device_after(some), RULES, NOW)
    assessment = assess(device_after([*some, *more]), RULES, NOW)
    assert assessment.risk.badness >= fewer.risk.badness


@given(AT_ONCE)
def test_an_active_threat_is_hidden_by_nothing_said_in_the_same_instant(signals: list[Signal]):
    (reading,) = device_after(signals).readings.values()
    categories = {signal.category for signal in signals if signal.risk is not None}
    if ACTIVE_THREAT in categories:
        assert reading.statements["category"].value == ACTIVE_THREAT
    open_findings = [f for signal in signals for f in signal.findings if not f.resolved]
    threats = {finding.id for finding in open_findings if finding.category == ACTIVE_THREAT}
    said = {finding.id: finding for finding, _ in reading.findings()}
    assert threats == {each for each in said if said[each].category == ACTIVE_THREAT}
    for finding in open_findings:
        assert said[finding.id].severity.badness >= finding.severity.badness


@settings(max_examples=50)
@given(st.lists(FINDINGS.map(lambda each: replace(each, id="1")), min_size=4, max_size=4))
def test_findings_of_one_instant_give_the_same_in_all_orders(findings: list[Finding]):
    signals = [
        Signal(
            id=str(number),
            source=SOURCES[0],
            device=(DeviceName(NameKind.ID, "dev_1"),),
            event_time=NOW,
            findings=(finding,),
        )
        for number, finding in enumerate(findings)
    ]
    expected = device_after(signals)
    for order in permutations(signals):
        assert device_after([*order, *order]) == expected


@given(st.lists(SIGNALS, max_size=5), st.sampled_from([RULES, default_rules()]))
def test_what_says_nothing_of_health_makes_no_device_compliant(signals: list[Signal], rules: Rules):
    silent = [
        replace(signal, risk=None, compliant=None, posture={}, platform="linux", os_version="6.1")
        for signal in signals
    ]
    found = assess(device_after(silent), rules, NOW)
    assert found.status.badness >= Compliance.UNKNOWN.badness
