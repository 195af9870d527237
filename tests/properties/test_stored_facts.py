"""The law of stored facts: all that a decision saw is kept with it, and read back as it was.

No fact is left out on purpose: a decision is explained from its own row, whatever became of the
person and the device meanwhile (DECISIONS 8).
"""

from dataclasses import fields
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdp.domain.access import (
    AuthenticationFacts,
    Channel,
    ClientFacts,
    DeviceFacts,
    Facts,
    Strength,
    SubjectFacts,
)
from pdp.domain.compliance import Compliance
from pdp.domain.ids import ClientId, DeviceId, SubjectId
from pdp.domain.signal import RiskLevel
from pdp.store.base import to_json
from pdp.store.decisions import facts_in, facts_out
from tests.builders import NOW

T = TypeVar("T")
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  Hypothesis adds the zone
COUNTS = st.integers(min_value=0, max_value=2**63 - 1)


def any_of(kind: type[T], **known: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    """Return values of a dataclass with every field drawn, by its type where not `known`."""
    return st.builds(kind, **{each.name: known.get(each.name, ...) for each in fields(kind)})  # type: ignore[arg-type]


FACTS = any_of(
    Facts,
    now=INSTANTS,
    client=any_of(ClientFacts),
    subject=st.none() | any_of(SubjectFacts),
    device=st.none()
    | any_of(DeviceFacts, epoch=COUNTS, open_tasks=COUNTS, valid_until=st.none() | INSTANTS),
    authentication=st.none() | any_of(AuthenticationFacts, time=INSTANTS),
    request=st.dictionaries(
        st.text(),
        st.booleans() | COUNTS | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    ),
)

#: Every fact, and none of them with the value that it has when nobody says it.
EVERYTHING = Facts(
    channel=Channel.REFRESH,
    client=ClientFacts(id=ClientId("wiki"), first_party=False),
    now=NOW,
    grant_type="refresh_token",
    scopes=frozenset({"openid", "mail"}),
    subject=SubjectFacts(id=SubjectId("ada"), groups=frozenset({"staff"}), break_glass=True),
    device=DeviceFacts(
        id=DeviceId("dev_1"),
        compliance=Compliance.STALE,
        risk=RiskLevel.HIGH,
        platform="linux",
        os_version="6.1",
        strength=Strength.WEAK,
        blocked=True,
        epoch=3,
        open_tasks=2,
        valid_until=NOW,
    ),
    authentication=AuthenticationFacts(acr="mfa", amr=frozenset({"pwd", "otp"}), time=NOW),
    address=ip_address("2001:db8::1"),
    action="read",
    resource="payroll",
    request={"subject.floor": 3},
)


@given(FACTS)
@example(EVERYTHING)
def test_facts_survive_being_stored_and_read(given_facts: Facts):
    assert facts_in(orjson.loads(to_json(facts_out(given_facts)))) == given_facts


@pytest.mark.parametrize(
    "name", [None, "client", "subject", "device", "authentication"], ids=lambda name: name or "all"
)
def test_every_fact_has_its_place_in_what_is_stored(name: str | None):
    stored: Any = facts_out(EVERYTHING)
    seen: Any = EVERYTHING
    if name is not None:
        stored, seen = stored[name], getattr(seen, name)
    assert stored.keys() == {each.name for each in fields(seen)}
