"""What the rows say now of a grant, its person and its device: all of a check in one statement.

Each statement also tells the generation of the configuration, so that whoever decides knows that
the policies at hand are the ones in force, without asking twice. What was decided is written only
while `STANDS` holds: nothing that the decision rested on has moved meanwhile (DECISIONS 19).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from pdp.domain.access import Strength
from pdp.domain.compliance import Compliance
from pdp.domain.ids import DeviceId, GrantId, SubjectId
from pdp.domain.session import Grant
from pdp.domain.signal import RiskLevel
from pdp.store.base import from_micros, from_micros_or_none, to_micros
from pdp.store.database import Row, Statement, Transaction, Value
from pdp.store.generations import raise_lost
from pdp.store.grants import LiveGrant, carried_out

_GRANT_COLUMNS: Final = (
    "g.id, g.subject_id, g.client_id, g.session_id, g.device_id, g.strength, g.scope, g.acr,"
    " g.amr, g.address, g.nonce, g.auth_time, g.created_at, g.expires_at, g.revoked_at"
)
_STANDING_COLUMNS: Final = (
    "s.id, s.groups, s.break_glass, s.epoch, s.disabled_at,"
    " d.id, d.owner_id, d.shared, d.platform, d.os_version, d.status, d.risk, d.valid_until,"
    " d.assessed_with, d.block, d.epoch,"
    " (SELECT COUNT(*) FROM tasks t WHERE t.device_id = d.id AND t.state = 'open')"
)
#: The columns of `read_held`, and the joins that they need behind a row `g` of grants.
HELD_COLUMNS: Final = f"{_GRANT_COLUMNS}, {_STANDING_COLUMNS}"
HELD_JOINS: Final = (
    " LEFT JOIN subjects s ON s.id = g.subject_id LEFT JOIN devices d ON d.id = g.device_id"
)
CONFIGURATION: Final = "generations c"
CONFIGURATION_ROW: Final = "c.name = 'config'"

_GRANT_WIDTH: Final = 15

#: Holds while the facts of a decision are what they were; the parameters are `stands_on`'s.
STANDS: Final = (
    "(SELECT value FROM generations WHERE name = 'config') = :config"
    " AND EXISTS (SELECT 1 FROM grants g JOIN subjects s ON s.id = g.subject_id"
    " LEFT JOIN devices d ON d.id = g.device_id WHERE g.id = :held AND g.revoked_at IS NULL"
    " AND s.disabled_at IS NULL AND s.epoch = :subject_epoch"
    " AND COALESCE(d.epoch, -1) = :device_epoch)"
)
_STANDS = Statement(f"SELECT 1 WHERE {STANDS}")

_OF_GRANT = Statement(
    f"SELECT {HELD_COLUMNS} FROM grants g{HELD_JOINS} WHERE g.id = :grant_id"  # noqa: S608  columns are ours
)
_LIVE_ON_DEVICE = Statement(
    "SELECT g.client_id, g.session_id, g.subject_id, g.outcome,"  # noqa: S608  columns are ours
    f" {HELD_COLUMNS} FROM grants g{HELD_JOINS} WHERE g.device_id = :device_id"
    " AND g.revoked_at IS NULL AND g.expires_at > :now ORDER BY g.id"
)
_OF_TOKEN = Statement(
    "SELECT c.value, EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = :jti),"  # noqa: S608  columns are ours
    f" {HELD_COLUMNS} FROM {CONFIGURATION} LEFT JOIN grants g ON g.id = :grant_id{HELD_JOINS}"
    f" WHERE {CONFIGURATION_ROW}"
)
#: Of the row above, what moves whenever anything does that a decision on it could see: the places
#: of the columns of `MARKS_OF_TOKEN`, in its order.
_MARKS: Final = (0, 1, 2, 15, 16, 17, 20, 21, 22, 32)
MARKS_OF_TOKEN = Statement(
    "SELECT c.value, EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = :jti),"  # noqa: S608  columns are ours
    " g.id, g.expires_at, g.revoked_at, s.id, s.epoch, s.disabled_at, d.id, d.epoch"
    f" FROM {CONFIGURATION} LEFT JOIN grants g ON g.id = :grant_id{HELD_JOINS}"
    f" WHERE {CONFIGURATION_ROW}"
)
_OF_SUBJECT = Statement(
    f"SELECT {_STANDING_COLUMNS} FROM subjects s"  # noqa: S608  columns are ours
    " LEFT JOIN devices d ON d.id = :device_id WHERE s.id = :subject_id"
)
_HOLD_DEVICE = Statement("SELECT epoch FROM devices WHERE id = :id FOR SHARE")
_HOLD_SUBJECT = Statement("SELECT epoch FROM subjects WHERE id = :id FOR SHARE")
_CLAIM_SUBJECT = Statement("SELECT epoch FROM subjects WHERE id = :id FOR NO KEY UPDATE")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStanding:
    """What the device's row says now, as far as decisions look at it."""

    id: DeviceId
    owner: SubjectId | None
    shared: bool
    platform: str | None
    os_version: str | None
    status: Compliance
    risk: RiskLevel
    valid_until: datetime | None
    assessed_with: str
    blocked: bool
    epoch: int
    open_tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the rows say now of a person and of the device bound to the session, if any."""

    subject: SubjectId
    groups: frozenset[str]
    break_glass: bool
    epoch: int
    disabled: bool
    device: DeviceStanding | None


@dataclass(frozen=True, slots=True)
class Held:
    """A grant, with the standing of the person and the device that hold it."""

    grant: Grant
    standing: Standing


@dataclass(frozen=True, slots=True)
class TokenMarks:
    """Marks of what stands behind an access token: equal ones stand for equal decisions.

    The generation of the configuration, and the epochs of person and device, which move whenever
    anything changes that a decision looks at, but for the time (DECISIONS 19); and what can
    happen to token and grant.
    """

    row: Row

    @property
    def generation(self) -> int:
        """The configuration's generation."""
        return int(self.row[0])


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """What stands behind an access token, as read."""

    row: Row

    @property
    def marks(self) -> TokenMarks:
        """What `marks_of_token` would have read."""
        return TokenMarks(tuple([self.row[place] for place in _MARKS]))

    @property
    def generation(self) -> int:
        """The configuration's generation."""
        return int(self.row[0])

    @property
    def revoked(self) -> bool:
        """Whether this token was revoked by itself."""
        return bool(self.row[1])

    def held(self) -> Held | None:
        """Read the grant; None if there is none, as behind a machine's token."""
        return read_held(self.row[2:])


def held_grant(tx: Transaction, grant_id: GrantId) -> Held | None:
    """Return a grant with its person's and device's standing."""
    row = tx.one(_OF_GRANT, {"grant_id": grant_id})
    return None if row is None else read_held(row)


def live_on_device(
    tx: Transaction, device_id: DeviceId, *, now: datetime
) -> list[tuple[LiveGrant, Held | None]]:
    """Return the grants whose tokens may still be used from this device, and how each stands."""
    rows = tx.all(_LIVE_ON_DEVICE, {"device_id": device_id, "now": to_micros(now)})
    return [
        (LiveGrant(row[4], row[0], row[1], row[2], carried_out(row[3])), read_held(row[4:]))
        for row in rows
    ]


def check_token(tx: Transaction, jti: str, grant_id: GrantId | None) -> TokenCheck:
    """Return all that a check of one access token asks of the database."""
    row = tx.one(_OF_TOKEN, {"jti": jti, "grant_id": grant_id})
    if row is None:
        raise_lost()
    return TokenCheck(row)


def marks_of_token(tx: Transaction, jti: str, grant_id: GrantId | None) -> TokenMarks:
    """Return what tells whether a check of one access token would find anything new."""
    row = tx.one(MARKS_OF_TOKEN, {"jti": jti, "grant_id": grant_id})
    if row is None:
        raise_lost()
    return TokenMarks(row)


def standing_of_subject(
    tx: Transaction, subject_id: SubjectId, device_id: DeviceId | None
) -> Standing | None:
    """Return a person's standing, with that of `device_id` if there is one."""
    row = tx.one(_OF_SUBJECT, {"subject_id": subject_id, "device_id": device_id})
    return None if row is None else _standing(row)


def hold_still(tx: Transaction, subject_id: SubjectId, device_id: DeviceId | None) -> None:
    """Let no signal or administrator change person or device before this transaction commits.

    Call it before the facts are read: a grant that is given here is then older than any later
    change, which finds it and ends it. SQLite has one writer and needs nothing; nor does who
    only reads, and gives nothing.
    """
    if tx.is_sqlite or tx.is_reading:
        return
    if device_id is not None:
        tx.one(_HOLD_DEVICE, {"id": device_id})
    tx.one(_HOLD_SUBJECT, {"id": subject_id})


def claim(tx: Transaction, subject_id: SubjectId, device_id: DeviceId | None) -> None:
    """Hold person and device still, for whoever will change the person's row itself.

    Two who both only held it still would wait for each other for ever. Call it first.
    """
    if tx.is_sqlite:
        return
    if device_id is not None:
        tx.one(_HOLD_DEVICE, {"id": device_id})
    tx.one(_CLAIM_SUBJECT, {"id": subject_id})


def stands_on(held: Held, *, generation: int) -> Mapping[str, Value]:
    """Return the parameters of `STANDS` for a decision on `held` under `generation`."""
    device = held.standing.device
    return {
        "config": generation,
        "held": held.grant.id,
        "subject_epoch": held.standing.epoch,
        "device_epoch": -1 if device is None else device.epoch,
    }


def still_stands(tx: Transaction, held: Held, *, generation: int) -> bool:
    """Tell whether a decision on `held` would see today what it saw."""
    return tx.one(_STANDS, stands_on(held, generation=generation)) is not None


def read_held(row: Sequence[Any]) -> Held | None:
    """Read `HELD_COLUMNS`; None where the join found no grant, or one whose person is gone."""
    if row[0] is None or row[_GRANT_WIDTH] is None:
        return None
    return Held(_grant(row), _standing(row[_GRANT_WIDTH:]))


def _grant(row: Sequence[Any]) -> Grant:
    return Grant(
        id=row[0],
        subject=row[1],
        client=row[2],
        session=row[3],
        device=row[4],
        strength=Strength(row[5]),
        scope=tuple(row[6].split()),
        acr=row[7],
        amr=tuple(orjson.loads(row[8])),
        address=row[9],
        nonce=row[10],
        auth_time=from_micros(row[11]),
        created_at=from_micros(row[12]),
        expires_at=from_micros(row[13]),
        revoked_at=from_micros_or_none(row[14]),
    )


def _standing(row: Sequence[Any]) -> Standing:
    device = None
    if row[5] is not None:
        device = DeviceStanding(
            id=row[5],
            owner=row[6],
            shared=bool(row[7]),
            platform=row[8],
            os_version=row[9],
            status=Compliance(row[10]),
            risk=RiskLevel(row[11]),
            valid_until=from_micros_or_none(row[12]),
            assessed_with=row[13],
            blocked=row[14] is not None,
            epoch=row[15],
            open_tasks=row[16],
        )
    return Standing(
        subject=row[0],
        groups=frozenset(orjson.loads(row[1])),
        break_glass=bool(row[2]),
        epoch=row[3],
        disabled=row[4] is not None,
        device=device,
    )
