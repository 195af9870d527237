"""Deciding: what wins, what a decision carries, and what is built in."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from pdp.domain.access import Decision, Facts, Outcome, Reason
from pdp.domain.compliance import Compliance
from pdp.policy.condition import Plain
from pdp.policy.document import parse_policies
from pdp.policy.evaluate import DEVICE_BLOCKED, evaluate, evaluate_plainly
from pdp.policy.explain import explain
from pdp.policy.policy import Bundle
from pdp.policy.ternary import Ternary
from tests.builders import (
    NOW,
    authentication_facts,
    device_facts,
    facts,
    machine_facts,
    subject_facts,
)

RESTRICT: dict[str, Plain] = {
    "scopes": ["openid", "profile"],
    "token_lifetime": "10m",
    "session_lifetime": "1h",
    "restrictions": ["read-only"],
}


def a_policy(outcome: str, *, id: str = "", **members: Plain) -> dict[str, Plain]:  # noqa: A002
    """Return a policy as documents spell it, with the terms that its outcome needs."""
    terms: dict[str, Plain] = {}
    if outcome == "restricted":
        terms["restrict"] = {**RESTRICT}
    if outcome == "step-up":
        terms["require"] = {"acr": "mfa"}
    return {"id": id or outcome, "outcome": outcome, **terms, **members}


def a_bundle(*policies: dict[str, Plain], default: str = "block") -> Bundle:
    """Return the bundle of these policies."""
    document = {"pratique": "policies/v1", "default": default, "policies": list(policies)}
    return parse_policies(json.dumps(document))


def decide(given: Facts, *policies: dict[str, Plain], default: str = "block") -> Decision:
    """Decide by these policies."""
    return evaluate(a_bundle(*policies, default=default), given)


IN_ERROR = device_facts(compliance=Compliance.ERROR)


def test_the_strictest_policy_that_applies_wins():
    decision = decide(
        facts(),
        a_policy("full"),
        a_policy("remediate", when={"device_compliance": "compliant"}),
        a_policy("block", when={"client": "mail"}),
    )
    assert decision.outcome is Outcome.REMEDIATE
    assert decision.matched == ("remediate",)
    assert decision.reasons == (Reason.DEVICE_COMPLIANCE,)


@pytest.mark.parametrize("default", ["block", "remediate", "full"])
def test_where_no_policy_applies_the_default_decides(default: str):
    decision = decide(facts(), a_policy("full", when={"client": "mail"}), default=default)
    assert decision.outcome.wire == default
    assert decision.reasons == (Reason.NO_POLICY_MATCHED,)
    assert decision.matched == ()


def test_a_policy_without_conditions_always_applies():
    assert decide(machine_facts(), a_policy("full")).reasons == (Reason.POLICY,)


def test_a_full_policy_does_not_apply_while_a_fact_is_missing():
    decision = decide(machine_facts(), a_policy("full", when={"device_compliance": "compliant"}))
    assert decision.outcome is Outcome.BLOCK


def test_a_strict_policy_applies_while_a_fact_is_missing():
    decision = decide(
        machine_facts(),
        a_policy("full"),
        a_policy("remediate", when={"device_compliance": "stale"}),
    )
    assert decision.outcome is Outcome.REMEDIATE


def test_a_policy_that_may_apply_never_lifts_a_decision_from_the_default():
    restricted = a_policy("restricted", when={"device_compliance": "stale"})
    no_device = facts(device=None)
    assert decide(no_device, restricted).outcome is Outcome.BLOCK
    assert decide(no_device, restricted, a_policy("full")).outcome is Outcome.RESTRICTED
    assert decide(no_device, restricted, default="full").outcome is Outcome.RESTRICTED


def test_a_policy_of_which_only_a_part_is_known_never_lifts_a_decision_from_the_default():
    in_part: Plain = {"device_platform": "macos", "network": "192.0.2.0/24"}
    bundle = a_bundle(a_policy("restricted", when=in_part))
    given = facts(device=device_facts(platform=None))
    assert evaluate(bundle, given).outcome is Outcome.BLOCK
    assert evaluate(bundle, given) == evaluate_plainly(bundle, given)


def test_reasons_name_only_the_branches_of_any_that_led_here():
    when: Plain = {"any": [{"client": "mail"}, {"network": "192.0.2.0/24"}], "not": {"group": "it"}}
    decision = decide(facts(), a_policy("block", when=when))
    assert decision.reasons == (Reason.GROUP, Reason.NETWORK)


def test_reasons_of_a_branch_that_led_here_are_those_of_all_its_conditions():
    led: Plain = {"client": "wiki", "network": "192.0.2.0/24"}
    when: Plain = {"any": [led, {"client": "wiki", "group": "it"}]}
    decision = decide(facts(), a_policy("block", when=when))
    assert decision.reasons == (Reason.CLIENT, Reason.NETWORK)


def test_several_restrictions_narrow_one_another_and_what_was_asked_for():
    other: dict[str, Plain] = {
        **RESTRICT,
        "scopes": ["openid", "mail"],
        "token_lifetime": "5m",
        "restrictions": "b",
    }
    decision = decide(
        facts(scopes=["openid", "profile", "mail"]),
        a_policy("restricted"),
        a_policy("restricted", id="other", restrict=other),
        a_policy("full"),
    )
    assert decision.outcome is Outcome.RESTRICTED
    assert decision.restriction is not None
    assert decision.restriction.scopes == {"openid"}
    assert decision.restriction.token_lifetime == timedelta(minutes=5)
    assert decision.restriction.restrictions == ("b", "read-only")


@pytest.mark.parametrize("above", ["restricted", "step-up", "remediate"])
def test_a_restriction_that_leaves_nothing_is_a_block_whatever_else_applies(above: str):
    narrow = a_policy("restricted", id="narrow", restrict={**RESTRICT, "scopes": "mail"})
    decision = decide(facts(scopes=["openid"]), narrow, a_policy(above))
    assert decision.outcome is Outcome.BLOCK
    assert Reason.EMPTY_RESTRICTION in decision.reasons
    assert decision.restriction is None
    assert decision.step_up is None


def test_a_restriction_is_kept_whole_where_no_scope_was_asked_for():
    decision = decide(facts(scopes=[]), a_policy("restricted"))
    assert decision.restriction is not None
    assert decision.restriction.scopes == {"openid", "profile"}


def test_step_up_asks_for_what_satisfies_all_who_ask():
    decision = decide(
        facts(),
        a_policy("step-up", id="fresh", require={"acr": "pwd", "max_age": "15m"}),
        a_policy("step-up", id="strong", require={"acr": "phr", "max_age": "1h"}),
        a_policy("step-up", id="plain", require={"acr": "mfa"}),
    )
    assert decision.step_up is not None
    assert decision.step_up.acr == "phr"
    assert decision.step_up.max_age == timedelta(minutes=15)


def test_a_device_blocked_by_hand_is_blocked_whatever_the_policies_say():
    someone = subject_facts(break_glass=True)
    decision = decide(facts(device=device_facts(blocked=True), subject=someone), a_policy("full"))
    assert decision.outcome is Outcome.BLOCK
    assert decision.matched == (DEVICE_BLOCKED,)
    assert decision.reasons == (Reason.DEVICE_BLOCKED,)
    assert not decision.fail_open


def test_a_device_in_error_never_gets_full_access():
    assert decide(facts(device=IN_ERROR), a_policy("full")).outcome is Outcome.BLOCK
    assert decide(facts(device=IN_ERROR), a_policy("full"), default="full").outcome is Outcome.BLOCK
    softened = decide(facts(device=IN_ERROR), a_policy("full"), a_policy("restricted"))
    assert softened.outcome is Outcome.RESTRICTED


def test_a_break_glass_person_is_let_past_an_error_and_the_decision_says_so():
    given = facts(device=IN_ERROR, subject=subject_facts(break_glass=True))
    decision = decide(given, a_policy("full", when={"device_compliance": "compliant"}))
    assert decision.outcome is Outcome.FULL
    assert decision.fail_open
    assert Reason.BREAK_GLASS in decision.reasons


@pytest.mark.parametrize(
    "status", [status for status in Compliance if status is not Compliance.ERROR]
)
def test_a_break_glass_person_is_exempt_from_nothing_but_an_error(status: Compliance):
    policies = (
        a_policy("full", when={"device_compliance": "compliant"}),
        a_policy("block", when={"device_compliance": "error"}),
    )
    device = device_facts(compliance=status)
    special = decide(facts(device=device, subject=subject_facts(break_glass=True)), *policies)
    assert special == decide(facts(device=device), *policies)
    assert not special.fail_open


def test_the_exemption_is_not_counted_where_it_opens_nothing():
    given = facts(device=IN_ERROR, subject=subject_facts(break_glass=True))
    decision = decide(given, a_policy("block", when={"client": "wiki"}))
    assert decision.outcome is Outcome.BLOCK
    assert not decision.fail_open


def test_a_policy_that_only_reports_is_reported_and_changes_nothing():
    decision = decide(
        facts(),
        a_policy("full"),
        a_policy("block", report_only=True, when={"client": "wiki"}),
        a_policy("remediate", report_only=True, when={"client": "mail"}),
    )
    assert decision.outcome is Outcome.FULL
    assert decision.report_only == (("block", Outcome.BLOCK),)


def test_a_decision_holds_until_the_device_or_a_condition_may_change():
    fresh = a_policy("full", when={"signed_in_within": "15m"})
    soon, later = NOW + timedelta(minutes=5), NOW + timedelta(hours=1)
    assert decide(facts(), fresh).valid_until == NOW + timedelta(minutes=14)
    assert decide(facts(device=device_facts(valid_until=soon)), fresh).valid_until == soon
    assert decide(facts(device=device_facts(valid_until=later)), fresh).valid_until != later
    assert decide(facts(), a_policy("full")).valid_until is None


def test_time_does_not_count_for_a_policy_that_cannot_apply():
    elsewhere = a_policy("block", when={"client": "mail", "signed_in_within": "15m"})
    assert decide(facts(), a_policy("full"), elsewhere).valid_until is None


def test_a_decision_names_the_version_of_its_bundle():
    bundle = a_bundle(a_policy("full"))
    assert evaluate(bundle, facts()).policy_version == bundle.version
    assert bundle.version.startswith("sha256:")


def test_an_explanation_shows_what_every_condition_saw():
    given = facts(authentication=authentication_facts("pwd"))
    bundle = a_bundle(
        a_policy("full", when={"device_compliance": "compliant"}),
        a_policy("step-up", when={"not": {"acr_at_least": "mfa"}}),
    )
    explanation = explain(bundle, given)
    assert explanation.decision == evaluate(bundle, given)
    full, step_up = explanation.trace
    assert (full.applies, full.conditions[0].seen) == (True, "compliant")
    assert step_up.answer is Ternary.TRUE
    assert step_up.conditions[0].name == "not"
    assert step_up.conditions[0].parts[0].seen == "pwd"
    assert step_up.conditions[0].parts[0].answer is Ternary.FALSE


def test_an_explanation_of_a_missing_fact_says_missing():
    bundle = a_bundle(a_policy("block", when={"group": "staff"}))
    trace = explain(bundle, replace(machine_facts(), address=None)).trace[0]
    assert trace.applies
    assert trace.conditions[0].answer is Ternary.UNKNOWN
    assert trace.conditions[0].seen == "missing"
