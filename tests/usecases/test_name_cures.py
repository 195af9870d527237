"""A refusal tells an administrator what would end it, from what is known now."""

from datetime import timedelta

import pytest

from pdp.domain.access import DeviceFacts, Facts, Strength
from pdp.domain.compliance import Compliance
from pdp.domain.ids import DecisionId
from pdp.policy.document import parse_policies
from pdp.policy.evaluate import evaluate
from pdp.store import decisions, documents, factors, subjects, tasks
from pdp.store.database import Database
from pdp.store.documents import DocumentKind
from pdp.usecases.administer_device import block_device, unblock_device
from pdp.usecases.explain_decision import explain_decision
from pdp.usecases.name_cures import name_cures
from pdp.usecases.publish_document import publish
from tests.builders import NOW, a_subject, facts, subject_facts
from tests.deployment import RULES, a_calm, a_deployment, a_risky, ingest, the_device

POLICIES = """
pratique: policies/v1
default: full
policies:
  - id: sick
    outcome: remediate
    message: Mend it.
    when: {device_compliance: [not-compliant], client: [wiki]}
  - id: surely-known
    outcome: remediate
    when: {not: {identification_strength: [strong]}, client: [mail]}
  - id: second-factor
    outcome: step-up
    require: {acr: mfa, max_age: 15m}
    when: {not: {acr_at_least: mfa}, client: [payroll]}
  - id: inside
    outcome: block
    when: {not: {network: [198.51.100.0/24]}, client: [admin]}
"""

OPEN_TO_MAIL = """
pratique: policies/v1
default: block
policies:
  - {id: mail, outcome: full, when: {client: [mail]}}
"""


@pytest.fixture
def runtime(database):
    runtime = a_deployment(database)
    with database.write() as tx:
        publish(tx, DocumentKind.POLICIES, POLICIES, file="x", actor="cli:ada", now=NOW)
    return runtime


def helps(runtime, seen: Facts, **changes: str) -> dict[str, str]:
    """Return what is told of a decision on these facts: per reason, the steps as one text."""
    with runtime.database.write() as tx:
        active = documents.active(tx, DocumentKind.POLICIES)
        assert active is not None
        decided = evaluate(parse_policies(active[1], file="x"), seen)
        row = decisions.row_of(DecisionId("dec_1"), seen, decided)
        decisions.append(tx, {**row, "policy_version": active[0], **changes})
    with runtime.database.read() as tx:
        cures = name_cures(tx, explain_decision(tx, "dec_1"), now=NOW)
    return {cure.reason: "\n".join(cure.steps) for cure in cures}


def sick(database: Database) -> Facts:
    """Return facts of Ada on the device that the source speaks of."""
    known = the_device(database).device
    return facts(device=DeviceFacts(id=known.id, compliance=Compliance.NOT_COMPLIANT))


def test_an_unhealthy_device_is_cured_by_the_steps_of_its_open_task(runtime):
    ingest(runtime.database, a_risky())
    with runtime.database.read() as tx:
        (task,) = tasks.open_of_device(tx, the_device(runtime.database).device.id)

    told = helps(runtime, sick(runtime.database))["device-compliance"]

    assert f"{task.code}: {task.title}, says edr" in told
    assert "Follow the instructions that the security software on the device shows." in told
    assert "policy sick applies while device_compliance [not-compliant] is true" in told
    assert "policy sick says: Mend it." in told


def test_what_was_mended_since_is_not_asked_for_again(runtime):
    ingest(runtime.database, a_risky(at=NOW - timedelta(minutes=1)))
    before = sick(runtime.database)
    ingest(runtime.database, a_calm("evt-2"))

    told = helps(runtime, before)["device-compliance"]

    assert "nothing is open on the device now: it is compliant, its risk low" in told
    since, until = NOW - timedelta(days=1), NOW + timedelta(minutes=1)
    assert (
        f"what was open then is told by pdp device show {before.device and before.device.id}"
        f" --since {since:%Y-%m-%dT%H:%MZ} --until {until:%Y-%m-%dT%H:%MZ}"
    ) in told


def test_a_refusal_is_explained_though_the_rules_in_force_do_not_parse(runtime):
    ingest(runtime.database, a_risky())
    with runtime.database.write() as tx:
        documents.activate(tx, DocumentKind.COMPLIANCE, "sha256:bad", "pratique: x", now=NOW)

    assert "says edr" in helps(runtime, sick(runtime.database))["device-compliance"]


def test_a_device_that_nobody_knows_is_to_be_enrolled(runtime):
    unknown = DeviceFacts(compliance=Compliance.NOT_COMPLIANT)

    told = helps(runtime, facts(device=unknown))["device-compliance"]

    assert "the browser showed no device known here: enrol it" in told
    assert "(pdp device enrol-token USER)" in told
    assert "if it is enrolled, have it answer the code" in told
    assert "pdp device assert --code CODE" in told


def test_a_device_known_by_weak_evidence_is_to_get_a_key(runtime):
    ingest(runtime.database, a_calm())
    known = the_device(runtime.database).device.id
    weak = DeviceFacts(id=known, strength=Strength.WEAK)

    told = helps(runtime, facts(device=weak, client="mail"))["identification-strength"]

    assert "known by weak evidence: enrol a key or a certificate" in told
    assert f"pdp device enrol-token USER --device {known}" in told


def test_a_blocked_device_is_unblocked_by_whoever_knows_why_it_was(runtime):
    ingest(runtime.database, a_calm())
    device = the_device(runtime.database).device.id
    with runtime.database.write() as tx:
        block_device(tx, device, RULES, reason="stolen", actor="cli:ada", now=NOW)
    blocked = facts(device=DeviceFacts(id=device, blocked=True))

    told = helps(runtime, blocked)["device-blocked"]

    assert f"blocked the device (stolen): once that is settled, pdp device unblock {device}" in told


def test_a_block_that_was_lifted_since_is_said_to_be(runtime):
    ingest(runtime.database, a_calm())
    device = the_device(runtime.database).device.id
    with runtime.database.write() as tx:
        block_device(tx, device, RULES, reason="stolen", actor="cli:ada", now=NOW)
        unblock_device(tx, device, RULES, reason="found", actor="cli:ada", now=NOW)
    blocked = facts(device=DeviceFacts(id=device, blocked=True))

    assert "not blocked now" in helps(runtime, blocked)["device-blocked"]


@pytest.mark.parametrize("has_factor", [True, False])
def test_a_step_up_names_the_sign_in_that_is_wanted_and_whether_there_is_a_factor_for_it(
    runtime, has_factor
):
    ada = a_subject()
    with runtime.database.write() as tx:
        subjects.create(tx, ada, password_hash="x")
        if has_factor:
            factors.begin(tx, ada.id, sealed="sealed")
            factors.confirm(tx, ada.id, pending="sealed", sealed="sealed", step=0, now=NOW)

    seen = facts(client="payroll", subject=subject_facts(ada.id))
    told = helps(runtime, seen)["authentication"]

    assert "acr mfa or stronger, no longer than 15m ago; the session had pwd" in told
    assert (f"{ada.username} has no second factor" in told) is not has_factor


def test_other_refusals_tell_what_the_policy_asks_and_saw(runtime):
    told = helps(runtime, facts(client="admin"))

    assert (
        "policy inside applies while network [198.51.100.0/24] is false: it saw 192.0.2.7"
        in (told["network"])
    )


def test_no_policy_matched_is_cured_by_policies(runtime):
    with runtime.database.write() as tx:
        publish(tx, DocumentKind.POLICIES, OPEN_TO_MAIL, file="x", actor="cli:ada", now=NOW)

    assert "publish one that opens" in helps(runtime, facts())["no-policy-matched"]


def test_it_is_said_which_policies_decided_though_they_are_not_stored(runtime):
    told = helps(runtime, facts(client="admin"), policy_version="sha256:gone")

    assert "not stored here: inside" in told["network"]


def test_full_access_needs_no_cure(runtime):
    assert helps(runtime, facts()) == {}
