"""When the database, a commit, a document or a key fails: nothing is granted, nothing used up."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa
from flask import Flask

from pdp.app import serve_runtime
from pdp.clock import new_id
from pdp.ephemeral.rate_limit import RateLimiter
from pdp.oidc import endpoints
from pdp.oidc.server import Server
from pdp.policy.errors import MalformedPolicy
from pdp.store import documents, generations
from pdp.store.database import Database
from pdp.store.documents import DocumentKind
from tests.builders import NOW, FrozenClock
from tests.databases import break_off_at_commit
from tests.deployment import a_risky, a_runtime, ingest
from tests.oidc.world import REDIRECT, VERIFIER, World, secret_of
from tests.web.browser import ISSUER, PASSWORD, Browser, a_person, enrolled


@pytest.fixture
def gone() -> Iterator[Database]:
    """A database that is down: nobody listens on the discard port."""
    database = Database.open("postgresql+psycopg://nobody@127.0.0.1:9/gone")
    yield database
    database.close()


def _served(world: World, database: Database) -> Flask:
    """Return the application of a process whose database went away after it had begun."""
    app = serve_runtime(Flask("pdp.web"), world.runtime)
    runtime = replace(world.runtime, database=database)
    app.extensions["pdp"], app.extensions["pdp.server"] = runtime, Server(runtime)
    return app


def _requests(world: World) -> dict[str, tuple[str, dict[str, str]]]:
    issued = world.tokens()
    return {
        "code": (
            "/token",
            {
                "grant_type": "authorization_code",
                "code": world.code(),
                "redirect_uri": REDIRECT,
                "code_verifier": VERIFIER,
            },
        ),
        "refresh": (
            "/token",
            {"grant_type": "refresh_token", "refresh_token": issued["refresh_token"]},
        ),
        "introspection": ("/introspect", {"token": issued["access_token"]}),
        "UserInfo": ("/userinfo", {"access_token": issued["access_token"]}),
        "revocation": ("/revoke", {"token": issued["access_token"]}),
    }


def test_while_the_database_is_down_everything_is_503_and_works_afterwards(
    world: World, gone: Database
):
    there = serve_runtime(Flask("pdp.web"), world.runtime).test_client()
    away = _served(world, gone).test_client()
    auth = ("wiki", secret_of("wiki"))

    for kind, (path, form) in _requests(world).items():
        by = None if kind == "UserInfo" else auth
        refused = away.post(path, base_url=ISSUER, data=form, auth=by)
        assert (refused.status_code, kind) == (503, kind)
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.get_json()["error"] == "temporarily_unavailable"
        assert {"access_token", "active", "sub"} & refused.get_json().keys() == set()

        answer = there.post(path, base_url=ISSUER, data=form, auth=by)
        assert (answer.status_code, kind) == (200, kind)
        assert answer.get_json().get("active", True) is True


def test_while_the_database_is_down_people_are_told_when_to_come_back_and_stay_signed_in(
    world: World, gone: Database
):
    browser = Browser(world)
    enrolled(world, browser, world.ada.device, a_person(world))
    page = browser.authorize()
    waiting = {**page.forms[0].values, "username": "bob", "password": PASSWORD}
    away = browser.another()
    away.app = _served(world, gone)
    away.client = away.app.test_client()
    for name in ("browser", "device"):
        away.set_cookie(f"__Host-pdp-{name}", browser.cookie(f"__Host-pdp-{name}") or "")

    answers = [
        away.get(page.path),
        away.get("/account"),
        away.post(page.forms[0].action, waiting, follow=False),
    ]

    for answer in answers:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "__Host-pdp-session" not in answer.headers.get("Set-Cookie", "")
    assert "code" in browser.sign_in(page).answer


def test_while_redis_is_down_everything_goes_on_and_guesses_are_still_limited(world: World):
    # Nobody listens on the discard port.
    limiter = RateLimiter("redis://127.0.0.1:9/0", pepper=b"pepper")
    world.runtime = replace(world.runtime, rate_limiter=limiter)
    world.server = Server(world.runtime)
    browser = Browser(world)
    enrolled(world, browser, world.ada.device, a_person(world))

    code = browser.sign_in(browser.authorize()).answer["code"]
    issued = world.redeem(code).body
    refreshed = world.refresh(str(issued["refresh_token"])).body
    assert world.introspect(str(refreshed["access_token"]))["active"] is True
    assert world.refresh(str(issued["refresh_token"])).error == "invalid_grant"
    guesses = [
        browser.client.post(
            "/token",
            base_url=ISSUER,
            data={"grant_type": "client_credentials"},
            auth=("backup", "guessed"),
        ).status_code
        for _ in range(61)
    ]
    assert (guesses[0], guesses[-1]) == (401, 429)


def test_a_refresh_whose_commit_was_refused_may_be_tried_again(
    postgresql_url: str, clock: FrozenClock
):
    """What was rolled back was never used: a failover must not end families."""
    database = Database.open(postgresql_url)
    world = World(database, clock)
    token = world.tokens()["refresh_token"]
    break_off_at_commit(postgresql_url, "refresh_tokens")
    _at_commit(postgresql_url, "BEGIN RAISE deadlock_detected; END")

    browser = Browser(world)
    form = {"grant_type": "refresh_token", "refresh_token": token}
    refused = browser.client.post(
        "/token", base_url=ISSUER, data=form, auth=("wiki", secret_of("wiki"))
    )
    _at_commit(postgresql_url, "BEGIN RETURN NULL; END")

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert "access_token" not in refused.get_json()
    again = world.refresh(token)
    assert again.status == 200
    assert world.introspect(str(again.body["access_token"]))["active"] is True
    world.runtime.decision_log.close()
    database.close()


def _at_commit(url: str, body: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE OR REPLACE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS"
                f" '{body}'"
            )
        )
    engine.dispose()


@pytest.mark.parametrize("kind", DocumentKind)
def test_a_stored_document_that_does_not_parse_never_replaces_one_that_does(
    world: World, kind: DocumentKind
):
    issued = world.tokens()
    _store(world, kind, "policies: [")

    assert world.introspect(issued["access_token"])["active"] is True
    ingest(world.database, a_risky("bad", NOW))
    assert world.introspect(issued["access_token"]) == {"active": False}
    with world.database.read() as tx:
        assert world.runtime.configurations.current(tx).problem


@pytest.mark.parametrize("kind", DocumentKind)
def test_a_process_that_finds_no_document_that_parses_does_not_begin(
    world: World, kind: DocumentKind
):
    _store(world, kind, "policies: [")

    with pytest.raises(MalformedPolicy):
        serve_runtime(Flask("pdp.web"), a_runtime(world.database, world.clock))


def _store(world: World, kind: DocumentKind, text: str) -> None:
    """Put a text in force that nobody has checked, as a restored backup would."""
    with world.database.write() as tx:
        documents.activate(tx, kind, new_id("v"), text, now=NOW)
        generations.advance(tx)


def test_a_new_policy_counts_for_every_process_with_its_next_request(world: World):
    other = Server(a_runtime(world.database, world.clock))
    issued, here = world.tokens(), world.server

    def active() -> set[object]:
        told = set()
        for server in (here, other):
            world.server = server
            told.add(world.introspect(issued["access_token"])["active"])
        return told

    def say(policies: str) -> None:
        text = f"pratique: policies/v1\ndefault: block\npolicies: {policies}\n"
        _store(world, DocumentKind.POLICIES, text)

    assert active() == {True}
    say("[{id: nobody, outcome: block}]")
    assert active() == {False}
    say("[{id: all, outcome: full}]")
    assert active() == {True}


def test_a_revocation_that_could_not_be_stored_is_not_said_to_be_done(world: World, gone: Database):
    issued = world.tokens()
    away = _served(world, gone).test_client()

    answer = away.post(
        "/revoke",
        base_url=ISSUER,
        data={"token": issued["refresh_token"]},
        auth=("wiki", secret_of("wiki")),
    )

    assert answer.status_code == 503
    assert world.introspect(issued["access_token"])["active"] is True
    assert world.post(endpoints.revoke, "wiki", token=issued["refresh_token"]).status == 200
    assert world.introspect(issued["access_token"]) == {"active": False}
