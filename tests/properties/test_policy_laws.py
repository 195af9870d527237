"""The laws of assessing and deciding, for any policies, rules, signals and facts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import time, timedelta
from ipaddress import ip_network
from itertools import combinations
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pdp.domain.access import (
    AuthenticationFacts,
    Channel,
    DeviceFacts,
    Facts,
    Outcome,
    Reason,
    Restriction,
    StepUp,
    Strength,
)
from pdp.domain.compliance import Compliance
from pdp.domain.ids import PolicyId
from pdp.domain.session import ACR_ORDER
from pdp.domain.signal import (
    RiskLevel,
)
from pdp.policy.condition import AllOf, AnyOf, Condition, NotOf
from pdp.policy.conditions import CONDITIONS
from pdp.policy.conditions.authentication import AMR, AcrAtLeast, SignedInWithin
from pdp.policy.conditions.channel import CHANNEL
from pdp.policy.conditions.client import CLIENT
from pdp.policy.conditions.device_compliance import DEVICE_COMPLIANCE
from pdp.policy.conditions.device_platform import DEVICE_PLATFORM
from pdp.policy.conditions.device_risk import DEVICE_RISK
from pdp.policy.conditions.grant_type import GRANT_TYPE
from pdp.policy.conditions.group import GROUP
from pdp.policy.conditions.identification_strength import IDENTIFICATION_STRENGTH
from pdp.policy.conditions.network import Network
from pdp.policy.conditions.scope import SCOPE
from pdp.policy.conditions.subject import SUBJECT
from pdp.policy.conditions.time_window import DAYS, TimeWindow
from pdp.policy.defaults import default_policies
from pdp.policy.document import bundle_of, parse_policies, serialise
from pdp.policy.errors import MalformedPolicy
from pdp.policy.evaluate import evaluate, evaluate_plainly
from pdp.policy.explain import explain
from pdp.policy.membership import Membership
from pdp.policy.policy import Bundle, Policy
from pdp.policy.rules_document import parse_rules
from tests.builders import NOW, device_facts, facts, subject_facts

WORDS = {
    CLIENT: ["wiki", "mail"],
    SCOPE: ["openid", "mail", "payroll"],
    SUBJECT: ["ada", "bob"],
    GROUP: ["staff", "it"],
    GRANT_TYPE: ["refresh_token", "client_credentials"],
    CHANNEL: [channel.value for channel in Channel],
    DEVICE_COMPLIANCE: [status.value for status in Compliance if status is not Compliance.ERROR],
    DEVICE_RISK: [level.value for level in RiskLevel],
    DEVICE_PLATFORM: ["linux", "macos"],
    IDENTIFICATION_STRENGTH: [strength.value for strength in Strength],
    AMR: ["pwd", "otp"],
}
NETWORKS = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"), ip_network("0.0.0.0/0")]
WINDOWS = [
    TimeWindow(days=frozenset(days), start=start, end=end, zone=ZoneInfo(zone))
    for days, start, end, zone in (
        (DAYS, time(8), time(18), "Europe/Berlin"),
        (DAYS[:5], time(10, 30), time(11), "UTC"),
        (["mon"], time(22), time(6), "UTC"),
        (["tue", "sun"], time(0), time(0), "Asia/Tokyo"),
    )
]
AGES = [timedelta(minutes=number) for number in (1, 15, 90, 1440)]
MINUTES = st.integers(min_value=0, max_value=3000).map(lambda number: timedelta(minutes=number))


def subsets(words: Sequence[str], *, least: int = 0) -> st.SearchStrategy[frozenset[str]]:
    """Return sets of some of the words."""
    sizes = range(least, len(words) + 1)
    return st.sampled_from(
        [frozenset(some) for size in sizes for some in combinations(words, size)]
    )


def leaves(declared: Sequence[bool | None]) -> list[Condition]:
    """Return conditions of every kind, with each of these declarations of `on_missing`."""
    found: list[Condition] = [*WINDOWS]
    for on_missing in declared:
        for attribute, words in WORDS.items():
            accepted = [*combinations(words, 1), words[:2], words[1:]]
            found.extend(Membership(attribute, frozenset(some), on_missing) for some in accepted)
        found.extend(AcrAtLeast(acr, on_missing) for acr in ACR_ORDER)
        found.extend(SignedInWithin(age, on_missing) for age in AGES)
        found.extend(Network(frozenset({network}), on_missing) for network in NETWORKS)
    return found


def conditions(declared: Sequence[bool | None]) -> st.SearchStrategy[Condition]:
    """Return conditions of every kind, nested."""
    return st.recursive(st.sampled_from(leaves(declared)), _nested, max_leaves=3)


def _nested(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(AllOf, several), st.builds(AnyOf, several), st.builds(NotOf, inner))


RESTRICTIONS = st.builds(
    Restriction,
    scopes=subsets(WORDS[SCOPE], least=1),
    token_lifetime=st.sampled_from([timedelta(minutes=5), timedelta(minutes=10)]),
    session_lifetime=st.sampled_from([timedelta(hours=1), timedelta(hours=2)]),
    restrictions=subsets(["read-only", "no-download"]).map(lambda names: tuple(sorted(names))),
)
DEMANDS = st.builds(
    StepUp,
    acr=st.sampled_from(ACR_ORDER),
    max_age=st.none() | st.sampled_from([timedelta(minutes=5), timedelta(hours=1)]),
)
ANY_DECLARATION = conditions([None, True, False])
NO_DECLARATION = conditions([None])


@st.composite
def policies(draw: st.DrawFn, wanted: st.SearchStrategy[Condition]) -> Policy:
    """Return a policy of any outcome."""
    outcome = draw(st.sampled_from(Outcome))
    found = draw(st.lists(wanted, max_size=2))
    # As a document is read: a top-level `all` is merged.
    merged = [part for one in found for part in (one.parts() if isinstance(one, AllOf) else [one])]
    flat = [part for one in merged for part in (one.parts() if isinstance(one, AllOf) else [one])]
    assume(not any(isinstance(part, AllOf) for part in flat))
    return Policy(
        id=PolicyId("unnamed"),
        outcome=outcome,
        conditions=tuple(flat),
        restriction=draw(RESTRICTIONS) if outcome is Outcome.RESTRICTED else None,
        step_up=draw(DEMANDS) if outcome is Outcome.STEP_UP else None,
        report_only=draw(st.sampled_from([False, False, False, True])),
    )


def named(found: Sequence[Policy]) -> tuple[Policy, ...]:
    """Return the policies with an id each."""
    return tuple(replace(policy, id=PolicyId(f"p{number}")) for number, policy in enumerate(found))


def bundles(wanted: st.SearchStrategy[Condition]) -> st.SearchStrategy[Bundle]:
    """Return bundles of up to five policies."""
    return st.builds(
        bundle_of,
        st.lists(policies(wanted), max_size=5).map(named),
        st.sampled_from([Outcome.BLOCK, Outcome.BLOCK, Outcome.REMEDIATE, Outcome.FULL]),
    )


DEVICES = st.builds(
    device_facts,
    compliance=st.sampled_from(Compliance),
    risk=st.sampled_from(RiskLevel),
    platform=st.sampled_from([None, "linux", "MacOS", "plan9"]),
    strength=st.sampled_from(Strength),
    blocked=st.sampled_from([False, False, False, True]),
    valid_until=st.none() | MINUTES.map(lambda later: NOW + later),
)
AUTHENTICATIONS = st.builds(
    AuthenticationFacts,
    acr=st.sampled_from([*ACR_ORDER, "odd"]),
    amr=subsets(WORDS[AMR]),
    time=MINUTES.map(lambda ago: NOW - ago),
)
SUBJECTS = st.builds(
    subject_facts,
    st.sampled_from(["ada", "bob", "eve"]),
    groups=subsets(["staff", "it", "hr"]),
    break_glass=st.booleans(),
)
FACTS = st.builds(
    facts,
    client=st.sampled_from(["wiki", "mail", "chat"]),
    channel=st.sampled_from(Channel),
    grant_type=st.sampled_from([None, "refresh_token", "client_credentials"]),
    scopes=subsets([*WORDS[SCOPE], "other"]),
    subject=st.none() | SUBJECTS,
    device=st.none() | DEVICES,
    authentication=st.none() | AUTHENTICATIONS,
    address=st.sampled_from([None, "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"]),
)
BUNDLES = bundles(ANY_DECLARATION)
DEFAULT = default_policies()
CAREFUL = settings(max_examples=200)


def test_every_condition_joins_the_laws():
    assert {condition.name for condition in leaves([None])} == set(CONDITIONS)


@CAREFUL
@given(BUNDLES, FACTS)
def test_the_index_decides_as_asking_every_policy_does(bundle: Bundle, given_facts: Facts):
    assert evaluate(bundle, given_facts) == evaluate_plainly(bundle, given_facts)


@given(BUNDLES, FACTS)
def test_an_explanation_holds_the_decision_that_is_taken(bundle: Bundle, given_facts: Facts):
    assert explain(bundle, given_facts).decision == evaluate(bundle, given_facts)


@given(BUNDLES)
def test_a_bundle_survives_being_written_and_read(bundle: Bundle):
    assume(bundle.policies and not any(map(_full_names_error, bundle.policies)))
    assert parse_policies(serialise(bundle)) == bundle


def _full_names_error(policy: Policy) -> bool:
    return policy.outcome is Outcome.FULL and "error" in str(policy.conditions)


def without_device(given_facts: Facts) -> Facts:
    """Return the facts without a device; a block or error that goes with it is another matter."""
    device = given_facts.device
    if device is not None and (device.blocked or device.compliance is Compliance.ERROR):
        return given_facts
    return replace(given_facts, device=None)


def without_risk(given_facts: Facts) -> Facts:
    """Return the facts of a device whose risk nobody stated."""
    if given_facts.device is None:
        return given_facts
    return replace(given_facts, device=replace(given_facts.device, risk=RiskLevel.UNKNOWN))


def without_platform(given_facts: Facts) -> Facts:
    """Return the facts of a device whose platform nobody stated."""
    if given_facts.device is None:
        return given_facts
    return replace(given_facts, device=replace(given_facts.device, platform=None))


REMOVALS: list[Callable[[Facts], Facts]] = [
    without_device,
    without_risk,
    without_platform,
    lambda given_facts: replace(given_facts, subject=None),
    lambda given_facts: replace(given_facts, authentication=None),
    lambda given_facts: replace(given_facts, grant_type=None),
    lambda given_facts: replace(given_facts, address=None),
]


def _names_unknown_risk(condition: Condition) -> bool:
    if isinstance(condition, Membership):
        return condition.attribute is DEVICE_RISK and RiskLevel.UNKNOWN in condition.accepted
    return any(_names_unknown_risk(part) for part in condition.parts())


@given(bundles(NO_DECLARATION), FACTS, st.sampled_from(REMOVALS))
def test_a_missing_fact_never_opens(
    bundle: Bundle, given_facts: Facts, remove: Callable[[Facts], Facts]
):
    # A policy that names the risk `unknown` treats it as a value, by its author's declaration.
    assume(
        not any(_names_unknown_risk(one) for policy in bundle.policies for one in policy.conditions)
    )
    before = evaluate(bundle, given_facts)
    assert evaluate(bundle, remove(given_facts)).outcome >= before.outcome


@given(BUNDLES, policies(ANY_DECLARATION), FACTS)
def test_one_more_policy_never_loosens_what_policies_decided(
    bundle: Bundle, another: Policy, given_facts: Facts
):
    before = evaluate(bundle, given_facts)
    assume(Reason.NO_POLICY_MATCHED not in before.reasons)
    assume(not before.fail_open)
    certain = any(policy.evaluate(given_facts).name == "TRUE" for policy in bundle.policies)
    assume(certain)
    more = bundle_of(named([*bundle.policies, another]), bundle.default)
    after = evaluate(more, given_facts)
    assert after.outcome >= before.outcome
    if before.restriction is not None and after.restriction is not None:
        assert after.restriction.scopes <= before.restriction.scopes
        assert after.restriction.token_lifetime <= before.restriction.token_lifetime
        assert after.restriction.session_lifetime <= before.restriction.session_lifetime


@given(BUNDLES, FACTS)
def test_a_decision_carries_exactly_what_its_outcome_needs(bundle: Bundle, given_facts: Facts):
    decision = evaluate(bundle, given_facts)
    assert (decision.restriction is not None) == (decision.outcome is Outcome.RESTRICTED)
    assert (decision.step_up is not None) == (decision.outcome is Outcome.STEP_UP)
    assert decision.reasons == tuple(sorted(set(decision.reasons)))
    assert decision.reasons
    if decision.restriction is not None:
        assert decision.restriction.scopes
        assert decision.restriction.scopes <= given_facts.scopes or not given_facts.scopes


@given(BUNDLES, FACTS)
def test_an_error_is_full_for_nobody_but_a_break_glass_person(bundle: Bundle, given_facts: Facts):
    device = device_facts(compliance=Compliance.ERROR)
    decision = evaluate(bundle, replace(given_facts, device=device))
    if decision.outcome is Outcome.FULL:
        assert given_facts.subject is not None
        assert given_facts.subject.break_glass
        assert decision.fail_open


@given(BUNDLES, FACTS, MINUTES)
def test_a_decision_stands_until_it_said(bundle: Bundle, given_facts: Facts, later: timedelta):
    decision = evaluate(bundle, given_facts)
    then = NOW + later
    assume(decision.valid_until is None or then < decision.valid_until)
    again = evaluate(bundle, replace(given_facts, now=then))
    assert replace(again, valid_until=None, report_only=()) == replace(
        decision, valid_until=None, report_only=()
    )


@given(FACTS, DEVICES, st.sampled_from(Compliance), st.sampled_from(RiskLevel))
def test_a_worse_device_never_opens_the_default_bundle(
    given_facts: Facts, device: DeviceFacts, status: Compliance, risk: RiskLevel
):
    assume(given_facts.subject is None or not given_facts.subject.break_glass)
    assume(status.badness >= device.compliance.badness and risk.badness >= device.risk.badness)
    before = evaluate(DEFAULT, replace(given_facts, device=device))
    worse = replace(device, compliance=status, risk=risk)
    after = evaluate(DEFAULT, replace(given_facts, device=worse))
    assert after.outcome >= before.outcome


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_text_is_a_bundle_or_a_malformed_policy(text: str | bytes):
    for parse in (parse_policies, parse_rules):
        try:
            parse(text)
        except MalformedPolicy as refused:
            assert refused.problems  # noqa: PT017  the other way out is a bundle
