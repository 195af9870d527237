"""The PIP: what the rows say now becomes the facts that policies see."""

from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from pdp.domain.access import (
    AuthenticationFacts,
    Channel,
    ClientFacts,
    DeviceFacts,
    Facts,
    Strength,
    SubjectFacts,
)
from pdp.domain.client import Client
from pdp.domain.compliance import Assessment, Compliance
from pdp.domain.ids import SubjectId
from pdp.domain.session import Grant, Session
from pdp.policy.rules import Rules
from pdp.store import devices
from pdp.store.database import Transaction
from pdp.store.readings import Unreadable
from pdp.store.standings import DeviceStanding, Standing
from pdp.usecases.reassess_device import assessment_at


def facts_of_grant(
    tx: Transaction,
    grant: Grant,
    standing: Standing,
    client: Client,
    rules: Rules,
    *,
    channel: Channel,
    scopes: frozenset[str],
    now: datetime,
) -> Facts:
    """Return the facts of a check on tokens: person and device as bound at sign-in, as of now.

    The caller of a token endpoint is not the device: nothing it sends says anything of one. The
    grant in use is the one that is presented; a token that is only checked counts by its first.
    """
    return Facts(
        channel=channel,
        client=ClientFacts(id=client.id, first_party=client.first_party),
        now=now,
        grant_type="refresh_token" if channel is Channel.REFRESH else "authorization_code",
        scopes=scopes,
        subject=_subject(standing),
        device=device_facts(
            tx, standing.device, grant.subject, grant.strength, rules=rules, now=now
        ),
        authentication=AuthenticationFacts(
            acr=grant.acr, amr=frozenset(grant.amr), time=grant.auth_time
        ),
        address=_address(grant.address),
    )


def facts_of_session(
    tx: Transaction,
    session: Session,
    standing: Standing,
    client: Client,
    rules: Rules,
    *,
    scopes: frozenset[str],
    address: str | None,
    now: datetime,
) -> Facts:
    """Return the facts of a sign-in to `client` from a browser session."""
    return Facts(
        channel=Channel.SIGN_IN,
        client=ClientFacts(id=client.id, first_party=client.first_party),
        now=now,
        grant_type="authorization_code",
        scopes=scopes,
        subject=_subject(standing),
        device=device_facts(
            tx, standing.device, session.subject, session.strength, rules=rules, now=now
        ),
        authentication=AuthenticationFacts(
            acr=session.acr, amr=frozenset(session.amr), time=session.auth_time
        ),
        address=_address(address),
    )


def facts_of_machine(
    client: Client, *, channel: Channel, scopes: frozenset[str], address: str | None, now: datetime
) -> Facts:
    """Return the facts of client credentials: no person and no device take part."""
    return Facts(
        channel=channel,
        client=ClientFacts(id=client.id, first_party=client.first_party),
        now=now,
        grant_type="client_credentials",
        scopes=scopes,
        address=_address(address),
    )


def device_facts(
    tx: Transaction,
    standing: DeviceStanding | None,
    subject: SubjectId,
    strength: Strength,
    *,
    rules: Rules,
    now: datetime,
) -> DeviceFacts:
    """Return what is known of the device, or that nothing is.

    Another person's device, not marked shared, is unknown for this one. A row assessed by other
    rules, or whose assessment ran out, is assessed anew from its readings: a change of rules
    counts at once, and a grace period ends on the second, while the sweep goes on.
    """
    if standing is None or not (standing.shared or standing.owner == subject):
        return DeviceFacts()
    status, risk, valid_until = standing.status, standing.risk, standing.valid_until
    if not is_up_to_date(standing, rules, now):
        assessment = _assessed_anew(tx, standing, rules, now)
        if assessment is None:
            return DeviceFacts()
        status, risk, valid_until = assessment.status, assessment.risk, assessment.valid_until
    return DeviceFacts(
        id=standing.id,
        compliance=status,
        risk=risk,
        platform=standing.platform,
        os_version=standing.os_version,
        strength=strength,
        blocked=standing.blocked,
        epoch=standing.epoch,
        open_tasks=standing.open_tasks,
        valid_until=valid_until,
    )


def is_up_to_date(standing: DeviceStanding | None, rules: Rules, now: datetime) -> bool:
    """Tell whether the device's row says what counts at `now` (UTC), without its readings."""
    if standing is None:
        return True
    valid_until = standing.valid_until
    return standing.assessed_with == rules.version and (valid_until is None or now < valid_until)


def _assessed_anew(
    tx: Transaction, standing: DeviceStanding, rules: Rules, now: datetime
) -> Assessment | None:
    try:
        stored = devices.load_stored(tx, standing.id)
    except Unreadable:
        # DECISIONS 3: what cannot be assessed is a status, which opens nothing.
        return Assessment(status=Compliance.ERROR, risk=standing.risk)
    return None if stored is None else assessment_at(stored, rules, now)


def _subject(standing: Standing) -> SubjectFacts:
    return SubjectFacts(
        id=standing.subject, groups=standing.groups, break_glass=standing.break_glass
    )


@lru_cache(maxsize=4096)
def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    if text is None:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None
