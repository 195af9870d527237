"""TOTP and recovery codes: each counts once, for one person, near its time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyotp
import pytest

from pdp.domain.ids import SubjectId
from pdp.settings import SignInSettings
from pdp.store import factors, subjects
from pdp.store.envelope import CannotOpen, Envelope
from pdp.usecases.second_factor import issue_recovery_codes, prove_factor, secret_place
from pdp.usecases.sign_in import FactorProved, Method, Refusal, Refused
from tests.builders import NOW, a_limiter, a_subject, an_envelope

ADA, BOB = SubjectId("usr_ada"), SubjectId("usr_bob")
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
STEP = timedelta(seconds=30)
GENEROUS = SignInSettings(attempts=1000, attempts_per_address=1000)


@pytest.fixture
def factor(database):
    """A database in which Ada and Bob have the same TOTP secret, confirmed long ago."""
    with database.write() as tx:
        for subject_id, name in ((ADA, "ada"), (BOB, "bob")):
            subjects.create(tx, a_subject(id=subject_id, username=name), password_hash="hash")
            sealed = an_envelope().seal(SECRET, place=secret_place(subject_id))
            factors.begin(tx, subject_id, sealed=sealed)
            factors.confirm(tx, subject_id, pending=sealed, sealed=sealed, step=0, now=NOW)
    return database


def _prove(database, code, *, subject=ADA, now=NOW, envelope=None, limiter=None):
    with database.write() as tx:
        return prove_factor(
            tx,
            envelope or an_envelope(),
            limiter or a_limiter(),
            subject_id=subject,
            code=code,
            address="192.0.2.1",
            limits=GENEROUS,
            now=now,
        )


def _code(at=NOW):
    return pyotp.TOTP(SECRET).at(at)


def _recovery_codes(database):
    with database.write() as tx:
        return issue_recovery_codes(tx, an_envelope(), ADA)


TOTP_PROVED = FactorProved(ADA, Method.TOTP)
RECOVERED = FactorProved(ADA, Method.RECOVERY_CODE)


@pytest.mark.parametrize(
    ("skew", "answer"),
    [
        (-2, Refused(Refusal.WRONG_CODE)),
        (-1, TOTP_PROVED),
        (0, TOTP_PROVED),
        (1, TOTP_PROVED),
        (2, Refused(Refusal.WRONG_CODE)),
    ],
)
def test_a_code_counts_within_one_step_of_its_time(factor, skew, answer):
    assert _prove(factor, _code(NOW + skew * STEP)) == answer


def test_a_code_may_be_typed_in_two_groups(factor):
    code = _code()

    assert _prove(factor, f" {code[:3]} {code[3:]}\n") == TOTP_PROVED


def test_a_code_counts_once(factor):
    assert _prove(factor, _code()) == TOTP_PROVED
    assert _prove(factor, _code()) == Refused(Refusal.USED_CODE)
    assert _prove(factor, _code(NOW - STEP)) == Refused(Refusal.USED_CODE)
    assert _prove(factor, _code(NOW + STEP), now=NOW + STEP) == TOTP_PROVED


def test_of_one_totp_code_used_32_times_at_once_one_counts(factor):
    code = _code()

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: _prove(factor, code), range(32)))

    assert answers.count(TOTP_PROVED) == 1
    assert answers.count(Refused(Refusal.USED_CODE)) == 31


NO_CODES = (
    "",
    "0",
    "00000",
    "0000000",
    "-----",
    "abcdef",
    "\uff11\uff12\uff13\uff14\uff15\uff16",
    "\u0661\u0662\u0663\u0664\u0665\u0666",
    "\0" * 6,
    "\ud800" * 6,
    "' OR 1=1",
    "9" * 100_000,
)


def test_what_is_no_code_is_wrong(factor):
    answers = [_prove(factor, code) for code in NO_CODES]

    assert answers == [Refused(Refusal.WRONG_CODE)] * len(NO_CODES)


def test_who_has_no_factor_proves_none(database):
    with database.write() as tx:
        subjects.create(tx, a_subject(id=ADA), password_hash="hash")

    assert _prove(database, "123456") == Refused(Refusal.NO_FACTOR)
    assert _prove(database, "0" * 16) == Refused(Refusal.WRONG_CODE)
    assert _prove(database, "123456", subject=SubjectId("usr_none")) == Refused(Refusal.NO_FACTOR)


def test_a_disabled_person_proves_nothing(factor):
    [code, *_] = _recovery_codes(factor)
    with factor.write() as tx:
        subjects.disable(tx, ADA, now=NOW)

    assert _prove(factor, _code()) == Refused(Refusal.NO_FACTOR)
    assert _prove(factor, code) == Refused(Refusal.WRONG_CODE)


def test_a_secret_moved_to_another_person_does_not_open(factor):
    with factor.write() as tx:
        sealed = an_envelope().seal(SECRET, place=secret_place(ADA))
        factors.begin(tx, BOB, sealed=sealed)
        factors.confirm(tx, BOB, pending=sealed, sealed=sealed, step=0, now=NOW)

    with pytest.raises(CannotOpen):
        _prove(factor, _code(), subject=BOB)


def test_ten_recovery_codes_of_80_bits_come_in_groups(factor):
    codes = _recovery_codes(factor)

    assert len(set(codes)) == 10
    assert all([len(group) for group in code.split("-")] == [4, 4, 4, 4] for code in codes)


def test_a_recovery_code_counts_once_however_it_is_typed(factor):
    first, second, *_ = _recovery_codes(factor)
    misread = second.replace("0", "O").replace("1", "l").replace("-", " ").upper()

    assert _prove(factor, first) == RECOVERED
    assert _prove(factor, first) == Refused(Refusal.WRONG_CODE)
    assert _prove(factor, misread) == RECOVERED
    with factor.read() as tx:
        assert factors.count_codes(tx, ADA) == 8


def test_of_one_recovery_code_used_32_times_at_once_one_counts(factor):
    [code, *_] = _recovery_codes(factor)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: _prove(factor, code), range(32)))

    assert answers.count(RECOVERED) == 1


def test_a_recovery_code_is_good_for_nobody_else(factor):
    [code, *_] = _recovery_codes(factor)

    assert _prove(factor, code, subject=BOB) == Refused(Refusal.WRONG_CODE)
    assert _prove(factor, code, envelope=Envelope(b"x" * 32)) == Refused(Refusal.WRONG_CODE)
    assert _prove(factor, code) == RECOVERED


def test_new_recovery_codes_replace_all_old_ones(factor):
    old = _recovery_codes(factor)
    new = _recovery_codes(factor)

    assert all(_prove(factor, code) == Refused(Refusal.WRONG_CODE) for code in old)
    assert all(_prove(factor, code) == RECOVERED for code in new)


def test_the_database_holds_no_code_and_no_secret(factor):
    codes = _recovery_codes(factor)

    with factor.engine.connect() as connection:
        stored = str(connection.exec_driver_sql("SELECT * FROM recovery_codes").all())
        stored += str(connection.exec_driver_sql("SELECT * FROM subjects").all())

    assert SECRET not in stored
    assert not [code for code in codes if code in stored or code.replace("-", "") in stored]


def test_wrong_codes_are_recorded_without_the_code(factor):
    _prove(factor, "271828182845904a")

    with factor.engine.connect() as connection:
        [row] = connection.exec_driver_sql("SELECT action, detail FROM audit_events").all()
    assert row.action == "subject.sign-in.failed"
    assert "recovery-code" in row.detail
    assert "271828" not in row.detail
