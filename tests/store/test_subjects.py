"""People: one spelling of a name, and an epoch that tells of each change decisions depend on."""

from datetime import timedelta

import pytest

from pdp.domain.errors import Conflict, NotFound
from pdp.domain.ids import SubjectId
from pdp.store import subjects
from pdp.store.subjects import Credentials
from tests.builders import NOW, a_subject

ADA = SubjectId("usr_ada")
NOBODY = SubjectId("usr_none")


@pytest.fixture
def ada(database):
    """A person who is in the store."""
    subject = a_subject(id=ADA, username="ada", groups=frozenset({"staff"}))
    with database.write() as tx:
        subjects.create(tx, subject, password_hash="hash-1")
    return subject


def _epoch(database):
    with database.read() as tx:
        return subjects.get(tx, ADA).epoch


def test_a_person_comes_back_as_they_were_kept(database, ada):
    with database.read() as tx:
        assert subjects.get(tx, ada.id) == ada
        assert subjects.find(tx, "ada") == ada
        assert subjects.list_all(tx) == [ada]
        assert subjects.find_credentials(tx, "ada") == Credentials(ada, "hash-1")


def test_a_username_is_taken_once(database, ada):
    with pytest.raises(Conflict, match="'ada' exists already"), database.write() as tx:
        subjects.create(tx, a_subject(id="usr_2", username=ada.username), password_hash="hash")


def test_who_does_not_exist_is_not_found(database):
    with database.write() as tx:
        assert subjects.find(tx, "nobody") is None
        with pytest.raises(NotFound):
            subjects.get(tx, NOBODY)
        with pytest.raises(NotFound):
            subjects.set_groups(tx, NOBODY, frozenset())
        with pytest.raises(NotFound):
            subjects.set_password(tx, NOBODY, "hash", must_change=True, now=NOW)


CHANGES = {
    "groups": lambda tx: subjects.set_groups(tx, ADA, frozenset({"pdp-admins"})),
    "break glass": lambda tx: subjects.set_break_glass(tx, ADA, flagged=True),
    "disabled": lambda tx: subjects.disable(tx, ADA, now=NOW),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_change_that_decisions_see_raises_the_epoch_once(database, ada, change):
    epochs = [ada.epoch]
    for is_changed in (True, False):
        with database.write() as tx:
            assert change(tx) is is_changed
        epochs.append(_epoch(database))

    assert epochs[0] < epochs[1] == epochs[2]


def test_enabling_raises_the_epoch_again(database, ada):
    with database.write() as tx:
        subjects.disable(tx, ada.id, now=NOW)
        disabled = subjects.get(tx, ada.id).epoch
        assert subjects.enable(tx, ada.id)
        enabled = subjects.get(tx, ada.id).epoch
        assert not subjects.enable(tx, ada.id)

    assert ada.epoch < disabled < enabled == _epoch(database)


def test_changes_by_the_orm_and_by_statements_see_each_other(database, ada):
    with database.write() as tx:
        subjects.set_groups(tx, ada.id, frozenset({"one"}))
        subjects.disable(tx, ada.id, now=NOW)
        subjects.set_groups(tx, ada.id, frozenset({"two"}))
        locked = subjects.get_locked(tx, ada.id)

    assert (locked.groups, locked.is_disabled) == (frozenset({"two"}), True)


def test_the_people_of_break_glass_are_listed(database, ada):
    with database.write() as tx:
        assert subjects.list_break_glass(tx) == []
        subjects.set_break_glass(tx, ada.id, flagged=True)
        assert [subject.id for subject in subjects.list_break_glass(tx)] == [ada.id]


def test_a_hash_is_renewed_only_if_it_is_still_the_one_that_was_checked(database, ada):
    with database.read() as tx:
        checked = subjects.credentials(tx, ada.id)

    with database.write() as tx:
        assert subjects.rehash(tx, checked, "hash-2")
        assert not subjects.rehash(tx, checked, "hash-3")
        assert subjects.credentials(tx, ada.id) == Credentials(ada, "hash-2")


def test_a_new_password_raises_the_epoch_and_tells_when_it_came(database, ada):
    later = NOW + timedelta(hours=1)

    with database.write() as tx:
        subjects.set_password(tx, ada.id, "hash-2", must_change=True, now=later)
        after = subjects.get(tx, ada.id)

    assert (after.must_change_password, after.password_changed_at) == (True, later)
    assert after.epoch > ada.epoch


def test_credentials_do_not_show_their_hash(database, ada):
    with database.read() as tx:
        assert "hash-1" not in repr(subjects.credentials(tx, ada.id))
