"""Tokens and checks on the event loop: what a thread would say; what must wait is left to one."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import orjson
import pytest
from joserfc import jwt
from werkzeug.exceptions import RequestTimeout

from pdp.domain.access import Channel
from pdp.domain.errors import OutcomeUnknown
from pdp.domain.ids import ClientId
from pdp.oidc.client_auth import ASSERTION_TYPE
from pdp.store import clients, decisions, subjects
from pdp.store.at_once import Reader
from pdp.store.database import Database
from pdp.store.pipeline import PipelineReader
from pdp.usecases.register_client import disable_client
from pdp.web.context import RAISED
from pdp.web.door import Door
from pdp.web.on_the_loop import OnTheLoop, reader_for
from tests.builders import NOW, FrozenClock
from tests.databases import break_off_at_commit
from tests.deployment import a_calm, a_risky, ingest
from tests.oidc.test_client_assertion import ISSUER, KEY, a_client_with_a_key
from tests.oidc.world import World
from tests.web.browser import Browser
from tests.web.test_door import a_form, an_environ, basic, through, told_by

Asked = tuple[Any, bytes]
Told = tuple[int, dict[str, str], bytes]


@pytest.fixture
def world(database: Database, clock: FrozenClock) -> Iterator[World]:
    """A deployment on both databases."""
    world = World(database, clock)
    yield world
    world.runtime.decision_log.close()


def on_the_loop(world: World, work: Callable[["OnLoop"], Coroutine[Any, Any, object]]) -> Any:
    """Run `work` with a process' checks, on a loop in a thread of its own."""

    async def run() -> object:
        readers: list[Reader] = []

        def made(*known: Any) -> Reader:
            readers.append(reader_for(*known))
            return readers[-1]

        app = Browser(world).app
        checks = OnTheLoop(app, made)
        checks.start(asyncio.get_running_loop())
        try:
            await _ready(readers[0])
            return await work(OnLoop(checks, Door(app)))
        finally:
            checks.stop()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, run()).result()


async def _ready(reader: Reader) -> None:
    async with asyncio.timeout(20):
        while isinstance(reader, PipelineReader) and not reader.is_open:
            await asyncio.get_running_loop().run_in_executor(None, os.sched_yield)


class OnLoop:
    """One process' two ways to answer."""

    def __init__(self, checks: OnTheLoop, door: Door) -> None:
        self.checks = checks
        self._door = door

    async def at_once(self, asked: Asked) -> Told | None:
        """Ask on the loop; None if it is for a thread, from the beginning."""
        environ = an_environ(*asked)
        answer = await self.checks.answer(environ)
        assert RAISED not in environ, environ[RAISED]
        return None if answer is None else (answer[0], dict(answer[1]), answer[2])

    def in_a_thread(self, asked: Asked) -> Told:
        """Ask the door as a thread does."""
        status, headers, body = through(self._door, *asked)
        return int(status[:3]), headers, body

    async def in_either(self, asked: Asked) -> Told:
        """Ask as the front does: on the loop, else, with the same request, the door in a thread."""
        environ = an_environ(*asked)
        answer = await self.checks.answer(environ)
        if answer is not None:
            return answer[0], dict(answer[1]), answer[2]
        loop = asyncio.get_running_loop()
        status, headers, body = await loop.run_in_executor(None, told_by, self._door, environ)
        return int(status[:3]), headers, body

    async def both(self, asked: Asked) -> tuple[Told | None, Told]:
        """Ask on the loop, then the door."""
        return await self.at_once(asked), self.in_a_thread(asked)


def introspecting(token: str, by: str = "api") -> Asked:
    """Ask about a token, as the resource that it is for."""
    return a_form("/introspect", basic(by), token=token)


def asking_userinfo(token: str, method: str = "GET") -> Asked:
    """Ask for the claims of a token's person."""
    environ = {
        "PATH_INFO": "/userinfo",
        "REQUEST_METHOD": method,
        "HTTP_AUTHORIZATION": f"Bearer {token}",
    }
    return environ, b""


def counted(world: World, channel: Channel) -> int:
    """Return how often the one decision at `channel` is recorded to have been given."""
    world.runtime.decision_log.close()
    with world.database.read() as tx:
        found = decisions.recent(tx, subject_id=world.ada.subject)
    [recorded] = [each for each in found if each.facts.channel is channel]
    return recorded.repeats


def is_active(told: Told | None) -> bool:
    """Tell whether an introspection, which was answered, said yes."""
    assert told is not None
    return bool(orjson.loads(told[2])["active"])


def test_checks_that_go_well_are_answered_at_once_as_a_thread_would(world: World):
    issued, machine = world.tokens(), world.machine_token()
    asked = [
        introspecting(issued["access_token"]),
        introspecting(issued["refresh_token"], "wiki"),
        introspecting(str(machine.body["access_token"])),
        introspecting("nonsense"),
        asking_userinfo(issued["access_token"]),
        asking_userinfo(issued["access_token"], "POST"),
    ]

    async def work(ways: OnLoop) -> object:
        return [await ways.both(each) for each in asked]

    for at_once, in_a_thread in on_the_loop(world, work):
        assert at_once == in_a_thread
        assert at_once[0] == 200


def test_a_no_is_answered_at_once_in_the_same_words(world: World):
    issued = world.tokens()
    asked = [
        a_form("/introspect", basic("api")),
        ({"PATH_INFO": "/introspect", "CONTENT_TYPE": "application/json"}, b"{}"),
        asking_userinfo("nonsense"),
        asking_userinfo(issued["id_token"]),
    ]

    async def work(ways: OnLoop) -> object:
        return [await ways.both(each) for each in asked]

    for at_once, in_a_thread in on_the_loop(world, work):
        assert at_once == in_a_thread
        assert at_once[0] >= 400


def test_a_refusal_of_userinfo_is_counted_as_often_as_it_was_given(world: World):
    asked = asking_userinfo(world.tokens()["access_token"])
    ingest(world.database, a_risky("bad", NOW))

    async def work(ways: OnLoop) -> object:
        return [await ways.at_once(asked) for _ in range(5)]

    told = on_the_loop(world, work)

    assert [each[0] for each in told] == [401] * 5
    assert counted(world, Channel.USERINFO) == 5


def test_a_failed_authentication_is_for_a_thread_to_count_and_so_is_a_long_form(world: World):
    asked = [
        a_form("/introspect", "Basic !", token="x"),
        a_form("/introspect", None, token="x"),
        a_form("/introspect", None, token="x" * 9000),
    ]

    async def work(ways: OnLoop) -> object:
        return [await ways.both(each) for each in asked]

    for at_once, (status, _, _) in on_the_loop(world, work):
        assert at_once is None
        assert status >= 400


def test_what_went_wrong_before_is_for_the_application_to_word(world: World):
    environ = an_environ(*a_form("/introspect", basic("api"), token="whole"))
    environ[RAISED] = RequestTimeout()

    async def work(ways: OnLoop) -> object:
        return await ways.checks.answer(environ)

    assert on_the_loop(world, work) is None


def test_a_long_form_is_for_a_thread_to_read(world: World):
    token = world.tokens()["access_token"]
    asked = a_form("/introspect", basic("api"), token=token, padding="x" * 9000)

    async def work(ways: OnLoop) -> object:
        return await ways.both(asked)

    at_once, (status, _, _) = on_the_loop(world, work)
    assert (at_once, status) == (None, 200)


def test_a_body_that_was_read_at_once_is_there_for_the_thread(world: World):
    environ = an_environ(*a_form("/introspect", None, token="whole"))

    async def work(ways: OnLoop) -> object:
        return await ways.checks.answer(environ)

    assert on_the_loop(world, work) is None
    assert environ["wsgi.input"].read() == b"token=whole"


def test_a_signal_counts_for_the_next_check_and_so_does_the_one_that_disproves_it(world: World):
    asked = introspecting(world.tokens()["access_token"])

    async def work(ways: OnLoop) -> object:
        seen = [await ways.at_once(asked)]
        ingest(world.database, a_risky("bad", NOW))
        seen.append(await ways.at_once(asked))
        ingest(world.database, a_calm("good", NOW + timedelta(seconds=1)))
        return [*seen, await ways.at_once(asked)]

    assert [is_active(each) for each in on_the_loop(world, work)] == [True, False, True]


def test_a_new_configuration_is_for_a_thread_to_load_and_counts_from_then_on(world: World):
    asked = introspecting(world.tokens()["access_token"])

    async def work(ways: OnLoop) -> object:
        before = await ways.at_once(asked)
        with world.database.write() as tx:
            disable_client(tx, ClientId("wiki"), actor="test", now=NOW)
        left = await ways.at_once(asked)
        loaded = ways.in_a_thread(asked)
        return before, left, loaded, await ways.at_once(asked)

    before, left, loaded, after = on_the_loop(world, work)

    assert is_active(before)
    assert left is None
    assert not is_active(loaded)
    assert not is_active(after)


def test_a_person_disabled_and_a_token_revoked_are_inactive_at_once(world: World):
    first, second = world.tokens(), world.tokens("other")

    async def work(ways: OnLoop) -> object:
        world.revoke(first["access_token"])
        revoked = await ways.at_once(introspecting(first["access_token"]))
        alive = await ways.at_once(introspecting(second["access_token"]))
        with world.database.write() as tx:
            subjects.disable(tx, world.ada.subject, now=NOW)
        return revoked, alive, await ways.at_once(introspecting(second["access_token"]))

    assert [is_active(each) for each in on_the_loop(world, work)] == [False, True, False]


def test_checks_are_recorded_however_they_were_answered(world: World):
    asked = introspecting(world.tokens()["access_token"])

    async def work(ways: OnLoop) -> object:
        return [await ways.at_once(asked) for _ in range(3)]

    on_the_loop(world, work)

    assert counted(world, Channel.INTROSPECTION) == 3


def test_after_the_end_everything_is_for_threads(world: World):
    asked = introspecting(world.tokens()["access_token"])

    async def work(ways: OnLoop) -> object:
        ways.checks.stop()
        return await ways.at_once(asked)

    assert on_the_loop(world, work) is None


def test_tokens_are_issued_on_the_loop(world: World):
    used = world.tokens()["refresh_token"]
    asked = [
        a_form("/token", basic("wiki"), grant_type="refresh_token", refresh_token=used),
        a_form("/token", basic("backup"), grant_type="client_credentials", scope="api.read"),
    ]

    async def work(ways: OnLoop) -> object:
        # The first of each may have a connection to open.
        return [await ways.at_once(each) for each in asked]

    for told in on_the_loop(world, work):
        status, headers, body = told
        issued = orjson.loads(body)
        assert (status, headers["Cache-Control"]) == (200, "no-store")
        assert world.introspect(issued["access_token"], "api")["active"] is True


def test_a_caller_that_proves_itself_by_an_assertion_is_answered_and_uses_it_up(world: World):
    """A check that writes: its caller's assertion counts once."""
    with world.database.write() as tx:
        clients.add(tx, a_client_with_a_key(), now=NOW)
    token = str(world.machine_token().body["access_token"])
    asked = [_with_an_assertion("/introspect", f"j-{number}", token=token) for number in (1, 2, 1)]

    async def work(ways: OnLoop) -> object:
        return [await ways.at_once(each) for each in asked]

    first, second, again = on_the_loop(world, work)

    assert (first[0], second[0]) == (200, 200)
    # A failed authentication is a thread's to count.
    assert again is None
    status, _, _ = through(Door(Browser(world).app), *asked[0])
    assert status.startswith("401")


def test_an_assertion_in_other_letters_is_a_thread_s_to_use_up(world: World):
    """What nobody foresaw to write is not begun where it could not be waited for."""
    with world.database.write() as tx:
        clients.add(tx, a_client_with_a_key(), now=NOW)
    token = str(world.machine_token().body["access_token"])
    environ, body = _with_an_assertion("/introspect", "j-1", token=token)
    disguised = environ, body.replace(b"client_assertion", b"client%5Fassertion")

    async def work(ways: OnLoop) -> object:
        return await ways.at_once(disguised) or ways.in_a_thread(disguised)

    assert on_the_loop(world, work)[0] == 200


def _with_an_assertion(path: str, jti: str, **form: str) -> Asked:
    issued = int(NOW.timestamp())
    claims = {"iss": "robot", "sub": "robot", "aud": ISSUER, "jti": jti, "exp": issued + 60}
    assertion = jwt.encode({"alg": "ES256", "kid": KEY.kid}, claims, KEY, ["ES256"])
    return a_form(
        path, None, client_assertion_type=ASSERTION_TYPE, client_assertion=assertion, **form
    )


def test_a_refresh_token_used_twice_on_the_loop_ends_its_family(world: World):
    used = world.tokens()["refresh_token"]
    asked = a_form("/token", basic("wiki"), grant_type="refresh_token", refresh_token=used)

    async def work(ways: OnLoop) -> object:
        return [await ways.at_once(asked) for _ in range(2)]

    first, second = on_the_loop(world, work)

    assert (first[0], second[0]) == (200, 400)
    issued = orjson.loads(first[2])
    assert orjson.loads(second[2])["error"] == "invalid_grant"
    assert world.introspect(issued["access_token"])["active"] is False


def test_a_commit_that_nobody_heard_of_is_told_as_that_and_not_tried_again(
    postgresql_url: str, clock: FrozenClock
):
    """A second try would find the token used up, if the commit happened, and end its family."""
    database = Database.open(postgresql_url)
    world = World(database, clock)
    used = world.tokens()["refresh_token"]
    asked = a_form("/token", basic("wiki"), grant_type="refresh_token", refresh_token=used)
    break_off_at_commit(postgresql_url, "refresh_tokens")

    async def work(ways: OnLoop) -> object:
        environ = an_environ(*asked)
        return await ways.checks.answer(environ), environ

    answer, environ = on_the_loop(world, work)

    assert answer is None
    assert isinstance(environ[RAISED], OutcomeUnknown)
    status, headers, _ = told_by(Door(Browser(world).app), environ)
    assert (status, headers["Retry-After"]) == ("503 SERVICE UNAVAILABLE", "5")
    world.close()
    database.close()


def test_a_configuration_that_moved_is_for_a_thread_to_load_before_a_token_is_issued(world: World):
    asked = a_form("/token", basic("backup"), grant_type="client_credentials", scope="api.read")

    async def work(ways: OnLoop) -> object:
        with world.database.write() as tx:
            disable_client(tx, ClientId("other"), actor="test", now=NOW)
        return await ways.both(asked), await ways.at_once(asked)

    (at_once, in_a_thread), afterwards = on_the_loop(world, work)

    assert at_once is None
    assert in_a_thread[0] == 200
    assert afterwards is not None


@pytest.mark.parametrize(
    ("method", "path", "known"),
    [
        ("POST", "/introspect", True),
        ("GET", "/userinfo", True),
        ("POST", "/userinfo", True),
        ("POST", "/token", True),
        ("GET", "/introspect", False),
        ("GET", "/token", False),
        ("POST", "/revoke", False),
        ("POST", "/webhooks/edr", True),
        ("GET", "/webhooks/edr", False),
        ("GET", "/signin", False),
    ],
)
def test_only_tokens_checks_and_webhooks_are_tried_on_the_loop(
    world: World, method: str, path: str, *, known: bool
):
    assert OnTheLoop(Browser(world).app).knows(method, path) is known
