"""`assess(device, rules, now)`: what the rules make of a device; pure and total.

The worst of all that applies is the status. Bad news does not age: a statement that breaks a
rule breaks it until the same source takes it back. Good news does: a silent device turns stale.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from math import isnan
from typing import Final, NamedTuple

from pdp.domain.compliance import Assessment, Cause, Compliance
from pdp.domain.device import Device, Override, Reading, Statement
from pdp.domain.ids import SourceId
from pdp.domain.signal import ACTIVE_THREAT, Finding, RiskLevel
from pdp.policy.rules import (
    BLOCKED,
    NO_READINGS,
    OVERRIDE,
    SILENT,
    FindingIs,
    PostureIsBelow,
    PostureIsFalse,
    PostureIsIn,
    PostureIsMissing,
    RiskIs,
    Rule,
    Rules,
    SaysNotCompliant,
)
from pdp.policy.ternary import Ternary

#: One thing that one source speaks of.
Subject = tuple[SourceId | None, str]


class Heard(NamedTuple):
    """A statement, of what, and by whom."""

    source: SourceId
    attribute: str
    statement: Statement


def assess(
    device: Device, rules: Rules, now: datetime, *, previous: Assessment | None = None
) -> Assessment:
    """Return the device's status at `now` (UTC), its causes, and until when it stands.

    `previous` is the assessment before the newest signals, where there is one: what was bad in
    it has been bad since then, so that a source that repeats itself does not prolong a grace.
    """
    began = _began(previous)
    heard = _last_heard(device)
    risk = effective_risk(device)
    graceless = risk is RiskLevel.HIGH or _active_threat(device)
    causes = [
        *_administrative(device),
        *_silence(device, heard, rules, now),
        *(
            cause
            for rule in rules.rules
            for cause in _by_rule(device, rule, now, began, graceless=graceless)
        ),
    ]
    override = _override(device, causes, now)
    if override is not None:
        return _by_override(override, risk, causes)
    status = max(
        (cause.status for cause in causes), key=lambda found: found.badness, default=_HEALTHY
    )
    return Assessment(
        status=status,
        risk=risk,
        causes=tuple(causes),
        valid_until=min(
            (end for end in _ends(device, rules, causes, heard) if end > now), default=None
        ),
    )


_HEALTHY: Final = Compliance.COMPLIANT


def effective_risk(device: Device) -> RiskLevel:
    """Return the worst of what sources call the device's risk and of its open findings."""
    return max(_risks(device), key=lambda level: level.badness, default=RiskLevel.UNKNOWN)


def _risks(device: Device) -> Iterator[RiskLevel]:
    for reading in device.readings.values():
        stated = reading.statements.get("risk")
        if stated is not None and isinstance(stated.value, RiskLevel):
            yield stated.value
        for finding, _ in reading.findings():
            yield finding.severity


def _active_threat(device: Device) -> bool:
    return any(
        _category(reading) == ACTIVE_THREAT
        or any(finding.category == ACTIVE_THREAT for finding, _ in reading.findings())
        for reading in device.readings.values()
    )


def _category(reading: Reading) -> str:
    stated = reading.statements.get("category")
    return stated.value if stated is not None and isinstance(stated.value, str) else ""


def _began(previous: Assessment | None) -> Mapping[Subject, datetime]:
    began: dict[Subject, datetime] = {}
    for cause in previous.causes if previous is not None else ():
        subject = (cause.source, cause.attribute)
        # Staleness is no bad news about the attribute: grace does not run from there.
        if cause.since is not None and cause.status is not Compliance.STALE:
            began[subject] = min(cause.since, began.get(subject, cause.since))
    return began


def _administrative(device: Device) -> Iterator[Cause]:
    if device.block is not None:
        yield Cause(
            rule=BLOCKED,
            status=Compliance.NOT_COMPLIANT,
            title=device.block.reason,
            since=device.block.since,
        )


def _last_heard(device: Device) -> datetime | None:
    heard = (reading.last_event_time for reading in device.readings.values())
    return max((time for time in heard if time is not None), default=None)


def _silence(
    device: Device, heard: datetime | None, rules: Rules, now: datetime
) -> Iterator[Cause]:
    if heard is None or not _is_judged(device, rules):
        yield Cause(rule=NO_READINGS, status=Compliance.UNKNOWN)
    elif heard + rules.max_age <= now:
        yield Cause(rule=SILENT, status=Compliance.STALE, since=heard + rules.max_age)


def _is_judged(device: Device, rules: Rules) -> bool:
    """Tell whether a source said anything that a rule can find healthy.

    That a source sees a device, which system it runs, a risk that is unknown, and findings, which
    tell of illness alone, say nothing of that: without more the device stays `unknown`.
    """
    return any(
        heard.statement.value is not RiskLevel.UNKNOWN
        for rule in rules.rules
        if rule.test.attribute is not None
        for heard in _looked_at(device, rule)
    )


def _by_rule(
    device: Device,
    rule: Rule,
    now: datetime,
    began: Mapping[Subject, datetime],
    *,
    graceless: bool,
) -> Iterator[Cause]:
    if isinstance(rule.test, PostureIsMissing):
        yield from _missing(device, rule, rule.test)
        return
    for heard in _looked_at(device, rule):
        said_at = heard.statement.event_time
        match _breaks(rule, heard.statement):
            case Ternary.TRUE:
                since = min(said_at, began.get((heard.source, heard.attribute), said_at))
                yield _broken(rule, heard, since, now, graceless=graceless)
            case Ternary.UNKNOWN:
                title = f"the value of {heard.attribute} does not fit the rule"
                yield _cause(rule, heard, Compliance.ERROR, since=said_at, title=title)
            case Ternary.FALSE if rule.max_age and said_at + rule.max_age <= now:
                yield _cause(rule, heard, Compliance.STALE, since=said_at + rule.max_age)


def _cause(
    rule: Rule, heard: Heard, status: Compliance, *, since: datetime, title: str = ""
) -> Cause:
    return Cause(
        rule=rule.id,
        status=status,
        source=heard.source,
        attribute=heard.attribute,
        title=title,
        since=since,
    )


def _heard_by(device: Device, rule: Rule) -> Iterator[tuple[SourceId, Reading]]:
    for source, reading in sorted(device.readings.items()):
        if rule.source in (None, source):
            yield source, reading


def _missing(device: Device, rule: Rule, test: PostureIsMissing) -> Iterator[Cause]:
    attribute = test.attribute
    if not any(attribute in reading.statements for _, reading in _heard_by(device, rule)):
        yield Cause(rule=rule.id, status=rule.status, source=rule.source, attribute=attribute)


def _looked_at(device: Device, rule: Rule) -> Iterator[Heard]:
    """Yield the statements that the rule's test is about."""
    attribute = rule.test.attribute
    for source, reading in _heard_by(device, rule):
        if attribute is not None:
            statement = reading.statements.get(attribute)
            if statement is not None:
                yield Heard(source, attribute, statement)
            continue
        for name in sorted(filter(_is_finding, reading.statements)):
            yield Heard(source, name, reading.statements[name])


def _is_finding(attribute: str) -> bool:
    return attribute.startswith("finding.")


def _breaks(rule: Rule, statement: Statement) -> Ternary:
    """Tell whether the statement breaks the rule; UNKNOWN if its value is of another kind."""
    match rule.test, statement.value:
        case RiskIs(levels), RiskLevel() as level:
            return Ternary.of(holds=level in levels)
        case ((SaysNotCompliant() | PostureIsFalse()), bool() as healthy):
            return Ternary.of(holds=not healthy)
        case FindingIs(severities, categories), Finding() as finding:
            return Ternary.of(
                holds=not finding.resolved
                and finding.severity in severities
                and (categories is None or finding.category in categories)
            )
        case PostureIsBelow(), bool():
            return Ternary.UNKNOWN  # Python counts with booleans; a rule does not
        case PostureIsBelow(limit=limit), (int() | float()) as number if not isnan(number):
            return Ternary.of(holds=number < limit)
        case PostureIsIn(words=words), str() as word:
            return Ternary.of(holds=word in words)
        case _:
            return Ternary.UNKNOWN


def _broken(rule: Rule, heard: Heard, since: datetime, now: datetime, *, graceless: bool) -> Cause:
    value = heard.statement.value
    finding = value if isinstance(value, Finding) else None
    grace_until = since + rule.grace if rule.grace is not None and not graceless else None
    lenient = grace_until is not None and now < grace_until
    status = Compliance.IN_GRACE if lenient else rule.status
    return replace(
        _cause(rule, heard, status, since=since, title=_title(rule, finding)),
        category=finding.category if finding is not None else "",
        grace_until=grace_until,
    )


def _title(rule: Rule, finding: Finding | None) -> str:
    # What an active threat is called stays with administrators: causes are shown to people.
    if finding is not None and finding.category != ACTIVE_THREAT:
        return finding.title
    return rule.title.get("en", "")


def _override(device: Device, causes: Iterable[Cause], now: datetime) -> Override | None:
    """Return the administrator's word, if it counts.

    It does not count against a block, hides no active threat, and no assessment that failed:
    it speaks of what is known.
    """
    if device.override is None or device.override.until <= now:
        return None
    if device.block is not None or _active_threat(device):
        return None
    if any(cause.status is Compliance.ERROR for cause in causes):
        return None
    return device.override


def _by_override(override: Override, risk: RiskLevel, causes: Iterable[Cause]) -> Assessment:
    """Return compliant, beside the causes that are overridden, so that they stay seen."""
    word = Cause(rule=OVERRIDE, status=Compliance.COMPLIANT, title=override.reason)
    return Assessment(
        status=Compliance.COMPLIANT,
        risk=risk,
        causes=(word, *causes),
        valid_until=override.until,
    )


def _ends(
    device: Device, rules: Rules, causes: Iterable[Cause], heard: datetime | None
) -> Iterator[datetime]:
    """Yield the instants at which time alone may change the answer, or might have."""
    for cause in causes:
        if cause.grace_until is not None:
            yield cause.grace_until
    if heard is not None:
        yield heard + rules.max_age
    for rule in rules.rules:
        if rule.max_age is not None:
            for said in _looked_at(device, rule):
                yield said.statement.event_time + rule.max_age
