"""Every mutation of a good token at every door that takes JWTs, and every kind at every door."""

import pytest

from tests.jose.jwt_mutations import mutations
from tests.oidc.world import World
from tests.web.browser import Browser
from tests.web.jwt_doors import DOORS, KINDS, prepare

JWT_DOORS = {
    name: (kind, attempt) for name, (kind, attempt) in DOORS.items() if KINDS[kind][1] is not None
}
#: Introspection tells a client of its own refresh tokens as well (RFC 7662 §2.1).
ALSO_TAKEN = {("introspection", "refresh token")}


@pytest.mark.parametrize("door", JWT_DOORS)
def test_no_mutation_of_a_good_token_is_taken_and_none_breaks_anything(world: World, door: str):
    browser = Browser(world)
    prepare(world)
    kind, attempt = JWT_DOORS[door]
    make, key = KINDS[kind]
    good = make(world)
    assert key is not None
    corpus = dict(mutations(good, key))

    answers = {name: attempt(browser, text) for name, text in corpus.items()}

    assert len(corpus) >= 300
    assert {name for name, answer in answers.items() if answer.is_taken} == set()
    assert {name for name, answer in answers.items() if answer.status >= 500} == set()
    assert attempt(browser, good).is_taken


@pytest.mark.parametrize("door", DOORS)
def test_a_door_takes_its_own_kind_of_token_and_no_other(world: World, door: str):
    browser = Browser(world)
    prepare(world)
    wanted, attempt = DOORS[door]
    tokens = {kind: make(world) for kind, (make, _) in KINDS.items() if kind != wanted}

    taken = {kind for kind, token in tokens.items() if attempt(browser, token).is_taken}

    assert taken == {kind for other, kind in ALSO_TAKEN if other == door}
    assert attempt(browser, KINDS[wanted][0](world)).is_taken
