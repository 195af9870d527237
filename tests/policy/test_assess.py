"""Assessing a device: the worst of what applies, for how long, and what helps."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from pdp.domain.compliance import Assessment, Cause, Compliance
from pdp.domain.device import Block, Device, Override
from pdp.domain.ids import DeviceId, SourceId
from pdp.domain.signal import (
    ACTIVE_THREAT,
    DeviceName,
    Finding,
    NameKind,
    RiskLevel,
    Scalar,
    Signal,
)
from pdp.policy.assess import assess, effective_risk
from pdp.policy.defaults import default_rules
from pdp.policy.rules import Rules, remediation_for
from pdp.policy.rules_document import parse_rules
from tests.builders import NOW

HOUR = timedelta(hours=1)
NAMES = (DeviceName(NameKind.ID, "dev_1"),)


def said(
    *,
    ago: timedelta = timedelta(0),
    source: str = "edr",
    risk: RiskLevel | None = None,
    category: str = "",
    compliant: bool | None = None,
    posture: Mapping[str, Scalar] | None = None,
    findings: tuple[Finding, ...] = (),
    os_version: str | None = None,
) -> Signal:
    """Return what a source said of the device, `ago` before NOW."""
    return Signal(
        id=f"{source}-{ago}",
        source=SourceId(source),
        device=NAMES,
        event_time=NOW - ago,
        risk=risk,
        category=category,
        compliant=compliant,
        posture=posture or {},
        findings=findings,
        os_version=os_version,
    )


def a_device_of(
    *signals: Signal, block: Block | None = None, override: Override | None = None
) -> Device:
    """Return the device that these signals are about."""
    device = Device(id=DeviceId("dev_1"), block=block, override=override)
    for signal in signals:
        device = device.with_signal(signal)
    return device


def status(*signals: Signal, now: datetime = NOW, rules: Rules | None = None) -> Compliance:
    """Assess a device by these rules, or the default ones."""
    return assess(a_device_of(*signals), rules or default_rules(), now).status


def a_rule(text: str) -> Rules:
    """Return rules of which there is one."""
    return parse_rules(f"pratique: compliance/v1\nmax_age: 24h\nrules:\n  - {{id: a, {text}}}\n")


MALWARE = Finding(id="1", title="Emotet", severity=RiskLevel.HIGH, category=ACTIVE_THREAT)
OLD_TLS = Finding(id="2", title="Old TLS", severity=RiskLevel.MEDIUM)
FIXED = Finding(id="3", title="Old TLS", severity=RiskLevel.HIGH, resolved=True)
LONG_AGO = timedelta(hours=5)


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        pytest.param([], Compliance.UNKNOWN, id="no-readings"),
        pytest.param([said()], Compliance.UNKNOWN, id="only-seen"),
        pytest.param([said(os_version="15.3")], Compliance.UNKNOWN, id="only-its-system"),
        pytest.param([said(posture={"ring": 1})], Compliance.UNKNOWN, id="posture-of-no-rule"),
        pytest.param([said(risk=RiskLevel.UNKNOWN)], Compliance.UNKNOWN, id="unknown-risk"),
        pytest.param([said(findings=(FIXED,))], Compliance.UNKNOWN, id="only-a-disproof"),
        pytest.param([said(findings=(OLD_TLS,))], Compliance.UNKNOWN, id="only-a-finding"),
        pytest.param(
            [said(), said(source="mdm", posture={"disk_encrypted": True})],
            Compliance.COMPLIANT,
            id="one-of-two-says-something",
        ),
        pytest.param([said(compliant=True, ago=24 * HOUR)], Compliance.STALE, id="silent"),
        pytest.param(
            [said(compliant=True, ago=30 * HOUR), said(source="mdm")],
            Compliance.COMPLIANT,
            id="one-source-talks",
        ),
        pytest.param([said(risk=RiskLevel.LOW)], Compliance.COMPLIANT, id="low"),
        pytest.param([said(risk=RiskLevel.MEDIUM)], Compliance.IN_GRACE, id="medium-now"),
        pytest.param(
            [said(risk=RiskLevel.MEDIUM, ago=LONG_AGO)], Compliance.NOT_COMPLIANT, id="medium-long"
        ),
        pytest.param([said(risk=RiskLevel.HIGH)], Compliance.NOT_COMPLIANT, id="high"),
        pytest.param(
            [said(risk=RiskLevel.HIGH, ago=48 * HOUR)], Compliance.NOT_COMPLIANT, id="bad-stays-bad"
        ),
        pytest.param(
            [said(risk=RiskLevel.HIGH, ago=HOUR), said(risk=RiskLevel.LOW)],
            Compliance.COMPLIANT,
            id="healed",
        ),
        pytest.param([said(compliant=False)], Compliance.NOT_COMPLIANT, id="source-says-so"),
        pytest.param([said(compliant=True)], Compliance.COMPLIANT, id="source-says-fine"),
        pytest.param(
            [said(compliant=True, findings=(OLD_TLS,))], Compliance.IN_GRACE, id="medium-finding"
        ),
        pytest.param([said(findings=(MALWARE,))], Compliance.NOT_COMPLIANT, id="threat"),
        pytest.param(
            [said(compliant=True, findings=(FIXED,))], Compliance.COMPLIANT, id="resolved"
        ),
        pytest.param(
            [said(posture={"disk_encrypted": False})], Compliance.IN_GRACE, id="unencrypted"
        ),
        pytest.param(
            [said(posture={"disk_encrypted": "no"})], Compliance.ERROR, id="odd-posture-value"
        ),
        pytest.param(
            [said(posture={"disk_encrypted": False}, risk=RiskLevel.HIGH)],
            Compliance.NOT_COMPLIANT,
            id="no-grace-at-high-risk",
        ),
        pytest.param(
            [
                said(findings=(OLD_TLS,)),
                said(source="mdm", category=ACTIVE_THREAT, risk=RiskLevel.LOW),
            ],
            Compliance.NOT_COMPLIANT,
            id="no-grace-with-an-active-threat",
        ),
    ],
)
def test_the_default_rules_assess(signals: list[Signal], expected: Compliance):
    assert status(*signals) is expected


@pytest.mark.parametrize(
    ("rule", "signal", "expected"),
    [
        pytest.param(
            "when: {posture: level, below: 3}, status: not-compliant",
            said(posture={"level": 2}),
            Compliance.NOT_COMPLIANT,
            id="below",
        ),
        pytest.param(
            "when: {posture: level, below: 3}, status: not-compliant",
            said(posture={"level": 3}),
            Compliance.COMPLIANT,
            id="at-the-limit",
        ),
        pytest.param(
            "when: {posture: level, below: 3}, status: not-compliant",
            said(posture={"level": "2"}),
            Compliance.ERROR,
            id="text-is-no-number",
        ),
        pytest.param(
            "when: {posture: level, below: 3}, status: not-compliant",
            said(posture={"level": True}),
            Compliance.ERROR,
            id="a-flag-is-no-number",
        ),
        pytest.param(
            "when: {posture: level, below: 3}, status: not-compliant",
            said(posture={"level": float("nan")}),
            Compliance.ERROR,
            id="nan",
        ),
        pytest.param(
            "when: {posture: ring, in: [beta]}, status: not-compliant",
            said(posture={"ring": "beta"}),
            Compliance.NOT_COMPLIANT,
            id="in",
        ),
        pytest.param(
            "when: {posture: disk, missing: true}, status: unknown",
            said(),
            Compliance.UNKNOWN,
            id="missing",
        ),
        pytest.param(
            "when: {posture: disk, missing: true}, status: unknown, source: mdm",
            said(posture={"disk": True}),
            Compliance.UNKNOWN,
            id="missing-at-its-source",
        ),
        pytest.param(
            "when: {posture: disk, missing: true}, status: unknown",
            said(posture={"disk": True}),
            Compliance.COMPLIANT,
            id="not-missing",
        ),
        pytest.param(
            "when: {compliant: false}, status: not-compliant, source: mdm",
            said(compliant=False),
            Compliance.UNKNOWN,
            id="another-source",
        ),
        pytest.param(
            "when: {compliant: false}, status: not-compliant, max_age: 1h",
            said(compliant=True, ago=HOUR),
            Compliance.STALE,
            id="good-news-grows-old",
        ),
        pytest.param(
            "when: {finding: {severity: high, category: usb}}, status: error",
            said(findings=(MALWARE,)),
            Compliance.UNKNOWN,
            id="another-category",
        ),
    ],
)
def test_a_rule_assesses(rule: str, signal: Signal, expected: Compliance):
    assert status(signal, rules=a_rule(rule)) is expected


def test_grace_ends_on_the_minute_and_the_assessment_says_when():
    device = a_device_of(said(risk=RiskLevel.MEDIUM, ago=HOUR))
    assessment = assess(device, default_rules(), NOW)
    assert assessment.valid_until == NOW + 3 * HOUR
    assert assessment.causes[0].grace_until == NOW + 3 * HOUR
    assert assess(device, default_rules(), NOW + 3 * HOUR).status is Compliance.NOT_COMPLIANT


def test_a_healthy_device_holds_until_it_would_be_stale():
    healthy = a_device_of(said(compliant=True))
    assert assess(healthy, default_rules(), NOW).valid_until == NOW + 24 * HOUR


def test_a_source_that_repeats_itself_does_not_prolong_the_grace():
    device = a_device_of(said(risk=RiskLevel.MEDIUM, ago=3 * HOUR))
    first = assess(device, default_rules(), NOW - 3 * HOUR)
    repeated = device.with_signal(said(risk=RiskLevel.MEDIUM))
    assert assess(repeated, default_rules(), NOW, previous=first).valid_until == NOW + HOUR
    later = assess(repeated, default_rules(), NOW + HOUR, previous=first)
    assert later.status is Compliance.NOT_COMPLIANT


def test_grace_begins_anew_after_the_device_was_healthy_in_between():
    device = a_device_of(said(risk=RiskLevel.LOW, ago=HOUR))
    healthy = assess(device, default_rules(), NOW - HOUR)
    again = device.with_signal(said(risk=RiskLevel.MEDIUM))
    assessed = assess(again, default_rules(), NOW, previous=healthy)
    assert assessed.causes[0].grace_until == NOW + 4 * HOUR


def test_grace_does_not_begin_while_the_device_is_only_stale():
    rules = a_rule("when: {risk: [medium, high]}, status: not-compliant, grace: 4h, max_age: 1h")
    device = a_device_of(said(risk=RiskLevel.LOW, ago=3 * HOUR))
    stale = assess(device, rules, NOW - HOUR)
    assert stale.status is Compliance.STALE
    # Since it was too old, not since it was said.
    assert stale.causes[0].since == NOW - 2 * HOUR
    worse = device.with_signal(said(risk=RiskLevel.MEDIUM))
    assert assess(worse, rules, NOW, previous=stale).causes[0].grace_until == NOW + 4 * HOUR


def overriding(*signals: Signal, block: Block | None = None) -> Assessment:
    """Assess a device that an administrator vouches for until an hour from NOW."""
    word = Override(until=NOW + HOUR, reason="travelling", by="root")
    return assess(a_device_of(*signals, block=block, override=word), default_rules(), NOW)


def test_an_override_makes_a_device_compliant_until_it_ends():
    assessment = overriding(said(risk=RiskLevel.HIGH))
    assert assessment.status is Compliance.COMPLIANT
    assert assessment.causes[0].rule == "pratique:override"
    assert [cause.rule for cause in assessment.causes[1:]] == ["high-risk"]
    assert assessment.valid_until == NOW + HOUR
    assert assessment.risk is RiskLevel.HIGH


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        pytest.param(said(findings=(MALWARE,)), Compliance.NOT_COMPLIANT, id="active-finding"),
        pytest.param(
            said(risk=RiskLevel.HIGH, category=ACTIVE_THREAT),
            Compliance.NOT_COMPLIANT,
            id="active-threat",
        ),
        pytest.param(said(posture={"disk_encrypted": 7}), Compliance.ERROR, id="error"),
    ],
)
def test_an_override_hides_no_active_threat_and_no_error(signal: Signal, expected: Compliance):
    assert overriding(signal).status is expected


def test_a_block_beats_an_override():
    block = Block(since=NOW, reason="stolen", by="root")
    assessment = overriding(said(), block=block)
    assert assessment.status is Compliance.NOT_COMPLIANT
    assert assessment.causes[0].rule == "pratique:blocked"


def test_an_override_that_ended_counts_no_more():
    word = Override(until=NOW, reason="travelling", by="root")
    device = a_device_of(said(risk=RiskLevel.HIGH), override=word)
    assert assess(device, default_rules(), NOW).status is Compliance.NOT_COMPLIANT


def test_the_risk_of_a_device_is_the_worst_that_anyone_says():
    assert effective_risk(a_device_of(said())) is RiskLevel.UNKNOWN
    device = a_device_of(said(risk=RiskLevel.LOW), said(source="mdm", findings=(OLD_TLS,)))
    assert effective_risk(device) is RiskLevel.MEDIUM


def test_what_an_active_threat_is_called_stays_out_of_the_causes():
    causes = assess(a_device_of(said(findings=(MALWARE, OLD_TLS))), default_rules(), NOW).causes
    titles = [cause.title for cause in causes]
    assert "Old TLS" in titles
    assert "Emotet" not in " ".join(titles)


BROKEN = Cause(rule="source-says-not-compliant", status=Compliance.NOT_COMPLIANT)
TEXTS = (
    "when: {compliant: false}, status: error, title: {de: Kaputt}, "
    "steps: {en: {macos: [Open it.]}, de: [Hilfe]}"
)


def test_steps_are_for_the_platform_of_the_device():
    windows = remediation_for(default_rules(), BROKEN, platform="Windows")
    other = remediation_for(default_rules(), BROKEN, language="fr-CA", platform="plan9")
    assert "Company Portal" in windows.steps[0]
    assert other.steps
    assert other != windows


def test_text_is_in_the_language_of_the_person_as_far_as_there_is_any():
    cause = Cause(rule="a", status=Compliance.ERROR)
    german = remediation_for(a_rule(TEXTS), cause, language="de-AT")
    assert (german.title, german.steps) == ("Kaputt", ("Hilfe",))
    french = remediation_for(a_rule(TEXTS), cause, language="fr")
    assert french.title == "Kaputt"
    assert french.steps == remediation_for(default_rules(), cause).steps


@pytest.mark.parametrize("status", list(Compliance))
@pytest.mark.parametrize("rule", ["gone", "pratique:blocked", "pratique:silent"])
def test_there_is_never_a_dead_end(status: Compliance, rule: str):
    text = remediation_for(default_rules(), Cause(rule=rule, status=status))
    assert text.title
    assert text.steps


def test_a_rule_without_text_of_its_own_has_ours():
    rules = a_rule("when: {compliant: false}, status: not-compliant")
    cause = Cause(rule="a", status=Compliance.NOT_COMPLIANT)
    assert remediation_for(rules, cause).steps


@pytest.mark.parametrize("rule", default_rules().rules, ids=lambda rule: rule.id)
def test_every_default_rule_says_what_to_do(rule):
    text = remediation_for(default_rules(), Cause(rule=rule.id, status=rule.status))
    assert text.title == rule.title["en"]
    assert text.steps
