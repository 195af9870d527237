"""What administrators do to accounts: at once, in one transaction, with their name to it."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from pdp.clock import new_secret
from pdp.domain.access import Strength
from pdp.domain.client import Client
from pdp.domain.errors import Conflict, NotFound
from pdp.domain.ids import ClientId, GrantId, SubjectId
from pdp.domain.session import EndReason, Grant
from pdp.domain.subject import FieldRefused
from pdp.store import clients, factors, grants, sessions, standings, subjects
from pdp.usecases import accounts
from pdp.usecases.accounts import Person
from pdp.usecases.passwords import NewPassword
from pdp.usecases.second_factor import issue_recovery_codes
from tests.builders import NOW, a_configuration, a_session, an_envelope

ROOT = "cli:root"
PASSWORD = NewPassword("hash", must_change=False)
SHOP = Client(id=ClientId("shop"), name="Shop", backchannel_logout_uri="https://shop.test/logout")


class Office:
    """Where accounts are administered."""

    def __init__(self, database):
        self.database = database

    def create(self, person=None, password=PASSWORD):
        with self.database.write() as tx:
            person = person or Person(username="ada")
            return accounts.create_user(tx, person, password, actor=ROOT, now=NOW)

    def do(self, verb, subject_id, *given, **named):
        with self.database.write() as tx:
            return verb(tx, subject_id, *given, actor=ROOT, now=NOW, **named)

    def get(self, subject_id):
        with self.database.read() as tx:
            return subjects.get(tx, subject_id)

    def let_in(self, subject_id):
        """Give a person a session, and from it a grant to a relying party."""
        session = a_session(subject=subject_id)
        grant = Grant(
            id=GrantId("grt_1"),
            subject=subject_id,
            client=SHOP.id,
            session=session.id,
            device=None,
            strength=Strength.NONE,
            scope=("openid",),
            acr="pwd",
            amr=("pwd",),
            auth_time=NOW,
            created_at=NOW,
            expires_at=NOW + timedelta(days=30),
        )
        with self.database.write() as tx:
            clients.add(tx, SHOP, now=NOW)
            sessions.create(tx, session, cookie=new_secret())
            grants.insert(tx, grant)
        return session

    def grant(self):
        with self.database.read() as tx:
            found = standings.held_grant(tx, GrantId("grt_1"))
        assert found is not None
        return found.grant

    def rows(self, table):
        with self.database.engine.connect() as connection:
            return connection.exec_driver_sql(f"SELECT * FROM {table}").all()  # noqa: S608  names are ours

    def audited(self):
        return {row.action: json.loads(row.detail) for row in self.rows("audit_events")}


@pytest.fixture
def office(database):
    """An office with an empty card index."""
    return Office(database)


def test_an_account_is_opened_under_its_one_spelling(office):
    person = Person(username=" ADA ", name="Ada", email="a@x.org", groups=frozenset({"staff"}))

    created = office.create(person, NewPassword("hash", must_change=True))

    assert created == office.get(created.id)
    assert (created.username, created.must_change_password) == ("ada", True)
    assert office.audited() == {"subject.created": {"username": "ada", "groups": ["staff"]}}
    assert "hash" not in str(office.rows("audit_events"))


def test_of_many_who_open_the_same_account_at_once_one_does(office):
    def attempt(_):
        try:
            return office.create()
        except Conflict as conflict:
            return str(conflict)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, range(16)))

    assert answers.count("user 'ada' exists already") == 15


REFUSED = {
    "username": Person(username="ada\r\nforged"),
    "name": Person(username="ada", name="Ada\x1b[31m"),
    "email": Person(username="ada", email="nobody"),
    "group": Person(username="ada", groups=frozenset({"two words"})),
}


def test_names_that_cannot_be_stored_are_refused_by_field(office):
    for field, person in REFUSED.items():
        refused = office.create(person)
        assert isinstance(refused, FieldRefused)
        assert refused.field == field

    assert office.rows("subjects") == []
    assert office.rows("audit_events") == []


ENDING = {
    "disable": (
        lambda office, who: office.do(accounts.disable_user, who, a_configuration(SHOP)),
        "subject.disabled",
        EndReason.SUBJECT_DISABLED,
    ),
    "reset password": (
        lambda office, who: office.do(
            accounts.reset_password, who, PASSWORD, a_configuration(SHOP)
        ),
        "subject.password.reset",
        EndReason.PASSWORD_CHANGED,
    ),
    "reset factor": (
        lambda office, who: office.do(accounts.reset_factor, who, a_configuration(SHOP)),
        "subject.factor.reset",
        EndReason.FACTOR_RESET,
    ),
}


@pytest.mark.parametrize(("change", "action", "reason"), ENDING.values(), ids=ENDING)
def test_taking_trust_away_ends_sessions_and_grants_and_tells_relying_parties(
    office, change, action, reason
):
    ada = office.create()
    session = office.let_in(ada.id)

    assert change(office, ada.id) == (session.id,)

    with office.database.read() as tx:
        assert sessions.get(tx, session.id) == session.ended(NOW, reason)
    assert office.grant().revoked_at == NOW
    assert [row.type for row in office.rows("jobs")] == ["deliver-logout"]
    assert office.audited().keys() == {"subject.created", "session.ended", action}
    assert office.get(ada.id).epoch > ada.epoch or action == "subject.factor.reset"


def test_a_grant_that_outlived_its_session_is_revoked_too(office):
    ada = office.create()
    session = office.let_in(ada.id)
    with office.database.write() as tx:
        sessions.end_session(tx, session.id, EndReason.SIGNED_OUT, NOW)

    assert office.do(accounts.disable_user, ada.id, a_configuration()) == ()

    assert office.grant().revoked_at == NOW


def test_disabling_twice_is_no_error_and_recorded_once(office):
    ada = office.create()

    for _ in range(2):
        office.do(accounts.disable_user, ada.id, a_configuration())

    assert len(office.rows("audit_events")) == 2
    assert office.get(ada.id).is_disabled


def test_enabling_brings_no_session_back(office):
    ada = office.create()
    office.let_in(ada.id)
    office.do(accounts.disable_user, ada.id, a_configuration())

    assert office.do(accounts.enable_user, ada.id)
    assert not office.do(accounts.enable_user, ada.id)

    with office.database.read() as tx:
        assert sessions.list_live_of_subject(tx, ada.id, now=NOW) == []


def test_a_reset_takes_secret_and_recovery_codes_away(office):
    ada = office.create()
    with office.database.write() as tx:
        factors.begin(tx, ada.id, sealed="sealed")
        factors.confirm(tx, ada.id, pending="sealed", sealed="sealed", step=1, now=NOW)
        issue_recovery_codes(tx, an_envelope(), ada.id)
    assert office.get(ada.id).has_factor

    office.do(accounts.reset_factor, ada.id, a_configuration())

    assert not office.get(ada.id).has_factor
    assert office.rows("recovery_codes") == []
    assert office.audited()["subject.factor.reset"] == {"had_factor": True}


def test_groups_are_added_and_removed_and_the_difference_is_recorded(office):
    ada = office.create(Person(username="ada", groups=frozenset({"staff"})))

    assert office.do(accounts.add_groups, ada.id, frozenset({"pdp-admins", "staff"}))
    assert office.do(accounts.remove_groups, ada.id, frozenset({"staff", "none"}))
    assert not office.do(accounts.remove_groups, ada.id, frozenset({"none"}))
    refused = office.do(accounts.add_groups, ada.id, frozenset({"two words"}))

    assert isinstance(refused, FieldRefused)
    assert office.get(ada.id).groups == {"pdp-admins"}
    changes = [row for row in office.rows("audit_events") if "groups.changed" in row.action]
    assert sorted(row.detail for row in changes) == [
        '{"added":["pdp-admins"],"removed":[]}',
        '{"added":[],"removed":["staff"]}',
    ]


def test_groups_given_at_the_same_time_are_all_kept(office):
    ada = office.create()

    with ThreadPoolExecutor(8) as pool:
        given = [frozenset({f"team-{n}"}) for n in range(16)]
        list(pool.map(lambda groups: office.do(accounts.add_groups, ada.id, groups), given))

    after = office.get(ada.id)
    assert after == replace(ada, groups=frozenset().union(*given), epoch=after.epoch)
    assert after.epoch > ada.epoch


def test_break_glass_is_recorded_with_who_set_it(office):
    ada = office.create()

    assert office.do(accounts.set_break_glass, ada.id, flagged=True)
    assert not office.do(accounts.set_break_glass, ada.id, flagged=True)

    assert office.get(ada.id).break_glass
    [row] = [row for row in office.rows("audit_events") if "break-glass" in row.action]
    assert (row.actor, row.detail) == (ROOT, '{"break_glass":true}')


NOBODY = SubjectId("usr_none")


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        (accounts.disable_user, (a_configuration(),)),
        (accounts.enable_user, ()),
        (accounts.reset_password, (PASSWORD, a_configuration())),
        (accounts.reset_factor, (a_configuration(),)),
        (accounts.add_groups, (frozenset({"staff"}),)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_nothing_is_done_to_who_does_not_exist(office, verb, given):
    with pytest.raises(NotFound, match="no user 'usr_none'"):
        office.do(verb, NOBODY, *given)

    assert office.rows("audit_events") == []


def test_a_change_that_fails_leaves_no_audit_row(office):
    ada = office.create()

    def flag_and_fail(tx, subject_id, *, actor, now):
        accounts.set_break_glass(tx, subject_id, flagged=True, actor=actor, now=now)
        raise NotFound("session", "ses_none")

    with pytest.raises(NotFound):
        office.do(flag_and_fail, ada.id)

    assert office.audited().keys() == {"subject.created"}
    assert not office.get(ada.id).break_glass
