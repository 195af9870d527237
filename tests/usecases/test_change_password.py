"""A person changes their password: fresh, knowing the present one, and alone afterwards."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pdp.clock import new_secret
from pdp.domain.access import Strength
from pdp.domain.ids import ClientId, GrantId, SubjectId
from pdp.domain.session import EndReason, Grant
from pdp.ephemeral.rate_limit import Limited
from pdp.settings import Settings
from pdp.store import clients, factors, grants, sessions, standings, subjects
from pdp.usecases.authorize_change import ChangeRefused, is_fresh
from pdp.usecases.change_password import PasswordChange, PasswordChanged, change_password
from pdp.usecases.passwords import PasswordRefused, Rule, Verdict
from pdp.usecases.sign_in import Refusal, Refused
from tests.builders import (
    NOW,
    CountingHasher,
    a_configuration,
    a_limiter,
    a_session,
    a_subject,
    cheap_passwords,
)
from tests.deployment import a_client

ADA = SubjectId("usr_ada")
OLD, NEW = "a lighthouse keeps its own hours", "the tide tables are never wrong"
SETTINGS = Settings(issuer="https://id.example.com")
HERE = a_session(id="ses_here", subject=ADA)
THERE = a_session(id="ses_there", subject=ADA)


class Account:
    """Ada's account page, seen from one of her two sessions."""

    def __init__(self, database):
        self.database = database
        self.limiter = a_limiter()
        self.hasher = CountingHasher()
        self.passwords = cheap_passwords(self.hasher)
        self.cookies = {HERE.id: new_secret(), THERE.id: new_secret()}
        with database.write() as tx:
            hashed = self.hasher.hash(OLD.encode())
            subjects.create(tx, a_subject(id=ADA, must_change_password=True), password_hash=hashed)
            for session in (HERE, THERE):
                sessions.create(tx, session, cookie=self.cookies[session.id])

    def change(self, new=NEW, *, current=OLD, session=HERE, now=NOW):
        return change_password(
            self.database,
            self.passwords,
            self.limiter,
            session=session,
            change=PasswordChange(current=current, new=new, address="192.0.2.1"),
            settings=SETTINGS,
            configuration=a_configuration(),
            now=now,
        )

    def give(self, *given):
        """Let a client have something from each of these sessions."""
        with self.database.write() as tx:
            clients.add(tx, a_client("wiki"), now=NOW)
            for session in given:
                grants.insert(tx, _grant_from(session))

    def is_revoked(self, session):
        with self.database.read() as tx:
            held = standings.held_grant(tx, _grant_from(session).id)
        assert held is not None
        return held.grant.revoked_at is not None

    def live(self, cookie):
        with self.database.read() as tx:
            found = sessions.find_live(tx, cookie, now=NOW)
        return None if found is None else found.session.id

    def credentials(self):
        with self.database.read() as tx:
            return subjects.credentials(tx, ADA)

    def is_password(self, text):
        return self.passwords.check(text, self.credentials().password_hash) is Verdict.RIGHT

    def audited(self):
        with self.database.engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT action FROM audit_events").all()
        return sorted(row.action for row in rows)


def _grant_from(session):
    return Grant(
        id=GrantId(f"grt_{session.id}"),
        subject=ADA,
        client=ClientId("wiki"),
        session=session.id,
        device=None,
        strength=Strength.NONE,
        scope=("openid", "offline_access"),
        acr="pwd",
        amr=("pwd",),
        auth_time=NOW,
        created_at=NOW,
        expires_at=NOW + timedelta(days=30),
    )


@pytest.fixture
def account(database):
    """The account page of a person who must change their password."""
    return Account(database)


def test_the_new_password_counts_and_the_old_one_no_more(account):
    before = account.credentials().subject

    assert isinstance(account.change(), PasswordChanged)

    assert account.is_password(NEW)
    assert not account.is_password(OLD)
    after = account.credentials().subject
    assert not after.must_change_password
    assert after.epoch > before.epoch


def test_the_other_sessions_end_and_this_one_goes_on_under_another_cookie(account):
    changed = account.change()

    assert changed.ended == (THERE.id,)
    assert account.live(account.cookies[THERE.id]) is None
    assert account.live(account.cookies[HERE.id]) is None
    assert account.live(changed.cookie) == HERE.id
    assert account.audited() == ["session.ended", "subject.password.changed"]


def test_what_other_sessions_gave_ends_and_what_this_one_gave_goes_on(account):
    left = a_session(id="ses_left", subject=ADA)
    with account.database.write() as tx:
        sessions.create(tx, left, cookie=new_secret())
    account.give(HERE, THERE, left)
    with account.database.write() as tx:
        sessions.end_session(tx, left.id, EndReason.SIGNED_OUT, NOW)

    assert isinstance(account.change(), PasswordChanged)

    assert [account.is_revoked(each) for each in (HERE, THERE, left)] == [False, True, True]


def test_a_sign_in_that_is_not_fresh_changes_nothing(account):
    late = NOW + SETTINGS.lifetimes.fresh_sign_in

    assert account.change(now=late) is ChangeRefused.NOT_FRESH
    assert account.is_password(OLD)


def test_who_has_a_factor_must_have_used_it(account):
    with account.database.write() as tx:
        factors.begin(tx, ADA, sealed="sealed")
        factors.confirm(tx, ADA, pending="sealed", sealed="sealed", step=1, now=NOW)

    assert account.change() is ChangeRefused.NEEDS_FACTOR
    assert isinstance(account.change(session=replace(HERE, acr="mfa")), PasswordChanged)


def test_a_wrong_present_password_is_refused_and_limited(account):
    answers = [account.change(current="wrong") for _ in range(7)]

    assert answers[:5] == [Refused(Refusal.WRONG_PASSWORD)] * 5
    assert all(isinstance(answer, Limited) for answer in answers[5:])
    assert isinstance(account.change(), Limited)
    assert account.audited() == ["subject.sign-in.failed"] * 5


@pytest.mark.parametrize(
    ("new", "rule"),
    [
        pytest.param(OLD, Rule.UNCHANGED, id="the same again"),
        pytest.param("short", Rule.TOO_SHORT, id="short"),
        pytest.param("Ada@Example.ORG", Rule.NAMES_THE_ACCOUNT, id="the address"),
        pytest.param("ADA LOVELACE", Rule.NAMES_THE_ACCOUNT, id="the name"),
    ],
)
def test_a_new_password_that_breaks_a_rule_changes_nothing(account, new, rule):
    assert account.change(new) == PasswordRefused(rule, 12)
    assert account.live(account.cookies[THERE.id]) == THERE.id


def test_a_session_that_ended_meanwhile_changes_nothing(account):
    with account.database.write() as tx:
        sessions.end_session(tx, HERE.id, EndReason.REVOKED, NOW)

    assert account.change() == Refused(Refusal.CHANGED_MEANWHILE)
    assert account.is_password(OLD)


def test_a_person_disabled_meanwhile_changes_nothing(account):
    with account.database.write() as tx:
        subjects.disable(tx, ADA, now=NOW)

    assert account.change() == Refused(Refusal.CHANGED_MEANWHILE)
    assert account.is_password(OLD)


class _InterruptedHasher(CountingHasher):
    """Argon2 during whose work, once it is told so, something else happens."""

    def __init__(self):
        super().__init__()
        self.meanwhile = lambda: None

    def hash(self, password):
        self.meanwhile()
        return super().hash(password)


def test_a_password_reset_meanwhile_stays(account):
    def reset():
        with account.database.write() as tx:
            subjects.set_password(tx, ADA, "reset", must_change=True, now=NOW)

    hasher = _InterruptedHasher()
    account.passwords = cheap_passwords(hasher)
    hasher.meanwhile = reset

    assert account.change() == Refused(Refusal.CHANGED_MEANWHILE)
    assert account.credentials().password_hash == "reset"


@pytest.mark.parametrize(
    ("session", "age", "fresh"),
    [
        pytest.param(HERE, timedelta(0), True, id="just now"),
        pytest.param(HERE, timedelta(minutes=5, microseconds=-1), True, id="almost too old"),
        pytest.param(HERE, timedelta(minutes=5), False, id="too old"),
        pytest.param(replace(HERE, ended_at=NOW), timedelta(0), False, id="ended"),
        pytest.param(replace(HERE, expires_at=NOW), timedelta(0), False, id="over"),
    ],
)
def test_a_session_is_fresh_for_a_while_after_its_sign_in(session, age, fresh):
    assert is_fresh(session, NOW + age, SETTINGS.lifetimes) is fresh


def test_passwords_do_not_show_in_a_repr():
    typed = repr(PasswordChange(current=OLD, new=NEW, address="192.0.2.1"))

    assert OLD not in typed
    assert NEW not in typed
