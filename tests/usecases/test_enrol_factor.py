"""Setting up a second factor: fresh, at the person's level, from a compliant device."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from pdp.domain.compliance import Compliance
from pdp.domain.ids import SubjectId
from pdp.domain.session import Session
from pdp.settings import LifetimeSettings, SignInSettings
from pdp.store import factors, subjects
from pdp.usecases.authorize_change import ChangeRefused
from pdp.usecases.enrol_factor import (
    FactorEnrolled,
    NotConfirmed,
    PendingFactor,
    begin_enrolment,
    confirm_enrolment,
    renew_recovery_codes,
)
from pdp.usecases.second_factor import prove_factor
from pdp.usecases.sign_in import FactorProved, Refused
from tests.builders import NOW, a_limiter, a_session, a_subject, an_envelope

ADA = SubjectId("usr_ada")
LIFETIMES = LifetimeSettings()
SESSION = a_session(subject=ADA)
RAISED = replace(SESSION, acr="mfa")
LATER = timedelta(minutes=2)


class Account:
    """Ada's account page."""

    def __init__(self, database):
        self.database = database
        with database.write() as tx:
            subjects.create(tx, a_subject(id=ADA), password_hash="hash")

    def begin(self, session=SESSION, *, compliance=Compliance.COMPLIANT, now=NOW):
        with self.database.write() as tx:
            return begin_enrolment(
                tx,
                an_envelope(),
                session,
                compliance=compliance,
                lifetimes=LIFETIMES,
                issuer_name="Example: Pratique",
                now=now,
            )

    def confirm(self, code, session=SESSION, *, compliance=Compliance.COMPLIANT, now=NOW):
        with self.database.write() as tx:
            return confirm_enrolment(
                tx,
                an_envelope(),
                session,
                code=code,
                compliance=compliance,
                lifetimes=LIFETIMES,
                now=now,
            )

    def renew(self, session=SESSION, *, compliance=Compliance.COMPLIANT, now=NOW):
        with self.database.write() as tx:
            return renew_recovery_codes(
                tx, an_envelope(), session, compliance=compliance, lifetimes=LIFETIMES, now=now
            )

    def enrol(self):
        pending = self.begin()
        assert isinstance(pending, PendingFactor)
        enrolled = self.confirm(_code(pending))
        assert isinstance(enrolled, FactorEnrolled)
        return pending, enrolled

    def prove(self, code, now=NOW):
        with self.database.write() as tx:
            return prove_factor(
                tx,
                an_envelope(),
                a_limiter(),
                subject_id=ADA,
                code=code,
                address="192.0.2.1",
                limits=SignInSettings(),
                now=now,
            )

    @property
    def has_factor(self):
        with self.database.read() as tx:
            return subjects.get(tx, ADA).has_factor


def _code(pending, at=NOW):
    return pyotp.TOTP(pending.secret).at(at)


@pytest.fixture
def account(database):
    """The account page of a person without a factor."""
    return Account(database)


def test_a_factor_counts_once_a_right_code_confirmed_it(account):
    pending = account.begin()
    assert not account.has_factor
    assert isinstance(account.prove(_code(pending)), Refused)

    enrolled = account.confirm(_code(pending))

    assert len(enrolled.recovery_codes) == 10
    assert account.has_factor
    later = NOW + LATER
    assert isinstance(account.prove(_code(pending, later), later), FactorProved)


def test_the_code_that_confirms_is_spent(account):
    pending, _ = account.enrol()

    assert isinstance(account.prove(_code(pending)), Refused)


def test_a_wrong_code_confirms_nothing(account):
    account.begin()

    for code in ("", "000000x", "12345", "\ud800"):
        assert account.confirm(code) is NotConfirmed.WRONG_CODE
    assert not account.has_factor


def test_the_second_step_alone_leads_nowhere(account):
    assert account.confirm("123456") is NotConfirmed.NOTHING_PENDING


def test_confirming_twice_does_nothing_the_second_time(account):
    pending, _ = account.enrol()

    assert account.confirm(_code(pending), RAISED) is NotConfirmed.NOTHING_PENDING


def test_beginning_again_makes_the_first_secret_worthless(account):
    first = account.begin()
    second = account.begin()

    assert first.secret != second.secret
    assert account.confirm(_code(first)) is NotConfirmed.WRONG_CODE
    assert isinstance(account.confirm(_code(second)), FactorEnrolled)


REFUSED: dict[str, tuple[Session, dict[str, Any], ChangeRefused]] = {
    "stale sign-in": (SESSION, {"now": NOW + LIFETIMES.fresh_sign_in}, ChangeRefused.NOT_FRESH),
    "ended session": (replace(SESSION, ended_at=NOW), {}, ChangeRefused.NOT_FRESH),
    **{
        f"{status} device": (SESSION, {"compliance": status}, ChangeRefused.DEVICE_NOT_COMPLIANT)
        for status in Compliance
        if status is not Compliance.COMPLIANT
    },
}


def test_each_step_is_refused_by_itself(account):
    pending = account.begin()
    answers = {}

    for case, (session, given, _) in REFUSED.items():
        code = _code(pending, given.get("now", NOW))
        steps = (
            account.begin(session, **given),
            account.confirm(code, session, **given),
            account.renew(session, **given),
        )
        answers[case] = set(steps)

    assert answers == {case: {reason} for case, (_, _, reason) in REFUSED.items()}
    assert not account.has_factor


def test_a_password_alone_does_not_change_the_factor_of_who_has_one(account):
    pending, enrolled = account.enrol()

    assert account.begin(SESSION) is ChangeRefused.NEEDS_FACTOR
    assert account.confirm("123456", SESSION) is ChangeRefused.NEEDS_FACTOR
    assert account.renew(SESSION) is ChangeRefused.NEEDS_FACTOR
    later = NOW + LATER
    assert isinstance(account.prove(_code(pending, later), later), FactorProved)
    assert isinstance(account.prove(enrolled.recovery_codes[0]), FactorProved)


def test_the_old_factor_goes_on_counting_until_the_new_one_is_confirmed(account):
    old, _ = account.enrol()
    new = account.begin(RAISED)
    later = NOW + LATER

    assert isinstance(account.prove(_code(old, later), later), FactorProved)
    assert isinstance(account.confirm(_code(new), RAISED), FactorEnrolled)
    later += LATER
    assert isinstance(account.prove(_code(old, later), later), Refused)
    assert isinstance(account.prove(_code(new, later), later), FactorProved)


def test_recovery_codes_are_renewed_only_for_a_factor_that_exists(account):
    assert account.renew() is NotConfirmed.NOTHING_PENDING
    _, enrolled = account.enrol()

    renewed = account.renew(RAISED)

    assert set(renewed.recovery_codes).isdisjoint(enrolled.recovery_codes)
    with account.database.read() as tx:
        assert factors.count_codes(tx, ADA) == 10


def test_the_authenticator_gets_the_secret_and_whose_it_is(account):
    pending = account.begin()
    uri = urlsplit(pending.uri)

    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert parse_qs(uri.query) == {"secret": [pending.secret], "issuer": ["Example: Pratique"]}
    assert uri.path.endswith(":ada")


def test_the_image_is_an_svg_that_runs_and_loads_nothing(account):
    image = ET.fromstring(account.begin().image)  # noqa: S314  our own bytes

    assert image.tag == "{http://www.w3.org/2000/svg}svg"
    assert {element.tag.rpartition("}")[2] for element in image.iter()} <= {"svg", "path", "g"}


def test_secrets_do_not_show_in_a_repr(account):
    pending, enrolled = account.enrol()

    assert pending.secret not in repr(pending)
    assert enrolled.recovery_codes[0] not in repr(enrolled)
