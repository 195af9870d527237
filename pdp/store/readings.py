"""Readings, assessments and signals as JSON in rows, and back to the same values.

Evolution: members are only ever added, with a default for rows that lack them; a name is never
used again for something else.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import orjson

from pdp.domain.compliance import Cause, Compliance
from pdp.domain.device import Block, Override, Reading, Statement, Value
from pdp.domain.errors import DomainError
from pdp.domain.ids import SourceId
from pdp.domain.signal import Finding, RiskLevel, Signal
from pdp.store.base import from_micros, from_micros_or_none, to_json, to_micros, to_micros_or_none

# The statements of one signal share its instant.
_instant: Final = lru_cache(maxsize=4096)(from_micros)


def write_readings(readings: Mapping[SourceId, Reading]) -> str:
    """Return readings as JSON: source, attribute, then value, event time and signal id."""
    return to_json(
        {
            source: {
                attribute: [
                    _write_value(statement.value),
                    to_micros(statement.event_time),
                    statement.signal_id,
                ]
                for attribute, statement in reading.statements.items()
            }
            for source, reading in readings.items()
        }
    )


class Unreadable(DomainError):
    """What sources said of a device cannot be read back: its row was damaged."""


def read_readings(text: str) -> dict[SourceId, Reading]:
    """Return the readings that `write_readings` wrote; Unreadable if this is nothing of ours.

    What cannot be read must not read as healthy, or as nothing at all.
    """
    try:
        return {
            SourceId(source): Reading(
                {
                    attribute: Statement(_read_value(value), _instant(micros), signal_id)
                    for attribute, (value, micros, signal_id) in statements.items()
                }
            )
            for source, statements in orjson.loads(text).items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        problem = f"the readings of a device cannot be read ({error}): restore its row"
        raise Unreadable(problem) from error


def write_causes(causes: tuple[Cause, ...]) -> str:
    """Return an assessment's causes as JSON, in their order."""
    return to_json(
        [
            {
                "rule": cause.rule,
                "status": cause.status.value,
                "source": cause.source,
                "attribute": cause.attribute,
                "title": cause.title,
                "category": cause.category,
                "since": to_micros_or_none(cause.since),
                "grace_until": to_micros_or_none(cause.grace_until),
            }
            for cause in causes
        ]
    )


def read_causes(text: str) -> tuple[Cause, ...]:
    """Return the causes that `write_causes` wrote."""
    return tuple(
        Cause(
            rule=cause["rule"],
            status=Compliance(cause["status"]),
            source=cause["source"],
            attribute=cause["attribute"],
            title=cause["title"],
            category=cause["category"],
            since=from_micros_or_none(cause["since"]),
            grace_until=from_micros_or_none(cause["grace_until"]),
        )
        for cause in orjson.loads(text)
    )


def write_block(block: Block | None) -> str | None:
    """Return an administrator's block as JSON."""
    if block is None:
        return None
    return to_json({"since": to_micros(block.since), "reason": block.reason, "by": block.by})


def read_block(text: str | None) -> Block | None:
    """Return the block that `write_block` wrote."""
    if text is None:
        return None
    block = orjson.loads(text)
    return Block(since=from_micros(block["since"]), reason=block["reason"], by=block["by"])


def write_override(override: Override | None) -> str | None:
    """Return an administrator's override as JSON."""
    if override is None:
        return None
    return to_json(
        {"until": to_micros(override.until), "reason": override.reason, "by": override.by}
    )


def read_override(text: str | None) -> Override | None:
    """Return the override that `write_override` wrote."""
    if text is None:
        return None
    override = orjson.loads(text)
    return Override(
        until=from_micros(override["until"]), reason=override["reason"], by=override["by"]
    )


def write_signal(signal: Signal) -> str:
    """Return a signal as JSON: equal signals have equal texts, whatever body they came in."""
    return to_json(
        {
            "id": signal.id,
            "source": signal.source,
            "device": sorted(str(name) for name in signal.device),
            "event_time": to_micros(signal.event_time),
            "risk": None if signal.risk is None else signal.risk.value,
            "category": signal.category,
            "compliant": signal.compliant,
            "posture": dict(signal.posture),
            "findings": [_write_finding(finding) for finding in signal.findings],
            "platform": signal.platform,
            "os_version": signal.os_version,
        }
    )


def _write_value(value: Value) -> object:
    match value:
        case Finding():
            return {"finding": _write_finding(value)}
        case RiskLevel():
            return {"risk": value.value}
        case _:
            return value


def _read_value(value: Any) -> Value:  # noqa: ANN401  what JSON holds, about to be typed
    match value:
        case {"finding": finding}:
            return Finding(
                id=finding["id"],
                title=finding["title"],
                severity=RiskLevel(finding["severity"]),
                category=finding["category"],
                resolved=finding["resolved"],
            )
        case {"risk": level}:
            return RiskLevel(level)
        case bool() | int() | float() | str():
            return value
        case _:
            raise ValueError(f"a reading holds a {type(value).__name__}")


def _write_finding(finding: Finding) -> dict[str, object]:
    return {
        "id": finding.id,
        "title": finding.title,
        "severity": finding.severity.value,
        "category": finding.category,
        "resolved": finding.resolved,
    }
