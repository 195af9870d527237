"""Microsoft Defender for Endpoint: machine and alert objects, as its API returns them.

A body is one object, an array of them, or a page of the API (`{"value": [...]}`). Members that
nothing is read from are ignored, because the vendor adds some; a word that is not in the vendor's
list is refused, because its meaning would be guessed.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from pdp.domain.ids import SourceId
from pdp.domain.signal import ACTIVE_THREAT, DeviceName, Finding, NameKind, RiskLevel, Signal
from pdp.sources.batch import MOST_SIGNALS, each_once
from pdp.sources.errors import MalformedSignal
from pdp.sources.fields import Fields, objects
from pdp.sources.strict_json import parse_strictly

_LONGEST_TITLE: Final = 1000
_RISKS: Final[Mapping[str, RiskLevel]] = {
    "None": RiskLevel.LOW,
    "Informational": RiskLevel.LOW,
    "Low": RiskLevel.LOW,
    "Medium": RiskLevel.MEDIUM,
    "High": RiskLevel.HIGH,
}
_SEVERITIES: Final[Mapping[str, RiskLevel]] = {
    # A detection that nobody graded is not a harmless one.
    "UnSpecified": RiskLevel.MEDIUM,
    "Informational": RiskLevel.LOW,
    "Low": RiskLevel.LOW,
    "Medium": RiskLevel.MEDIUM,
    "High": RiskLevel.HIGH,
}
_RESOLVED: Final[Mapping[str, bool]] = {
    "Unknown": False,
    "New": False,
    "InProgress": False,
    "Resolved": True,
}
#: Somebody is at work on the device now; with severity High, and not resolved, no grace is given.
_ATTACKS: Final = frozenset(
    {
        "Backdoor",
        "Collection",
        "CommandAndControl",
        "CredentialAccess",
        "CredentialStealing",
        "CredentialTheft",
        "DefenseEvasion",
        "Discovery",
        "Execution",
        "Exfiltration",
        "Exploit",
        "Impact",
        "InitialAccess",
        "LateralMovement",
        "Malware",
        "Persistence",
        "PrivilegeEscalation",
        "Ransomware",
        "RemoteAccessTool",
        "Trojan",
        "Worm",
    }
)
_LINUX: Final = (
    "Linux",
    "Ubuntu",
    "RedHat",
    "CentOS",
    "Debian",
    "SuSE",
    "Fedora",
    "Oracle",
    "SLES",
    "Amazon",
    "Rocky",
    "Alma",
)
_PLATFORM_PREFIXES: Final[Mapping[str, str]] = {
    "windows": "windows",
    "macos": "macos",
    "ios": "ios",
    "android": "android",
    **{name.lower(): "linux" for name in _LINUX},
}
_DOTTED: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}")
_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def parse(body: bytes, source_id: SourceId, now: datetime) -> tuple[Signal, ...]:
    """Return what the machine and alert objects in `body` say about devices, in its order.

    Raises MalformedSignal, and nothing else, for anything that is no such object, for words that
    the vendor does not document, and for a time more than 60 s after `now`. An alert about no
    machine (`machineId` null) says nothing about a device, and gives no signal.
    """
    return each_once(
        signal
        for fields in _items(parse_strictly(body))
        if (signal := _signal(fields, source_id, now)) is not None
    )


def _items(document: object) -> Iterator[Fields]:
    if isinstance(document, list):
        yield from objects(document, "", MOST_SIGNALS)
        return
    fields = Fields.of(document)
    if "value" in fields:
        yield from fields.children("value", MOST_SIGNALS)
    else:
        yield fields


def _signal(fields: Fields, source_id: SourceId, now: datetime) -> Signal | None:
    # The API writes null, or nothing between quotes, for what it does not know.
    known = {k: v for k, v in fields.members.items() if v is not None and v != ""}
    said = Fields(known, fields.path)
    if "machineId" in fields:
        return _alert(said, source_id, now) if "machineId" in said else None
    if "lastSeen" in fields:
        return _machine(said, source_id, now)
    problem = "is neither a machine (it has no lastSeen) nor an alert (it has no machineId)"
    raise MalformedSignal(problem, fields.path)


def _machine(fields: Fields, source_id: SourceId, now: datetime) -> Signal:
    posture: dict[str, bool] = {}
    if (health := fields.text_or_none("healthStatus")) is not None:
        posture["sensor_active"] = health == "Active"
    if (onboarding := fields.text_or_none("onboardingStatus")) is not None:
        posture["onboarded"] = onboarding == "Onboarded"
    platform = _platform(fields)
    return Signal(
        id=_signal_id("machine", fields, "lastSeen"),
        source=source_id,
        device=_names(fields, {"aadDeviceId": NameKind.ENTRA_ID, "id": NameKind.EDR_ID}),
        event_time=fields.instant("lastSeen", now),
        risk=fields.word("riskScore", _RISKS) if "riskScore" in fields else None,
        posture=posture,
        platform=platform,
        os_version=_os_version(fields, platform),
    )


def _alert(fields: Fields, source_id: SourceId, now: datetime) -> Signal:
    severity = fields.word("severity", _SEVERITIES)
    resolved = fields.word("status", _RESOLVED)
    category = fields.text_or_none("category", longest=64) or ""
    attack = category in _ATTACKS and severity is RiskLevel.HIGH and not resolved
    times = ("lastUpdateTime", "resolvedTime", "alertCreationTime")
    time = next((name for name in times if name in fields), "alertCreationTime")
    return Signal(
        id=_signal_id("alert", fields, time),
        source=source_id,
        device=_names(fields, {"machineId": NameKind.EDR_ID}),
        event_time=fields.instant(time, now),
        findings=(
            Finding(
                id=fields.text("id"),
                title=fields.text("title", _LONGEST_TITLE),
                severity=severity,
                category=ACTIVE_THREAT if attack else _WORD_START.sub("-", category).lower(),
                resolved=resolved,
            ),
        ),
    )


def _names(fields: Fields, members: Mapping[str, NameKind]) -> tuple[DeviceName, ...]:
    """Return the device's names; the vendor's own id, the last of `members`, must be there."""
    *others, own = members.items()
    names = [DeviceName.of(own[1], fields.text(own[0]))]
    for member, kind in (*others, ("computerDnsName", NameKind.HOSTNAME)):
        if member in fields:
            names.append(DeviceName.of(kind, fields.text(member)))
    return tuple(names)


def _platform(fields: Fields) -> str | None:
    stated = (fields.text_or_none("osPlatform") or "").lower()
    prefixes = (p for p in _PLATFORM_PREFIXES if stated.startswith(p))
    found = next(prefixes, None)
    return None if found is None else _PLATFORM_PREFIXES[found]


def _os_version(fields: Fields, platform: str | None) -> str | None:
    """Return a version that can be compared with others of its platform, or None.

    For Windows the API gives the name of a release (`1709`, `22H2`), which as a number would look
    newer than the `10.0.…` that every other source gives.
    """
    version = fields.text_or_none("version")
    if version is None or platform in {None, "windows"} or not _DOTTED.fullmatch(version):
        return None
    return version


def _signal_id(kind: str, fields: Fields, time: str) -> str:
    """Return an id that is the same for the same object, and another once it says anything else."""
    content = json.dumps(fields.members, sort_keys=True, ensure_ascii=True).encode()
    digest = hashlib.sha256(content).hexdigest()[:32]
    return f"{kind}:{fields.text('id')[:128]}:{fields.text(time, 40)}:{digest}"
