"""`evaluate(bundle, facts)`: the one function that decides; pure, total, in microseconds.

The strictest policy that applies wins. A policy whose conditions are not all known applies only
if it takes something away, and then may only tighten: where no policy is certain to apply, the
declared default is the least. Nothing applies: the default.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce
from typing import Final, NamedTuple, Protocol

from pdp.domain.access import Decision, Facts, Outcome, Reason, Restriction, StepUp
from pdp.domain.compliance import Compliance
from pdp.domain.ids import PolicyId
from pdp.domain.session import ACR_ORDER
from pdp.policy.condition import earliest
from pdp.policy.index import positions
from pdp.policy.policy import BUILT_IN, Bundle, Policy
from pdp.policy.ternary import Ternary, all_of

#: The built-in policy: a device that an administrator blocked gets in nowhere.
DEVICE_BLOCKED: Final = PolicyId(f"{BUILT_IN}device-blocked")


class Layer(NamedTuple):
    """The policies of one outcome that apply, whether one surely does, and until when."""

    policies: Sequence[Policy]
    certain: bool
    changes_at: datetime | None


_EMPTY: Final = Layer((), certain=False, changes_at=None)


class Found(NamedTuple):
    """The policies of the strictest outcome that apply, and what else bears on the answer."""

    winners: Sequence[Policy]
    restricted: Sequence[Policy]
    certain: bool
    changes_at: datetime | None


class Verdict(NamedTuple):
    """What a decision says, without until when and beside what."""

    outcome: Outcome
    reasons: frozenset[Reason]
    matched: Sequence[Policy] = ()
    restriction: Restriction | None = None
    step_up: StepUp | None = None


class Matching(Protocol):
    """One way to find the policies that apply; every way must give the same answers."""

    def layer(self, outcome: Outcome) -> Layer:
        """Find the policies of this outcome that are in force and apply."""

    def reporting(self) -> Sequence[Policy]:
        """Find the policies that only report and would apply."""


#: Prepares a way to find what applies to these facts.
Finder = Callable[[Bundle, Facts], Matching]


def evaluate(bundle: Bundle, facts: Facts) -> Decision:
    """Decide for these facts, with the index of the bundle."""
    return _decide(bundle, facts, _Indexed)


def evaluate_plainly(bundle: Bundle, facts: Facts) -> Decision:
    """Decide by asking every policy: the same answer as `evaluate`, slowly."""
    return _decide(bundle, facts, _Plain)


def _decide(bundle: Bundle, facts: Facts, finder: Finder) -> Decision:
    decision = _as_stated(bundle, facts, finder(bundle, facts))
    device, subject = facts.device, facts.subject
    if device is None or device.compliance is not Compliance.ERROR:
        return decision
    if subject is None or not subject.break_glass:
        return decision
    healthy = replace(device, compliance=Compliance.COMPLIANT)
    return _let_past_the_error(bundle, replace(facts, device=healthy), decision, finder)


def _let_past_the_error(
    bundle: Bundle, assumed: Facts, refusal: Decision, finder: Finder
) -> Decision:
    """Decide for a break-glass person as if the failed assessment had said compliant.

    All else still counts: a manual block, risk, how they signed in. The exemption is used, and
    counted, only where it opens more than the error alone would have.
    """
    decision = _as_stated(bundle, assumed, finder(bundle, assumed))
    if decision.outcome >= refusal.outcome:
        return refusal
    reasons = tuple(sorted({*decision.reasons, Reason.BREAK_GLASS}))
    return replace(decision, reasons=reasons, fail_open=True)


def is_error(facts: Facts) -> bool:
    """Tell whether the device's assessment failed, in which case nothing is ever full."""
    return facts.device is not None and facts.device.compliance is Compliance.ERROR


def _as_stated(bundle: Bundle, facts: Facts, matching: Matching) -> Decision:
    device = facts.device
    until = None if device is None else device.valid_until
    if device is not None and device.blocked:
        verdict = Verdict(Outcome.BLOCK, _BLOCKED_BY_HAND)
        matched: tuple[PolicyId, ...] = (DEVICE_BLOCKED,)
    else:
        failed = is_error(facts)
        default = Outcome.BLOCK if failed and bundle.default is Outcome.FULL else bundle.default
        found = _strictest(matching, bundle.outcomes, default, failed=failed)
        verdict = _verdict(found, facts, default)
        matched = tuple([policy.id for policy in verdict.matched])
        if found.changes_at is not None:
            until = earliest((until, found.changes_at))
    return Decision(
        outcome=verdict.outcome,
        reasons=tuple(sorted(verdict.reasons)),
        matched=matched,
        restriction=verdict.restriction,
        step_up=verdict.step_up,
        valid_until=until,
        report_only=tuple([(policy.id, policy.outcome) for policy in matching.reporting()]),
        policy_version=bundle.version,
    )


_BLOCKED_BY_HAND: Final = frozenset({Reason.DEVICE_BLOCKED})
_NOTHING_MATCHED: Final = frozenset({Reason.NO_POLICY_MATCHED})


def _strictest(
    matching: Matching, outcomes: Sequence[Outcome], default: Outcome, *, failed: bool
) -> Found:
    """Look through the outcomes, strictest first, as far as they may still matter.

    What lies below the winners matters in two ways: a policy that surely applies there lifts
    the decision from the default, and restrictions that leave nothing are a block.
    """
    winners: Sequence[Policy] = ()
    restricted: Sequence[Policy] = ()
    certain = False
    changes_at = None
    for outcome in outcomes:
        if outcome is Outcome.FULL and failed:
            break
        layer = matching.layer(outcome)
        winners = winners or layer.policies
        certain = certain or layer.certain
        if layer.changes_at is not None:
            changes_at = earliest((changes_at, layer.changes_at))
        if outcome is Outcome.RESTRICTED:
            restricted = layer.policies
        settled = winners and (certain or winners[0].outcome >= default)
        if settled and (outcome <= Outcome.RESTRICTED or outcome is Outcome.BLOCK):
            break
    return Found(winners, restricted, certain, changes_at)


def _verdict(found: Found, facts: Facts, default: Outcome) -> Verdict:
    """Return what the policies that apply decide together, or the default."""
    verdict = _by_winners(found, facts) if found.winners else None
    if verdict is None or (not found.certain and default > verdict.outcome):
        return Verdict(default, _NOTHING_MATCHED)
    return verdict


def _by_winners(found: Found, facts: Facts) -> Verdict:
    winners = found.winners
    outcome = winners[0].outcome
    restriction = None
    if found.restricted and outcome is not Outcome.BLOCK:
        restriction = _restriction(found.restricted, facts)
        if not restriction.scopes:
            reasons = _reasons(found.restricted, facts) | {Reason.EMPTY_RESTRICTION}
            return Verdict(Outcome.BLOCK, reasons, found.restricted)
    return Verdict(
        outcome,
        _reasons(winners, facts),
        winners,
        restriction if outcome is Outcome.RESTRICTED else None,
        _step_up(winners) if outcome is Outcome.STEP_UP else None,
    )


def _reasons(policies: Sequence[Policy], facts: Facts) -> frozenset[Reason]:
    return frozenset().union(*[policy.reasons(facts) for policy in policies])


def _restriction(policies: Sequence[Policy], facts: Facts) -> Restriction:
    """Return what all restricted policies together leave of the scopes that were asked for."""
    ceilings = (policy.restriction for policy in policies if policy.restriction is not None)
    ceiling = reduce(Restriction.narrowed_by, ceilings)
    return replace(ceiling, scopes=ceiling.scopes & facts.scopes) if facts.scopes else ceiling


def _step_up(policies: Sequence[Policy]) -> StepUp:
    """Return a demand that satisfies all step-up policies at once."""
    demands = [policy.step_up for policy in policies if policy.step_up is not None]
    ages = [demand.max_age for demand in demands if demand.max_age is not None]
    return StepUp(
        acr=max((demand.acr for demand in demands), key=ACR_ORDER.index),
        max_age=min(ages, default=None),
    )


def applies(policy: Policy, answer: Ternary, facts: Facts) -> bool:
    """Tell whether a policy with this answer applies to these facts, break-glass apart."""
    return policy.admits(answer) and not (policy.outcome is Outcome.FULL and is_error(facts))


class _Plain:
    """Asks every policy."""

    def __init__(self, bundle: Bundle, facts: Facts) -> None:
        self._policies = bundle.policies
        self._facts = facts

    def layer(self, outcome: Outcome) -> Layer:
        asked = [
            policy
            for policy in self._policies
            if policy.outcome is outcome and not policy.report_only
        ]
        answers = [(policy, policy.evaluate(self._facts)) for policy in asked]
        return Layer(
            policies=[policy for policy, answer in answers if policy.admits(answer)],
            certain=any(answer is Ternary.TRUE for _, answer in answers),
            changes_at=earliest(policy.changes_at(self._facts) for policy in asked),
        )

    def reporting(self) -> Sequence[Policy]:
        return [
            policy
            for policy in self._policies
            if policy.report_only and applies(policy, policy.evaluate(self._facts), self._facts)
        ]


class _Indexed:
    """Asks only the policies that the index leaves over, and of them only what it left open."""

    __slots__ = ("_bundle", "_certain", "_facts", "_possible")

    def __init__(self, bundle: Bundle, facts: Facts) -> None:
        self._bundle = bundle
        self._facts = facts
        self._possible, self._certain = bundle.index.candidates(facts)

    def layer(self, outcome: Outcome) -> Layer:
        bits = self._possible & self._bundle.layers[outcome]
        if not bits:
            return _EMPTY
        policies = self._bundle.policies
        found = bits & self._bundle.index.settled
        left_open = bits ^ found
        certain = bool(found & self._certain)
        if outcome is Outcome.FULL:
            found &= self._certain
        changes_at = None
        for position in positions(left_open) if left_open else ():
            policy = policies[position]
            answer = self._answer(position)
            if policy.admits(answer):
                found |= 1 << position
            certain = certain or answer is Ternary.TRUE
            if policy.timed:
                changes_at = earliest((changes_at, policy.changes_at(self._facts)))
        return Layer([policies[position] for position in positions(found)], certain, changes_at)

    def _answer(self, position: int) -> Ternary:
        """Answer for a policy that the index leaves over."""
        rest = self._bundle.index.residue[position]
        answer = all_of(condition.evaluate(self._facts) for condition in rest)
        if answer is Ternary.TRUE and not self._certain >> position & 1:
            return Ternary.UNKNOWN
        return answer

    def reporting(self) -> Sequence[Policy]:
        bits = self._possible & self._bundle.reporting
        if not bits:
            return ()
        policies = self._bundle.policies
        return [
            policies[position]
            for position in positions(bits)
            if applies(policies[position], self._answer(position), self._facts)
        ]
