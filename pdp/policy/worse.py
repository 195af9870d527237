"""Holds compliance rules to "worse never opens": no rule set may reward a higher risk."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from pdp.domain.signal import RiskLevel
from pdp.policy.reader import Field
from pdp.policy.rules import FindingIs, RiskIs, Rule

_NO_GRACE: Final = timedelta(0)


def refuse_rewards(placed: Sequence[tuple[Rule, Field]]) -> None:
    """Record a problem for each rule on a level that lets a higher level off more lightly."""
    rules = [rule for rule, _ in placed]
    for rule, field in placed:
        for level in sorted(_levels(rule), key=lambda found: found.badness):
            spared = [
                higher
                for higher in RiskLevel
                if higher.badness > level.badness
                and not any(_is_as_strict(other, rule, higher) for other in rules)
            ]
            if spared:
                field.refuse(
                    f"`{level}` is judged more strictly here than `{spared[0]}` anywhere",
                    f"name `{spared[0]}` too, or add a rule for it that is as strict",
                )
                break


def _levels(rule: Rule) -> Iterable[RiskLevel]:
    match rule.test:
        case RiskIs(levels) | FindingIs(levels, _):
            return levels
        case _:
            return ()


def _is_as_strict(other: Rule, rule: Rule, level: RiskLevel) -> bool:
    """Tell whether `other` judges `level` at least as strictly as `rule` judges what it names."""
    if level not in _levels(other) or other.source not in (None, rule.source):
        return False
    if other.status.badness < rule.status.badness:
        return False
    # At high risk there is no grace at all, whatever the rules say.
    lenient = (other.grace or _NO_GRACE) > (rule.grace or _NO_GRACE)
    return _covers(other, rule) and (level is RiskLevel.HIGH or not lenient)


def _covers(other: Rule, rule: Rule) -> bool:
    match other.test, rule.test:
        case RiskIs(), RiskIs():
            return True
        case FindingIs(_, theirs), FindingIs(_, ours):
            return theirs is None or (ours is not None and ours <= theirs)
        case _:
            return False
