"""Why a stored decision came out as it did: the policies of its time, asked again."""

from dataclasses import dataclass, replace

from pdp.policy.document import parse_policies
from pdp.policy.explain import Explanation, explain
from pdp.store import decisions, documents
from pdp.store.database import Transaction
from pdp.store.decisions import DecisionRecord
from pdp.store.documents import DocumentKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedDecision:
    """A record, and how it came about; None where the policies of its time are not stored."""

    record: DecisionRecord
    explanation: Explanation | None

    @property
    def agrees(self) -> bool:
        """Whether asking again gives the recorded outcome, as it always should."""
        return self.explanation is None or self.explanation.decision.outcome is self.record.outcome


def explain_decision(tx: Transaction, decision_id: str) -> ExplainedDecision:
    """Return a decision with the answer of every condition; NotFound if there is no such one."""
    record = decisions.find(tx, decision_id)
    known = {version for version, _ in documents.versions(tx, DocumentKind.POLICIES)}
    if record.policy_version not in known:
        return ExplainedDecision(record=record, explanation=None)
    text = documents.text_of(tx, DocumentKind.POLICIES, record.policy_version)
    bundle = parse_policies(text, file=f"policies {record.policy_version}")
    named = replace(bundle, version=record.policy_version)
    return ExplainedDecision(record=record, explanation=explain(named, record.facts))
