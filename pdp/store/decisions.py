"""Decision records: append-only rows with the facts that each decision saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from ipaddress import ip_address
from typing import Any, Final

import orjson

from pdp.domain.access import (
    AuthenticationFacts,
    Channel,
    ClientFacts,
    Decision,
    DeviceFacts,
    Facts,
    Outcome,
    Strength,
    SubjectFacts,
)
from pdp.domain.compliance import Compliance
from pdp.domain.errors import NotFound
from pdp.domain.ids import ClientId, DecisionId, DeviceId, SubjectId
from pdp.domain.signal import RiskLevel
from pdp.store.base import from_micros, from_micros_or_none, to_json, to_micros, to_micros_or_none
from pdp.store.database import Statement, Transaction, Value
from pdp.store.period import EVER, Period

COLUMNS: Final = (
    "id, at, channel, client_id, subject_id, device_id, outcome, reasons, matched, report_only,"
    " facts, policy_version, repeats"
)
#: The parameters of `row_of`, in the order of `COLUMNS`.
VALUES: Final = (
    ":id, :at, :channel, :client_id, :subject_id, :device_id, :outcome, :reasons, :matched,"
    " :report_only, :facts, :policy_version, :repeats"
)
_INSERT = Statement(f"INSERT INTO decisions ({COLUMNS}) VALUES ({VALUES})")  # noqa: S608  columns are ours
_INSERT_ONCE = Statement(
    f"INSERT INTO decisions ({COLUMNS}) VALUES ({VALUES})"  # noqa: S608  columns are ours
    " ON CONFLICT (id) DO NOTHING"
)
_INSERT_UNDER = Statement(
    f"INSERT INTO decisions ({COLUMNS}) SELECT {VALUES}"  # noqa: S608  columns are ours
    " WHERE (SELECT value FROM generations WHERE name = 'config') = :config"
)
_REPEAT = Statement("UPDATE decisions SET repeats = repeats + :times WHERE id = :id")
_FIND = Statement(f"SELECT {COLUMNS} FROM decisions WHERE id = :id")  # noqa: S608  columns are ours


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """A decision as stored. `repeats` counts the equal answers that this row stands for."""

    id: DecisionId
    at: datetime
    facts: Facts
    outcome: Outcome
    reasons: tuple[str, ...]
    matched: tuple[str, ...]
    report_only: tuple[tuple[str, str], ...]
    policy_version: str
    repeats: int


def row_of(decision_id: DecisionId, facts: Facts, decision: Decision) -> dict[str, Value]:
    """Return the row of a decision; ids in it are pseudonyms that the person table resolves."""
    report = [[policy, outcome.wire] for policy, outcome in decision.report_only]
    return {
        "id": decision_id,
        "at": to_micros(facts.now),
        "channel": facts.channel.value,
        "client_id": facts.client.id,
        "subject_id": facts.subject.id if facts.subject else None,
        "device_id": facts.device.id if facts.device else None,
        "outcome": decision.outcome.wire,
        "reasons": " ".join(decision.reasons),
        "matched": " ".join(decision.matched),
        "report_only": to_json(report) if report else None,
        "facts": to_json(facts_out(facts)),
        "policy_version": decision.policy_version,
        "repeats": 1,
    }


def append(tx: Transaction, row: Mapping[str, Value]) -> None:
    """Store a decision in the transaction that carries it out."""
    tx.run(_INSERT, row)


def append_once(tx: Transaction, row: Mapping[str, Value]) -> bool:
    """Store a decision that an earlier try may have stored; False if one did.

    A connection may be lost after its transaction was committed: whoever tries again does not
    know it.
    """
    return tx.run(_INSERT_ONCE, row) == 1


def append_under(tx: Transaction, row: Mapping[str, Value], *, generation: int) -> bool:
    """Store a decision if the configuration it was taken under is still in force."""
    return tx.run(_INSERT_UNDER, {**row, "config": generation}) == 1


def count_repeats(tx: Transaction, decision_id: DecisionId, times: int) -> None:
    """Count further answers equal to a stored one."""
    tx.run(_REPEAT, {"id": decision_id, "times": times})


def find(tx: Transaction, decision_id: str) -> DecisionRecord:
    """Return a stored decision; NotFound if there is none."""
    row = tx.one(_FIND, {"id": decision_id})
    if row is None:
        raise NotFound("decision", decision_id)
    return _record(row)


def recent(
    tx: Transaction,
    *,
    subject_id: str = "",
    device_id: str = "",
    client_id: str = "",
    outcome: str = "",
    period: Period = EVER,
    count: int = 50,
) -> list[DecisionRecord]:
    """Return the newest decisions, filtered where a filter is given."""
    given = {
        name: value
        for name, value in (
            ("subject_id", subject_id),
            ("device_id", device_id),
            ("client_id", client_id),
            ("outcome", outcome),
        )
        if value
    }
    rows = tx.all(_recent(tuple(given)), {**given, **period.bounds(), "count": count})
    return [_record(row) for row in rows]


@cache
def _recent(columns: tuple[str, ...]) -> Statement:
    """Return the statement that filters by these columns, and names no other.

    One text for all filters ("no person given, or this one") would keep SQLite from the index of
    the one that is given.
    """
    equal = "".join(f" AND {column} = :{column}" for column in columns)
    return Statement(
        f"SELECT {COLUMNS} FROM decisions WHERE at >= :since AND at < :until"  # noqa: S608  columns are ours
        f"{equal} ORDER BY at DESC LIMIT :count"
    )


def _record(row: Sequence[Any]) -> DecisionRecord:
    report = orjson.loads(row[9]) if row[9] else []
    return DecisionRecord(
        id=row[0],
        at=from_micros(row[1]),
        facts=facts_in(orjson.loads(row[10])),
        outcome=Outcome.from_wire(row[6]),
        reasons=tuple(row[7].split()),
        matched=tuple(row[8].split()),
        report_only=tuple((policy, outcome) for policy, outcome in report),
        policy_version=row[11],
        repeats=row[12],
    )


def facts_out(facts: Facts) -> dict[str, object]:
    """Return facts as JSON members; what is absent stays out, so that rows stay small."""
    members: dict[str, object] = {
        "channel": facts.channel.value,
        "now": to_micros(facts.now),
        "client": {"id": facts.client.id, "first_party": facts.client.first_party},
        "grant_type": facts.grant_type,
        "scopes": sorted(facts.scopes),
        "address": None if facts.address is None else str(facts.address),
        "action": facts.action,
        "resource": facts.resource,
        "request": dict(facts.request),
        "subject": _subject_out(facts.subject),
        "device": _device_out(facts.device),
        "authentication": _authentication_out(facts.authentication),
    }
    return {name: value for name, value in members.items() if value not in (None, {}, [])}


def facts_in(members: Mapping[str, Any]) -> Facts:
    """Read facts back; unknown members of newer versions are left aside."""
    subject = members.get("subject")
    device = members.get("device")
    authentication = members.get("authentication")
    address = members.get("address")
    return Facts(
        channel=Channel(members["channel"]),
        now=from_micros(members["now"]),
        client=ClientFacts(
            id=ClientId(members["client"]["id"]), first_party=members["client"]["first_party"]
        ),
        grant_type=members.get("grant_type"),
        scopes=frozenset(members.get("scopes", ())),
        address=None if address is None else ip_address(address),
        action=members.get("action"),
        resource=members.get("resource"),
        request=members.get("request", {}),
        subject=None
        if subject is None
        else SubjectFacts(
            id=SubjectId(subject["id"]),
            groups=frozenset(subject["groups"]),
            break_glass=subject["break_glass"],
        ),
        device=None if device is None else _device_in(device),
        authentication=None
        if authentication is None
        else AuthenticationFacts(
            acr=authentication["acr"],
            amr=frozenset(authentication["amr"]),
            time=from_micros(authentication["time"]),
        ),
    )


def _subject_out(subject: SubjectFacts | None) -> dict[str, object] | None:
    if subject is None:
        return None
    return {
        "id": subject.id,
        "groups": sorted(subject.groups),
        "break_glass": subject.break_glass,
    }


def _authentication_out(authentication: AuthenticationFacts | None) -> dict[str, object] | None:
    if authentication is None:
        return None
    return {
        "acr": authentication.acr,
        "amr": sorted(authentication.amr),
        "time": to_micros(authentication.time),
    }


def _device_out(device: DeviceFacts | None) -> dict[str, object] | None:
    if device is None:
        return None
    return {
        "id": device.id,
        "compliance": device.compliance.value,
        "risk": device.risk.value,
        "platform": device.platform,
        "os_version": device.os_version,
        "strength": device.strength.value,
        "blocked": device.blocked,
        "epoch": device.epoch,
        "open_tasks": device.open_tasks,
        "valid_until": to_micros_or_none(device.valid_until),
    }


def _device_in(device: Mapping[str, Any]) -> DeviceFacts:
    identifier = device["id"]
    return DeviceFacts(
        id=None if identifier is None else DeviceId(identifier),
        compliance=Compliance(device["compliance"]),
        risk=RiskLevel(device["risk"]),
        platform=device["platform"],
        os_version=device["os_version"],
        strength=Strength(device["strength"]),
        blocked=device["blocked"],
        epoch=device["epoch"],
        open_tasks=device["open_tasks"],
        valid_until=from_micros_or_none(device["valid_until"]),
    )
