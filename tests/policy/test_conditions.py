"""Each condition: what it accepts, what it refuses, and UNKNOWN where its fact is missing."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pdp.domain.access import Channel, Facts, Strength
from pdp.domain.compliance import Compliance
from pdp.domain.signal import RiskLevel
from pdp.policy.condition import Condition, Plain
from pdp.policy.document import parse_policies
from pdp.policy.ternary import Ternary
from tests.builders import (
    NOW,
    authentication_facts,
    device_facts,
    facts,
    machine_facts,
    subject_facts,
)

YES, NO, UNKNOWN = Ternary.TRUE, Ternary.FALSE, Ternary.UNKNOWN


def condition(name: str, spec: Plain) -> Condition:
    """Return the condition that a document with `name: spec` holds."""
    policy = {"id": "a", "outcome": "block", "when": {name: spec}}
    document = {"pratique": "policies/v1", "default": "block", "policies": [policy]}
    return parse_policies(json.dumps(document)).policies[0].conditions[0]


AT_NIGHT = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
OFFICE_HOURS: Plain = {"days": ["mon"], "from": "08:00", "to": "18:00", "zone": "Europe/Berlin"}
NIGHT: Plain = {"days": "mon", "from": "22:00", "to": "06:00", "zone": "UTC"}
NO_RISK = facts(device=device_facts(risk=RiskLevel.UNKNOWN))

CASES: list[tuple[str, Plain, Facts, Ternary]] = [
    ("client", "wiki", facts(client="wiki"), YES),
    ("client", ["mail", "wiki"], facts(client="wiki"), YES),
    ("client", "mail", facts(client="wiki"), NO),
    ("scope", ["payroll", "openid"], facts(scopes=["openid"]), YES),
    ("scope", "payroll", facts(scopes=["openid"]), NO),
    ("scope", "payroll", facts(scopes=[]), NO),
    ("subject", "ada", facts(), YES),
    ("subject", "bob", facts(), NO),
    ("subject", "ada", machine_facts(), UNKNOWN),
    ("group", "staff", facts(subject=subject_facts(groups=["staff", "it"])), YES),
    ("group", "staff", facts(subject=subject_facts(groups=["it"])), NO),
    ("group", "staff", facts(subject=subject_facts()), NO),
    ("group", "admin", facts(subject=subject_facts(groups=["admins", "Admin", "adm"])), NO),
    ("group", "admin", facts(subject=subject_facts(groups=["admin ", "/admin", "it/admin"])), NO),
    ("group", "admin", facts(subject=subject_facts(groups=["admin", "admins"])), YES),
    ("group", "staff", machine_facts(), UNKNOWN),
    ("grant_type", "refresh_token", facts(grant_type="refresh_token"), YES),
    ("grant_type", "refresh_token", facts(grant_type="authorization_code"), NO),
    ("grant_type", "refresh_token", facts(grant_type=None), UNKNOWN),
    ("channel", ["refresh"], facts(channel=Channel.REFRESH), YES),
    ("channel", ["refresh"], facts(channel=Channel.SIGN_IN), NO),
    ("device_compliance", "stale", facts(device=device_facts(compliance=Compliance.STALE)), YES),
    ("device_compliance", "stale", facts(), NO),
    ("device_compliance", "unknown", machine_facts(), UNKNOWN),
    ("device_risk", ["low"], facts(), YES),
    ("device_risk", {"at_least": "medium"}, facts(), NO),
    ("device_risk", {"at_least": "medium"}, facts(device=device_facts(risk=RiskLevel.HIGH)), YES),
    ("device_risk", "high", NO_RISK, UNKNOWN),
    ("device_risk", ["unknown", "high"], NO_RISK, YES),
    ("device_risk", {"in": "high", "on_missing": False}, NO_RISK, NO),
    ("device_risk", {"at_least": "low", "on_missing": True}, NO_RISK, YES),
    ("device_platform", "Linux", facts(), YES),
    ("device_platform", "macos", facts(), NO),
    ("device_platform", "macos", facts(device=device_facts(platform=None)), UNKNOWN),
    ("identification_strength", {"at_least": "weak"}, facts(), YES),
    (
        "identification_strength",
        "strong",
        facts(device=device_facts(strength=Strength.WEAK)),
        NO,
    ),
    ("identification_strength", "none", machine_facts(), UNKNOWN),
    ("acr_at_least", "mfa", facts(authentication=authentication_facts("phr")), YES),
    ("acr_at_least", "mfa", facts(authentication=authentication_facts("pwd")), NO),
    ("acr_at_least", "mfa", facts(authentication=authentication_facts("loa9")), UNKNOWN),
    ("acr_at_least", "mfa", machine_facts(), UNKNOWN),
    ("acr_at_least", {"acr": "mfa", "on_missing": True}, machine_facts(), YES),
    ("amr", ["otp", "hwk"], facts(authentication=authentication_facts(amr=["hwk"])), YES),
    ("amr", "otp", facts(authentication=authentication_facts(amr=["pwd"])), NO),
    ("amr", "otp", machine_facts(), UNKNOWN),
    ("signed_in_within", "15m", facts(), YES),
    (
        "signed_in_within",
        "15m",
        facts(authentication=authentication_facts(ago=timedelta(minutes=15))),
        NO,
    ),
    ("signed_in_within", "15m", machine_facts(), UNKNOWN),
    ("signed_in_within", {"age": "15m", "on_missing": True}, machine_facts(), YES),
    ("network", "192.0.2.0/24", facts(address="192.0.2.7"), YES),
    ("network", "192.0.2.0/24", facts(address="::ffff:192.0.2.7"), YES),
    ("network", ["2001:db8::/32", "10.0.0.0/8"], facts(address="192.0.2.7"), NO),
    ("network", "10.0.0.0/8", facts(address=None), UNKNOWN),
    ("network", {"in": "10.0.0.0/8", "on_missing": False}, facts(address=None), NO),
    ("time_window", OFFICE_HOURS, facts(), YES),
    ("time_window", OFFICE_HOURS, facts(now=AT_NIGHT), NO),
    ("time_window", NIGHT, facts(now=AT_NIGHT), YES),
    ("time_window", NIGHT, facts(now=AT_NIGHT + timedelta(hours=6)), YES),
    ("time_window", NIGHT, facts(now=AT_NIGHT + timedelta(hours=7)), NO),
    ("time_window", {"zone": "Asia/Tokyo"}, facts(), YES),
    ("not", {"client": "wiki"}, facts(client="mail"), YES),
    ("not", {"subject": "ada"}, machine_facts(), UNKNOWN),
    ("any", [{"client": "mail"}, {"subject": "ada"}], machine_facts(), UNKNOWN),
    ("any", [{"client": "backup"}, {"subject": "ada"}], machine_facts(), YES),
    ("not", {"client": "mail", "subject": "ada"}, machine_facts(), YES),
]


@pytest.mark.parametrize(
    ("name", "spec", "given", "answer"),
    [pytest.param(*case, id=f"{case[0]}-{number}") for number, case in enumerate(CASES)],
)
def test_a_condition_answers(name: str, spec: Plain, given: Facts, answer: Ternary):
    assert condition(name, spec).evaluate(given) is answer


def test_a_sign_in_is_fresh_until_exactly_its_age():
    fresh = condition("signed_in_within", "15m")
    end = fresh.changes_at(facts())

    assert end == NOW + timedelta(minutes=14)
    assert fresh.evaluate(facts(now=end - timedelta(microseconds=1))) is YES
    assert fresh.evaluate(facts(now=end)) is NO
    assert fresh.changes_at(facts(now=end)) is None
    assert fresh.changes_at(machine_facts()) is None


@pytest.mark.parametrize(
    ("now", "edge"),
    [
        pytest.param("2026-03-02T10:00+00:00", "2026-03-02T17:00+00:00", id="open-until-evening"),
        pytest.param("2026-03-02T17:00+00:00", "2026-03-09T07:00+00:00", id="closed-for-a-week"),
        pytest.param("2026-03-24T12:00+00:00", "2026-03-30T06:00+00:00", id="over-summer-time"),
    ],
)
def test_a_time_window_changes_at_its_next_edge(now: str, edge: str):
    window = condition("time_window", OFFICE_HOURS)
    given = facts(now=datetime.fromisoformat(now))
    assert window.changes_at(given) == datetime.fromisoformat(edge)


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(milliseconds=900)])
def test_a_sign_in_younger_than_a_second_is_seen_in_seconds(ago: timedelta):
    just_now = facts(authentication=authentication_facts(ago=ago))

    assert condition("signed_in_within", "15m").seen(just_now) == "0s ago"


def test_a_ternary_is_never_taken_for_a_bool():
    with pytest.raises(TypeError, match="compare it with"):
        bool(Ternary.UNKNOWN)


@pytest.mark.parametrize(
    ("name", "spec", "seen"),
    [
        ("group", "staff", "it, staff"),
        ("device_compliance", "stale", "compliant"),
        ("acr_at_least", "mfa", "pwd"),
        ("signed_in_within", "15m", "1m ago"),
        ("network", "10.0.0.0/8", "192.0.2.7"),
        ("time_window", {"zone": "Europe/Berlin"}, "mon 11:00 Europe/Berlin"),
        ("any", [{"client": "a"}], ""),
        ("not", {"client": "a"}, ""),
    ],
)
def test_a_condition_says_what_it_saw(name: str, spec: Plain, seen: str):
    given = facts(subject=subject_facts(groups=["staff", "it"]))
    assert condition(name, spec).seen(given) == seen


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("group", "staff"),
        ("acr_at_least", "mfa"),
        ("signed_in_within", "15m"),
        ("network", "10.0.0.0/8"),
    ],
)
def test_a_condition_says_that_its_fact_was_missing(name: str, spec: Plain):
    given = replace(machine_facts(), address=None)
    assert condition(name, spec).seen(given) == "missing"
