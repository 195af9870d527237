"""A policy, and a bundle of policies ready to decide."""

from dataclasses import dataclass, field
from datetime import datetime

from pdp.domain.access import Facts, Outcome, Reason, Restriction, StepUp
from pdp.domain.ids import PolicyId
from pdp.policy.condition import Condition, earliest, reasons_of
from pdp.policy.index import Index
from pdp.policy.ternary import Ternary, all_of

#: Ids that begin so are built in; documents cannot define, change or remove them.
BUILT_IN = "pratique:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When all conditions hold, `outcome`; without conditions, always.

    `restriction` is set exactly for a restricted outcome, `step_up` exactly for step-up.
    """

    id: PolicyId
    outcome: Outcome
    description: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    restriction: Restriction | None = None
    step_up: StepUp | None = None
    report_only: bool = False

    #: Whether it takes something away, and so applies on UNKNOWN too.
    strict: bool = field(init=False, compare=False, repr=False)
    #: Whether it may begin or cease to apply while only time passes.
    timed: bool = field(init=False, compare=False, repr=False)
    #: Why, where that does not depend on the facts.
    fixed_reasons: frozenset[Reason] | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # A frozen value's own first assignment: derived once, never changed.
        object.__setattr__(self, "strict", self.outcome > Outcome.FULL)
        object.__setattr__(self, "timed", any(found.timed for found in self.conditions))
        branching = any(found.parts() for found in self.conditions)
        reasons = frozenset(found.reason for found in self.conditions) or {Reason.POLICY}
        object.__setattr__(self, "fixed_reasons", None if branching else frozenset(reasons))

    def evaluate(self, facts: Facts) -> Ternary:
        """Tell whether all conditions hold."""
        return all_of(condition.evaluate(facts) for condition in self.conditions)

    def admits(self, answer: Ternary) -> bool:
        """Tell whether the policy applies on this answer: on UNKNOWN only if it does not open."""
        return answer is Ternary.TRUE or (self.strict and answer is Ternary.UNKNOWN)

    def reasons(self, facts: Facts) -> frozenset[Reason]:
        """Say why, for a policy that applies."""
        if self.fixed_reasons is not None:
            return self.fixed_reasons
        return frozenset().union(*(reasons_of(condition, facts) for condition in self.conditions))

    def changes_at(self, facts: Facts) -> datetime | None:
        """Return the first instant (UTC) at which it may begin or cease to apply, by time alone."""
        steady = all_of(
            condition.evaluate(facts) for condition in self.conditions if not condition.timed
        )
        if not self.admits(steady):
            return None  # whatever the time, the other conditions keep it from applying
        return earliest(condition.changes_at(facts) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Bundle:
    """Policies with a declared default, indexed; `version` is the hash of what they say.

    `layers` holds per outcome the bits of its policies, `reporting` the bits of those that only
    report (bit n stands for policy n). `outcomes` has those that a policy may decide, strictest
    first.
    """

    policies: tuple[Policy, ...]
    default: Outcome
    version: str
    index: Index = field(init=False, compare=False, repr=False)
    layers: tuple[int, ...] = field(init=False, compare=False, repr=False)
    reporting: int = field(init=False, compare=False, repr=False)
    outcomes: tuple[Outcome, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        layers = [0] * len(Outcome)
        reporting = 0
        for position, policy in enumerate(self.policies):
            if policy.report_only:
                reporting |= 1 << position
            else:
                layers[policy.outcome] |= 1 << position
        rows = [(policy.conditions, policy.strict) for policy in self.policies]
        object.__setattr__(self, "index", Index.of(rows))
        object.__setattr__(self, "layers", tuple(layers))
        object.__setattr__(self, "reporting", reporting)
        present = tuple(outcome for outcome in sorted(Outcome, reverse=True) if layers[outcome])
        object.__setattr__(self, "outcomes", present)
