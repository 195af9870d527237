"""A stored decision is explained by the policies of its time, or it is said that they are gone."""

import pytest

from pdp.domain.compliance import Compliance
from pdp.domain.errors import NotFound
from pdp.domain.ids import DecisionId
from pdp.policy.defaults import default_policies
from pdp.policy.evaluate import evaluate
from pdp.policy.ternary import Ternary
from pdp.store import decisions
from pdp.store.documents import DocumentKind
from pdp.usecases.explain_decision import explain_decision
from pdp.usecases.publish_document import publish
from tests.builders import NOW, device_facts, facts
from tests.deployment import a_deployment

OTHER = "pratique: policies/v1\ndefault: block\npolicies:\n  - {id: nobody, outcome: block}\n"
SICK = facts(device=device_facts(compliance=Compliance.NOT_COMPLIANT))


@pytest.fixture
def runtime(database):
    """A deployment that has decided once, under the default policies."""
    runtime = a_deployment(database)
    row = decisions.row_of(DecisionId("dec_1"), SICK, evaluate(default_policies(), SICK))
    with database.write() as tx:
        decisions.append(tx, row)
        decisions.append(tx, {**row, "id": "dec_lost", "policy_version": "sha256:gone"})
    return runtime


def _explain(runtime, decision_id):
    with runtime.database.read() as tx:
        return explain_decision(tx, decision_id)


def test_every_condition_shows_what_it_saw(runtime):
    explained = _explain(runtime, "dec_1")

    assert explained.explanation is not None
    trace = {each.id: each for each in explained.explanation.trace}
    assert trace["unhealthy-device"].applies
    (condition,) = trace["unhealthy-device"].conditions
    assert (condition.answer, condition.seen) == (Ternary.TRUE, "not-compliant")
    assert explained.agrees


def test_later_policies_do_not_change_the_explanation(runtime):
    before = _explain(runtime, "dec_1")
    with runtime.database.write() as tx:
        publish(tx, DocumentKind.POLICIES, OTHER, file="x", actor="cli:ada", now=NOW)

    assert _explain(runtime, "dec_1") == before


def test_it_is_said_when_the_policies_are_not_stored(runtime):
    explained = _explain(runtime, "dec_lost")

    assert explained.explanation is None
    assert explained.record.facts == SICK


def test_no_decision_is_no_explanation(runtime):
    with pytest.raises(NotFound):
        _explain(runtime, "dec_none")
