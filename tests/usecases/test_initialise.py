"""A fresh database gets keys and documents once; what is there is left alone."""

from pdp.jose.keys import generate
from pdp.store import documents
from pdp.store.documents import DocumentKind
from pdp.usecases.configuration import Configurations
from pdp.usecases.initialise import (
    FIRST_ALGORITHMS,
    add_first_keys,
    missing_algorithms,
    publish_defaults,
)
from tests.builders import NOW, an_envelope
from tests.deployment import a_deployment

KEYS = tuple(generate(alg, signs_from=NOW) for alg in FIRST_ALGORITHMS)


def _initialise(database):
    with database.write() as tx:
        added = add_first_keys(tx, an_envelope(), KEYS, actor="cli:ada", now=NOW)
        return added, publish_defaults(tx, actor="cli:ada", now=NOW)


def test_an_empty_database_can_decide_afterwards(database):
    _initialise(database)

    with database.read() as tx:
        configuration = Configurations(an_envelope()).current(tx)
    assert {key.alg for key in configuration.keys.keys} == {"RS256", "ES256"}
    assert configuration.bundle.policies


def test_the_shipped_documents_keep_their_comments(database):
    _initialise(database)

    with database.read() as tx:
        active = documents.active(tx, DocumentKind.POLICIES)
    assert active is not None
    assert active[1].startswith("#")


def test_a_second_time_changes_nothing(database):
    _initialise(database)

    assert _initialise(database) == ((), ())


def test_only_what_is_missing_is_made(database):
    a_deployment(database)
    with database.read() as tx:
        assert missing_algorithms(tx, an_envelope()) == ("RS256",)

    added, kinds = _initialise(database)

    assert [key.alg for key in added] == ["RS256"]
    assert kinds == ()
