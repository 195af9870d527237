"""Browser sessions: exactly the cookie of a live session of an open account finds one."""

import string
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from pdp.clock import new_secret
from pdp.domain.ids import SessionId, SubjectId
from pdp.domain.session import EndReason
from pdp.store import sessions, subjects
from tests.builders import NOW, a_session, a_subject
from tests.cookie_mutations import malformed_cookies

ADA = SubjectId("usr_ada")
IDLE = timedelta(hours=8)


def _keep(database, *kept):
    """Keep people, and sessions each with its cookie."""
    with database.write() as tx:
        for thing in kept:
            if isinstance(thing, tuple):
                session, cookie = thing
                sessions.create(tx, session, cookie=cookie)
            else:
                subjects.create(tx, thing, password_hash="$argon2id$none")


def _find(database, cookie, now=NOW):
    with database.read() as tx:
        found = sessions.find_live(tx, cookie, now=now)
    return None if found is None else found.session


def test_a_cookie_finds_its_session(database):
    session, cookie = a_session(subject=ADA), new_secret()
    _keep(database, a_subject(id=ADA), (session, cookie))

    assert _find(database, cookie) == session


def test_no_malformed_oversized_or_foreign_cookie_finds_a_session(database):
    cookie = new_secret()
    _keep(database, a_subject(id=ADA), (a_session(subject=ADA), cookie))
    corpus = list(malformed_cookies(cookie))

    found = [value for value in corpus if _find(database, value) is not None]

    assert len(corpus) >= 200
    assert not found


@pytest.mark.parametrize(
    ("dead", "later"),
    [
        pytest.param({"idle_expires_at": NOW}, timedelta(0), id="idle at this instant"),
        pytest.param({"idle_expires_at": NOW}, timedelta(days=1), id="idle since yesterday"),
        pytest.param({"expires_at": NOW}, timedelta(0), id="over at this instant"),
        pytest.param({"expires_at": NOW}, timedelta(days=1), id="over since yesterday"),
    ],
)
def test_an_expired_session_is_not_found(database, dead, later):
    cookie = new_secret()
    _keep(database, a_subject(id=ADA), (a_session(subject=ADA, **dead), cookie))

    assert _find(database, cookie, now=NOW + later) is None


def test_an_ended_session_is_not_found(database):
    session, cookie = a_session(subject=ADA), new_secret()
    _keep(database, a_subject(id=ADA), (session, cookie))

    with database.write() as tx:
        assert sessions.end_session(tx, session.id, EndReason.SIGNED_OUT, NOW)

    assert _find(database, cookie) is None


def test_the_session_of_a_disabled_person_is_not_found(database):
    cookie = new_secret()
    _keep(database, a_subject(id=ADA), (a_session(subject=ADA), cookie))

    with database.write() as tx:
        subjects.disable(tx, ADA, now=NOW)

    assert _find(database, cookie) is None


def test_rotation_makes_the_old_cookie_worthless_and_keeps_the_sid(database):
    session, old, new = a_session(subject=ADA), new_secret(), new_secret()
    _keep(database, a_subject(id=ADA), (session, old))

    with database.write() as tx:
        assert sessions.rotate(tx, session, cookie=new)

    assert _find(database, old) is None
    assert _find(database, new).id == session.id


def test_an_ended_session_cannot_be_rotated(database):
    session, cookie = a_session(subject=ADA), new_secret()
    _keep(database, a_subject(id=ADA), (session, new_secret()))

    with database.write() as tx:
        sessions.end_session(tx, session.id, EndReason.BLOCKED, NOW)
        assert not sessions.rotate(tx, session, cookie=cookie)

    assert _find(database, cookie) is None


def test_a_session_in_use_is_written_at_most_once_a_minute(database):
    session, cookie = a_session(subject=ADA, idle_expires_at=NOW + IDLE), new_secret()
    _keep(database, a_subject(id=ADA), (session, cookie))
    almost, minute = NOW + timedelta(seconds=59), NOW + timedelta(minutes=1)

    with database.write() as tx:
        assert not sessions.touch(tx, session, idle=IDLE, now=almost)
        assert sessions.touch(tx, session, idle=IDLE, now=minute)

    assert _find(database, cookie).idle_expires_at == minute + IDLE


def test_touching_never_brings_the_idle_expiry_forward_or_an_ended_session_back(database):
    session, cookie = a_session(subject=ADA, idle_expires_at=NOW + IDLE), new_secret()
    _keep(database, a_subject(id=ADA), (session, cookie))

    with database.write() as tx:
        assert not sessions.touch(tx, session, idle=timedelta(minutes=5), now=NOW)
        sessions.end_session(tx, session.id, EndReason.SIGNED_OUT, NOW)
        assert not sessions.touch(tx, session, idle=IDLE, now=NOW + timedelta(hours=1))


def test_of_many_that_end_one_session_at_the_same_time_one_did(database):
    session = a_session(subject=ADA)
    _keep(database, a_subject(id=ADA), (session, new_secret()))

    def end(_):
        with database.write() as tx:
            return sessions.end_session(tx, session.id, EndReason.REVOKED, NOW)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(end, range(32))) == 1


def test_the_open_sessions_of_a_person_are_all_that_have_not_ended(database):
    ended = a_session(id="ses_3", subject=ADA)
    _keep(
        database,
        a_subject(id=ADA, username="ada"),
        a_subject(id="usr_bob", username="bob"),
        (a_session(id="ses_1", subject=ADA), new_secret()),
        (a_session(id="ses_2", subject=ADA, expires_at=NOW), new_secret()),
        (ended, new_secret()),
        (a_session(id="ses_4", subject="usr_bob"), new_secret()),
    )

    with database.write() as tx:
        sessions.end_session(tx, ended.id, EndReason.SIGNED_OUT, NOW)
        assert sessions.open_sessions_of_subject(tx, ADA) == ("ses_1", "ses_2")


def test_the_live_sessions_of_a_person_are_theirs(database):
    session = a_session(subject=ADA)
    _keep(database, a_subject(id=ADA), (session, new_secret()))

    with database.read() as tx:
        assert sessions.list_live_of_subject(tx, ADA, now=NOW) == [session]
        assert sessions.list_live_of_subject(tx, SubjectId("usr_bob"), now=NOW) == []


def test_the_list_holds_live_sessions_only(database):
    _keep(
        database,
        a_subject(id=ADA),
        (a_session(id="ses_live", subject=ADA), new_secret()),
        (a_session(id="ses_over", subject=ADA, expires_at=NOW), new_secret()),
    )

    with database.read() as tx:
        assert [session.id for session in sessions.list_live(tx, now=NOW)] == ["ses_live"]


def test_a_session_is_found_by_its_sid_even_after_its_end(database):
    session = a_session(subject=ADA)
    _keep(database, a_subject(id=ADA), (session, new_secret()))

    with database.write() as tx:
        sessions.end_session(tx, session.id, EndReason.BLOCKED, NOW)
        assert sessions.get(tx, session.id) == session.ended(NOW, EndReason.BLOCKED)
        assert sessions.get(tx, SessionId("ses_none")) is None


def test_the_database_never_holds_the_cookie(database):
    cookie = new_secret()
    _keep(database, a_subject(id=ADA), (a_session(subject=ADA), cookie))

    with database.engine.connect() as connection:
        stored = connection.exec_driver_sql("SELECT * FROM sessions").one()

    assert cookie not in map(str, stored)
    assert set(stored.cookie_digest) <= set(string.hexdigits)
