"""How and when the person signed in: `acr_at_least`, `amr`, `signed_in_within`."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pdp.domain.access import Facts, Reason
from pdp.domain.session import ACR_ORDER
from pdp.policy.condition import Plain
from pdp.policy.membership import Attribute, Membership, parse_texts
from pdp.policy.reader import Field, spell_duration
from pdp.policy.ternary import Ternary


def _read_amr(facts: Facts) -> Collection[str] | None:
    return None if facts.authentication is None else facts.authentication.amr


AMR: Final = Attribute("amr", Reason.AUTHENTICATION, _read_amr)


def parse_amr(field: Field) -> Membership:
    """Read authentication methods (RFC 8176) of which any one is enough."""
    return parse_texts(field, AMR)


@dataclass(frozen=True, slots=True)
class AcrAtLeast:
    """The sign-in reached this class or a stronger one; a class we do not know is no fact."""

    acr: str
    on_missing: bool | None = None
    name = "acr_at_least"
    reason = Reason.AUTHENTICATION
    timed = False

    def evaluate(self, facts: Facts) -> Ternary:
        reached = None if facts.authentication is None else facts.authentication.acr
        if reached not in ACR_ORDER:
            return Ternary.UNKNOWN.or_declared(on_missing=self.on_missing)
        return Ternary.of(holds=ACR_ORDER.index(reached) >= ACR_ORDER.index(self.acr))

    def seen(self, facts: Facts) -> str:
        return "missing" if facts.authentication is None else facts.authentication.acr

    def changes_at(self, facts: Facts) -> datetime | None:  # noqa: ARG002  no clock in it
        return None

    def spec(self) -> Plain:
        if self.on_missing is None:
            return self.acr
        return {"acr": self.acr, "on_missing": self.on_missing}

    def parts(self) -> tuple[()]:
        return ()


def parse_acr_at_least(field: Field) -> AcrAtLeast:
    """Read `mfa`, or `{acr: mfa, on_missing: …}`."""
    acr, on_missing = _open(field, "acr")
    return AcrAtLeast(acr.word(ACR_ORDER), on_missing)


@dataclass(frozen=True, slots=True)
class SignedInWithin:
    """The person signed in less than this long ago."""

    age: timedelta
    on_missing: bool | None = None
    name = "signed_in_within"
    reason = Reason.AUTHENTICATION
    timed = True

    def evaluate(self, facts: Facts) -> Ternary:
        if facts.authentication is None:
            return Ternary.UNKNOWN.or_declared(on_missing=self.on_missing)
        return Ternary.of(holds=facts.now - facts.authentication.time < self.age)

    def seen(self, facts: Facts) -> str:
        if facts.authentication is None:
            return "missing"
        return f"{spell_duration(facts.now - facts.authentication.time)} ago"

    def changes_at(self, facts: Facts) -> datetime | None:
        if facts.authentication is None:
            return None
        end = facts.authentication.time + self.age
        return end if end > facts.now else None

    def spec(self) -> Plain:
        age = spell_duration(self.age)
        return age if self.on_missing is None else {"age": age, "on_missing": self.on_missing}

    def parts(self) -> tuple[()]:
        return ()


def parse_signed_in_within(field: Field) -> SignedInWithin:
    """Read `15m`, or `{age: 15m, on_missing: …}`."""
    age, on_missing = _open(field, "age")
    return SignedInWithin(age.duration(), on_missing)


def _open(field: Field, key: str) -> tuple[Field, bool | None]:
    if not field.is_mapping():
        return field, None
    members = field.members((key, "on_missing"), required=(key,))
    on_missing = members["on_missing"].flag() if "on_missing" in members else None
    return members.get(key, field), on_missing
