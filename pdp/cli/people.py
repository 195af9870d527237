"""Finds the people whom commands are told of by name."""

from typing import Final

from pdp.domain.errors import NotFound
from pdp.domain.ids import SubjectId
from pdp.domain.subject import Subject, normalise_username
from pdp.store import subjects
from pdp.store.database import Transaction

_PSEUDONYM: Final = "usr_"


def find_person(tx: Transaction, username: str) -> Subject:
    """Return the person of this username, in any spelling; NotFound if there is none."""
    found = subjects.find(tx, normalise_username(username))
    if found is None:
        raise NotFound("user", username)
    return found


def find_pseudonym(tx: Transaction, name: str) -> SubjectId:
    """Return the id under which a person is recorded, by their username or as it is; NotFound.

    An id that nobody has may be one of somebody erased: it is not looked up.
    """
    found = subjects.find(tx, normalise_username(name))
    if found is not None:
        return found.id
    if not name.startswith(_PSEUDONYM):
        raise NotFound("user", name)
    return SubjectId(name)
