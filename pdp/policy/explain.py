"""The same decision, with the answer of every condition of every policy."""

from dataclasses import dataclass

from pdp.domain.access import Decision, Facts, Outcome, Reason
from pdp.domain.ids import PolicyId
from pdp.policy.condition import Condition, Plain
from pdp.policy.evaluate import applies, evaluate_plainly
from pdp.policy.policy import Bundle, Policy
from pdp.policy.ternary import Ternary


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionTrace:
    """What one condition asks (`spec` as in its document), answered, and the value it saw."""

    name: str
    spec: Plain
    reason: Reason
    answer: Ternary
    seen: str
    parts: "tuple[ConditionTrace, ...]" = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTrace:
    """What one policy came to, and its word to people. `applies` is before the strictest wins."""

    id: PolicyId
    message: str
    outcome: Outcome
    report_only: bool
    answer: Ternary
    applies: bool
    conditions: tuple[ConditionTrace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A decision and how it came about; the decision is `evaluate`'s.

    The trace shows the facts as they are. Where `decision.fail_open` is set, the decision was
    taken as if the device's status `error` were `compliant`.
    """

    decision: Decision
    trace: tuple[PolicyTrace, ...]


def explain(bundle: Bundle, facts: Facts) -> Explanation:
    """Decide, and tell for every policy in document order what each of its conditions saw."""
    return Explanation(
        decision=evaluate_plainly(bundle, facts),
        trace=tuple(_policy(policy, facts) for policy in bundle.policies),
    )


def _policy(policy: Policy, facts: Facts) -> PolicyTrace:
    answer = policy.evaluate(facts)
    return PolicyTrace(
        id=policy.id,
        message=policy.message,
        outcome=policy.outcome,
        report_only=policy.report_only,
        answer=answer,
        applies=applies(policy, answer, facts),
        conditions=tuple(_condition(condition, facts) for condition in policy.conditions),
    )


def _condition(condition: Condition, facts: Facts) -> ConditionTrace:
    return ConditionTrace(
        name=condition.name,
        spec=condition.spec(),
        reason=condition.reason,
        answer=condition.evaluate(facts),
        seen=condition.seen(facts),
        parts=tuple(_condition(part, facts) for part in condition.parts()),
    )
