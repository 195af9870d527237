"""Our own JSON format: one signal, a batch of them, or a CloudEvents 1.0 structured event.

The format is `signal.schema.json`, explained in docs/signals.md; this module reads exactly that.
Members that it does not know are refused: a sender's typo must not silently lose a risk.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from pdp.domain.ids import SourceId
from pdp.domain.signal import (
    ACTIVE_THREAT,
    DeviceName,
    Finding,
    NameKind,
    RiskLevel,
    Scalar,
    Signal,
)
from pdp.sources.batch import MOST_SIGNALS, each_once
from pdp.sources.errors import MalformedSignal
from pdp.sources.fields import LONGEST_NAME, Fields, kind_of
from pdp.sources.strict_json import parse_strictly

EVENT_TYPE: Final = "io.pratique.signal.v1"
_PLATFORMS: Final[Mapping[str, str]] = {
    name: name for name in ("macos", "windows", "linux", "ios", "android", "chromeos")
}

_MOST_FINDINGS: Final = 100
_MOST_POSTURE: Final = 100
_LONGEST_TEXT: Final = 1000
_LONGEST_VERSION: Final = 64
_CATEGORY: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_POSTURE_FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MEMBERS: Final = (
    "id",
    "event_time",
    "device",
    "risk",
    "category",
    "compliant",
    "posture",
    "findings",
    "platform",
    "os_version",
)
_NAMES: Final = tuple(NameKind)
_FINDING_MEMBERS: Final = ("id", "title", "severity", "category", "resolved")
# What a source calls critical is high, and an active threat (see `_graded`).
_RISKS: Final[Mapping[str, RiskLevel]] = {
    "low": RiskLevel.LOW,
    "medium": RiskLevel.MEDIUM,
    "high": RiskLevel.HIGH,
    "critical": RiskLevel.HIGH,
}
# CloudEvents 1.0 §3: context attributes; extensions are of the same form and say nothing to us.
_EVENT_ATTRIBUTE: Final = re.compile(r"[a-z0-9]{1,64}")


def parse(body: bytes, source_id: SourceId, now: datetime) -> tuple[Signal, ...]:
    """Return the signals that `body` states, in its order.

    Raises MalformedSignal, and nothing else, for a body that is not one of the three forms, and
    for an event more than 60 s after `now`.
    """
    document = Fields.of(parse_strictly(body))
    if "specversion" in document:
        return (_signal(_event_data(document), source_id, now),)
    if "signals" not in document:
        return (_signal(document, source_id, now),)
    document.refuse_unknown(("signals",))
    signals = each_once(
        _signal(fields, source_id, now) for fields in document.children("signals", MOST_SIGNALS)
    )
    if not signals:
        raise MalformedSignal("must hold at least one signal", "signals")
    return signals


def _event_data(event: Fields) -> Fields:
    """Return the signal in a CloudEvents event, with `id` and `event_time` from its envelope.

    An event is known by `source` and `id` together (CloudEvents 1.0 §3.1.1), so both make the
    id of a signal that states none.
    """
    event.word("specversion", {"1.0": None})
    event.word("type", {EVENT_TYPE: None})
    for name in event.members:
        if not _EVENT_ATTRIBUTE.fullmatch(name):
            raise MalformedSignal("no CloudEvents attribute", event.at(repr(name[:64])))
    if "datacontenttype" in event:
        event.word("datacontenttype", {"application/json": None})
    data = event.child("data")
    envelope: dict[str, object] = {}
    event_id = f"{event.text('source')} {event.text('id')}"
    if "id" not in data:
        if len(event_id) > LONGEST_NAME:
            problem = f"is, with source, longer than {LONGEST_NAME} characters; set data.id"
            raise MalformedSignal(problem, "id")
        envelope["id"] = event_id
    if "event_time" not in data and "time" in event:
        envelope["event_time"] = event.members["time"]
    return Fields({**data.members, **envelope}, data.path)


def _signal(fields: Fields, source_id: SourceId, now: datetime) -> Signal:
    fields.refuse_unknown(_MEMBERS)
    risk, category = _graded(fields, "risk") if "risk" in fields else (None, "")
    if risk is None and "category" in fields:
        raise MalformedSignal(
            "says what kind of risk; give the risk as well", fields.at("category")
        )
    return Signal(
        id=fields.text("id"),
        source=source_id,
        device=_device(fields.child("device")),
        event_time=fields.instant("event_time", now),
        risk=risk,
        category=category,
        compliant=fields.flag_or_none("compliant"),
        posture=_posture(fields.child("posture")) if "posture" in fields else {},
        findings=_findings(fields),
        platform=fields.word("platform", _PLATFORMS) if "platform" in fields else None,
        os_version=fields.text_or_none("os_version", _LONGEST_VERSION),
    )


def _graded(fields: Fields, name: str) -> tuple[RiskLevel, str]:
    """Return the level in member `name` and the category that goes with it."""
    level = fields.word(name, _RISKS)
    category = fields.text("category") if "category" in fields else ""
    if category and not _CATEGORY.fullmatch(category):
        problem = "must be lower-case words joined by hyphens, at most 64 characters"
        raise MalformedSignal(problem, fields.at("category"))
    return level, ACTIVE_THREAT if fields.members[name] == "critical" else category


def _device(fields: Fields) -> tuple[DeviceName, ...]:
    fields.refuse_unknown(_NAMES)
    if not fields.members:
        problem = f"must give at least one name of the device: {', '.join(_NAMES)}"
        raise MalformedSignal(problem, fields.path)
    return tuple(DeviceName.of(kind, fields.text(kind)) for kind in _NAMES if kind in fields)


def _posture(fields: Fields) -> dict[str, Scalar]:
    if len(fields.members) > _MOST_POSTURE:
        problem = f"has {len(fields.members)} fields; at most {_MOST_POSTURE} are read"
        raise MalformedSignal(problem, fields.path)
    posture: dict[str, Scalar] = {}
    for name, value in fields.members.items():
        if not _POSTURE_FIELD.fullmatch(name):
            problem = "a field's name is lower-case letters, digits and _, at most 64"
            raise MalformedSignal(problem, fields.at(repr(name[:64])))
        match value:
            case str():
                posture[name] = fields.text(name, _LONGEST_TEXT)
            case bool() | int() | float():
                posture[name] = value
            case _:
                problem = f"must be true, false, a number or a string, not {kind_of(value)}"
                raise MalformedSignal(problem, fields.at(name))
    return posture


def _findings(signal: Fields) -> tuple[Finding, ...]:
    if "findings" not in signal:
        return ()
    findings: dict[str, Finding] = {}
    for fields in signal.children("findings", _MOST_FINDINGS):
        fields.refuse_unknown(_FINDING_MEMBERS)
        severity, category = _graded(fields, "severity")
        finding = Finding(
            id=fields.text("id"),
            title=fields.text("title", _LONGEST_TEXT),
            severity=severity,
            category=category,
            resolved=bool(fields.flag_or_none("resolved")),
        )
        if finding.id in findings:
            raise MalformedSignal("is the id of an earlier finding as well", fields.at("id"))
        findings[finding.id] = finding
    return tuple(findings.values())
