"""Sign-in: equal answers and equal work for all, limits that cannot be added up, fresh cookies."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import argon2
import pyotp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp import logs
from pdp.domain.access import Strength
from pdp.domain.errors import InvalidTransition
from pdp.domain.ids import SubjectId
from pdp.domain.session import EndReason
from pdp.ephemeral.rate_limit import Limited
from pdp.settings import LifetimeSettings, SignInSettings
from pdp.store import factors, sessions, subjects
from pdp.usecases.passwords import Busy, Passwords
from pdp.usecases.second_factor import prove_factor, secret_place
from pdp.usecases.sign_in import (
    Arrival,
    FactorProved,
    Method,
    Refusal,
    Refused,
    SignedIn,
    StartedSession,
    check_password,
    renew_session,
    start_session,
    step_up_session,
)
from tests.builders import (
    NOW,
    CountingHasher,
    a_limiter,
    a_subject,
    an_envelope,
    cheap_passwords,
)

ADA = SubjectId("usr_ada")
GOOD = "a lighthouse keeps its own hours"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
#: Without Redis a process allows half: five for an account, fifty for an address.
LIMITS = SignInSettings(attempts=10, attempts_per_address=100)
LIFETIMES = LifetimeSettings()
ARRIVAL = Arrival(device=None, strength=Strength.NONE, address="192.0.2.1")


class Door:
    """One process, just started, that people sign in to; Ada is in its database."""

    def __init__(self, database):
        self.database = database
        self.hasher = CountingHasher()
        self.passwords = cheap_passwords(self.hasher)
        self.limiter = a_limiter()
        with database.write() as tx:
            if subjects.find(tx, "ada") is None:
                hashed = self.hasher.hash(GOOD.encode())
                subjects.create(tx, a_subject(id=ADA), password_hash=hashed)

    def try_password(self, password=GOOD, *, username="ada", address="192.0.2.1", now=NOW):
        return check_password(
            self.database,
            self.passwords,
            self.limiter,
            username=username,
            password=password,
            address=address,
            limits=LIMITS,
            now=now,
        )

    def try_code(self, code, *, address="192.0.2.1", now=NOW):
        with self.database.write() as tx:
            return prove_factor(
                tx,
                an_envelope(),
                self.limiter,
                subject_id=ADA,
                code=code,
                address=address,
                limits=LIMITS,
                now=now,
            )

    def start(self, signed_in, *, now=NOW):
        with self.database.write() as tx:
            return start_session(tx, signed_in, ARRIVAL, lifetimes=LIFETIMES, now=now)

    def give_factor(self):
        sealed = an_envelope().seal(SECRET, place=secret_place(ADA))
        with self.database.write() as tx:
            factors.begin(tx, ADA, sealed=sealed)
            factors.confirm(tx, ADA, pending=sealed, sealed=sealed, step=0, now=NOW)

    def session_of(self, cookie):
        with self.database.read() as tx:
            live = sessions.find_live(tx, cookie, now=NOW)
        return None if live is None else live.session

    def audit(self):
        with self.database.engine.connect() as connection:
            return connection.exec_driver_sql(
                "SELECT actor, action, object_id, detail FROM audit_events ORDER BY at, id"
            ).all()


@pytest.fixture
def door(database):
    """A door of a fresh process."""
    return Door(database)


def test_the_right_password_opens_whatever_the_case_of_the_name(door):
    for username in ("ada", "ADA", " Ada "):
        answer = door.try_password(username=username)
        assert isinstance(answer, SignedIn)
        assert answer.subject.id == ADA


REFUSED = {
    "wrong password": ("ada", "wrong", Refusal.WRONG_PASSWORD),
    "empty password": ("ada", "", Refusal.WRONG_PASSWORD),
    "oversized password": ("ada", "x" * 5000, Refusal.WRONG_PASSWORD),
    "odd password": ("ada", "\0\ud800", Refusal.WRONG_PASSWORD),
    "unknown name": ("bob", GOOD, Refusal.UNKNOWN_USER),
    "empty name": ("", GOOD, Refusal.UNKNOWN_USER),
    "oversized name": ("a" * 100_000, GOOD, Refusal.UNKNOWN_USER),
    "NUL": ("ada\0", GOOD, Refusal.UNKNOWN_USER),
    "CR LF": ("ada\r\nforged", GOOD, Refusal.UNKNOWN_USER),
    "ANSI": ("\x1b[31mada", GOOD, Refusal.UNKNOWN_USER),
    "RTL override": ("ada\u202e", GOOD, Refusal.UNKNOWN_USER),
    "lone surrogate": ("\ud800", GOOD, Refusal.UNKNOWN_USER),
    "SQL": ("' OR 1=1 --", GOOD, Refusal.UNKNOWN_USER),
}


def test_everything_else_is_refused(door):
    answers = {
        case: door.try_password(password, username=username)
        for case, (username, password, _) in REFUSED.items()
    }

    assert answers == {case: Refused(reason) for case, (_, _, reason) in REFUSED.items()}


def test_a_disabled_person_is_refused_with_the_right_password(door):
    with door.database.write() as tx:
        subjects.disable(tx, ADA, now=NOW)

    assert door.try_password() == Refused(Refusal.DISABLED)


@pytest.mark.parametrize("username", ["ada", "bob", "ada\0"])
def test_known_and_unknown_names_cost_the_same_work(door, username):
    before = door.hasher.verified

    door.try_password("wrong", username=username)

    assert door.hasher.verified - before == 1


@pytest.mark.parametrize("username", ["ada", "bob"])
def test_known_and_unknown_names_are_limited_alike(door, username):
    answers = [door.try_password("wrong", username=username) for _ in range(8)]

    assert [isinstance(answer, Limited) for answer in answers] == [False] * 5 + [True] * 3


def test_at_the_limit_the_right_password_waits_too_and_nothing_is_hashed(door):
    for _ in range(5):
        door.try_password("wrong")
    before = door.hasher.verified

    assert isinstance(door.try_password(), Limited)
    assert door.hasher.verified == before
    assert isinstance(door.try_password(now=NOW + LIMITS.window), SignedIn)


def test_right_passwords_are_never_limited(door):
    assert all(isinstance(door.try_password(), SignedIn) for _ in range(60))


def test_one_address_is_limited_over_many_names(door):
    answers = [door.try_password("wrong", username=f"user{n}") for n in range(60)]

    assert sum(not isinstance(answer, Limited) for answer in answers) == 50
    assert isinstance(door.try_password(address="192.0.2.2"), SignedIn)


ACCOUNT, ADDRESS = ({"limit": "account"}, {"limit": "address"})


@pytest.mark.parametrize(
    ("names", "noted"),
    [
        (["ada"], ACCOUNT | {"subject": ADA}),
        (["bob"], ACCOUNT),
        ([*(f"user{n}" for n in range(50)), "ada"], ADDRESS | {"subject": ADA}),
        ([*(f"user{n}" for n in range(50)), "bob"], ADDRESS),
    ],
    ids=["account", "no account", "address", "address and no account"],
)
def test_which_limit_was_reached_is_noted_and_the_name_that_was_typed_is_not(door, names, noted):
    logs.begin_request("req_1")
    for name in [*names, *names[-1:] * 5]:
        assert logs.noted() == {}
        if isinstance(door.try_password("wrong", username=name), Limited):
            break

    assert logs.noted() == noted


def test_guesses_made_at_the_same_time_do_not_slip_past_the_limit(door):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: door.try_password("wrong"), range(32)))

    assert sum(not isinstance(answer, Limited) for answer in answers) == 5


CHANNELS = {
    "password": lambda door, address: door.try_password("wrong", address=address),
    "totp": lambda door, address: door.try_code("000000", address=address),
    "recovery code": lambda door, address: door.try_code("0" * 16, address=address),
    "right password": lambda door, address: door.try_password(address=address),
}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tries=st.lists(
        st.tuples(st.sampled_from(sorted(CHANNELS)), st.sampled_from(["192.0.2.1", "2001:db8::1"])),
        min_size=6,
        max_size=20,
    )
)
def test_no_mix_of_wrong_attempts_gets_more_tries_than_the_limit(database, tries):
    door = Door(database)

    answers = [CHANNELS[channel](door, address) for channel, address in tries]

    # A right password between them gives none back (CVE-2026-16103).
    wrong = sum(channel != "right password" for channel, _ in tries)
    assert sum(isinstance(answer, Refused) for answer in answers) == min(5, wrong)


@pytest.mark.parametrize(
    ("first", "second", "is_shared"),
    [
        pytest.param("2001:db8::1", "2001:db8::ffff", True, id="one /64"),
        pytest.param("2001:db8::1", "2001:db8:0:1::1", False, id="another /64"),
        pytest.param("192.0.2.1", "::ffff:192.0.2.1", True, id="IPv4 written as IPv6"),
        pytest.param("", "not an address", True, id="no address"),
    ],
)
def test_addresses_of_one_line_count_as_one(door, first, second, is_shared):
    for n in range(50):
        door.try_password("wrong", username=f"user{n}", address=first)

    assert isinstance(door.try_password(address=second), Limited) is is_shared


class _OccupiedHasher(CountingHasher):
    """Argon2 during whose work somebody else comes to the door."""

    def __init__(self, meanwhile):
        super().__init__()
        self.meanwhile = meanwhile
        self.answers = []

    def verify(self, hash, password):  # noqa: A002  argon2's name
        self.answers = [self.meanwhile() for _ in range(20)]
        return super().verify(hash, password)


def test_a_busy_process_says_so_and_counts_nothing(door):
    hasher = _OccupiedHasher(lambda: door.try_password("wrong"))
    door.passwords = Passwords(concurrency=1, wait=timedelta(0), hasher=hasher)

    assert isinstance(door.try_password(), SignedIn)
    assert all(isinstance(answer, Busy) for answer in hasher.answers)


def test_a_sign_in_brings_an_old_hash_up_to_date(door):
    older = argon2.PasswordHasher(time_cost=1, memory_cost=16, parallelism=1)
    with door.database.write() as tx:
        subjects.set_password(tx, ADA, older.hash(GOOD), must_change=False, now=NOW)

    assert isinstance(door.try_password(), SignedIn)

    with door.database.read() as tx:
        stored = subjects.credentials(tx, ADA).password_hash
    assert not door.hasher.check_needs_rehash(stored)
    assert isinstance(door.try_password(), SignedIn)


def test_failures_are_recorded_without_what_was_typed(door):
    door.try_password("wrong-secret", username="my-password-by-mistake")
    door.try_password("wrong-secret")

    rows = door.audit()
    assert sorted((row.actor, row.action, row.object_id) for row in rows) == [
        ("anonymous", "subject.sign-in.failed", "unknown"),
        (ADA, "subject.sign-in.failed", ADA),
    ]
    assert not [row for row in rows if "wrong-secret" in str(row) or "mistake" in str(row)]


def test_a_session_starts_at_the_level_of_a_password(door):
    started = door.start(door.try_password())

    assert isinstance(started, StartedSession)
    session = started.session
    assert (session.acr, session.amr, session.auth_time) == ("pwd", ("pwd",), NOW)
    assert session.expires_at == NOW + LIFETIMES.session
    assert door.session_of(started.cookie) == session
    [row] = door.audit()
    assert row.action == "subject.sign-in.succeeded"
    assert json.loads(row.detail)["session"] == session.id
    assert started.cookie not in str(row)


def test_each_sign_in_gets_a_session_and_cookie_of_its_own(door):
    first, second = (door.start(door.try_password()) for _ in range(2))

    assert first.session.id != second.session.id
    assert first.cookie != second.cookie


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            lambda tx: subjects.disable(tx, ADA, now=NOW), Refusal.DISABLED, id="disabled"
        ),
        pytest.param(
            lambda tx: subjects.set_password(
                tx, ADA, "other", must_change=True, now=NOW + timedelta(seconds=1)
            ),
            Refusal.CHANGED_MEANWHILE,
            id="password reset",
        ),
    ],
)
def test_no_session_starts_when_the_account_changed_after_the_check(door, change, reason):
    signed_in = door.try_password()
    with door.database.write() as tx:
        change(tx)

    assert door.start(signed_in) == Refused(reason)
    with door.database.read() as tx:
        assert sessions.list_live(tx, now=NOW) == []


def test_step_up_raises_the_session_under_another_cookie(door):
    door.give_factor()
    started = door.start(door.try_password())
    later = NOW + timedelta(hours=1)

    proved = door.try_code(pyotp.TOTP(SECRET).at(later), now=later)
    with door.database.write() as tx:
        raised = step_up_session(tx, started.session, proved, now=later)

    assert raised is not None
    assert raised.session.id == started.session.id
    assert (raised.session.acr, raised.session.auth_time) == ("mfa", later)
    assert raised.session.amr == ("pwd", "otp", "mfa")
    assert door.session_of(started.cookie) is None
    assert door.session_of(raised.cookie) == raised.session


def test_no_session_of_an_old_password_survives_a_reset_at_the_same_moment(door):
    def reset(now):
        with door.database.write() as tx:
            subjects.set_password(tx, ADA, str(now), must_change=True, now=now)
            for session_id in sessions.open_sessions_of_subject(tx, ADA):
                sessions.end_session(tx, session_id, EndReason.PASSWORD_CHANGED, now)

    with ThreadPoolExecutor(8) as pool:
        for minute in range(1, 11):
            with door.database.read() as tx:
                checked = SignedIn(subjects.get(tx, ADA))
            starts = [pool.submit(door.start, checked) for _ in range(6)]
            pool.submit(reset, NOW + timedelta(minutes=minute)).result()
            answers = [start.result() for start in starts]
            with door.database.read() as tx:
                assert sessions.list_live(tx, now=NOW) == [], answers


def test_a_renewed_session_says_the_password_and_no_more(door):
    started = door.start(door.try_password())
    raised = replace(started.session, acr="mfa", amr=("pwd", "otp", "mfa"))
    later = NOW + timedelta(hours=1)
    checked = door.try_password(now=later)

    with door.database.write() as tx:
        renewed = renew_session(tx, raised, checked, now=later)

    assert renewed is not None
    assert renewed.session == replace(started.session, auth_time=later)
    assert door.session_of(started.cookie) is None
    assert door.session_of(renewed.cookie) == renewed.session


def test_a_password_renews_no_session_of_somebody_else_and_none_after_a_change(door):
    session = door.start(door.try_password()).session
    ada = door.try_password()
    bob = SignedIn(a_subject(id=SubjectId("usr_bob")))

    with door.database.write() as tx:
        assert renew_session(tx, session, bob, now=NOW) is None
        subjects.set_password(tx, ADA, "x", must_change=True, now=NOW + timedelta(seconds=1))
        assert renew_session(tx, session, ada, now=NOW) is None


def test_a_factor_raises_no_session_of_somebody_else(door):
    started = door.start(door.try_password())
    foreign = FactorProved(SubjectId("usr_bob"), Method.TOTP)

    with door.database.write() as tx, pytest.raises(InvalidTransition):
        step_up_session(tx, started.session, foreign, now=NOW)


def test_an_ended_session_is_not_raised(door):
    started = door.start(door.try_password())
    proved = FactorProved(ADA, Method.TOTP)

    with door.database.write() as tx:
        sessions.end_session(tx, started.session.id, EndReason.REVOKED, NOW)
        assert step_up_session(tx, started.session, proved, now=NOW) is None
