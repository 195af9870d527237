"""An introspection in the same words is answered the same, or from the beginning."""

import asyncio
import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from joserfc import jwt

from pdp.domain.access import Channel
from pdp.domain.ids import ClientId
from pdp.oidc import endpoints
from pdp.oidc.again import LARGEST_QUESTION, answer_again
from pdp.oidc.answered import question_of
from pdp.oidc.client_auth import ASSERTION_TYPE
from pdp.oidc.request import Answer, Call
from pdp.oidc.server import Server
from pdp.store import clients, decisions, generations, subjects, tokens
from pdp.store.at_once import SqliteReader
from pdp.store.database import Database, Statement
from pdp.store.decision_log import GRACE, DecisionLog
from pdp.store.documents import DocumentKind
from pdp.store.standings import TokenMarks, marks_of_token
from pdp.usecases.client_secrets import client_pepper, secret_digest
from pdp.usecases.publish_document import publish
from pdp.usecases.register_client import rotate_client_secret
from tests.builders import NOW, FrozenClock
from tests.deployment import a_calm, a_risky, a_runtime, ingest
from tests.oidc.test_client_assertion import ISSUER, KEY, a_client_with_a_key
from tests.oidc.world import World, secret_of
from tests.store.test_decision_log import RENAME, RENAME_BACK, Watch, say

LIMITED = """pratique: policies/v1
default: full
policies:
  - id: little
    when: {channel: [introspection]}
    outcome: restricted
    restrict: {scopes: [openid], token_lifetime: 5m, session_lifetime: 1h}
"""


def on_a_loop(server: Server, reader: SqliteReader, call: Call) -> Answer | None:
    """Ask on a loop in a thread of its own: in this one a browser's may run."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, answer_again(server, reader, call)).result()


class Asking:
    """One process that is asked about tokens, by threads and on its loop."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.reader = SqliteReader(world.database.engine)
        self.token = world.tokens()["access_token"]

    def call(self, by: str = "api", secret: str = "", **form: str) -> Call:
        """Return a question; about the token, unless `form` names another."""
        pair = f"{by}:{secret or secret_of(by)}"
        return Call(
            body=urlencode({"token": self.token, **form}).encode(),
            content_type="application/x-www-form-urlencoded",
            authorization="Basic " + base64.b64encode(pair.encode()).decode(),
            address="192.0.2.7",
        )

    def whole(self, call: Call) -> Answer:
        """Answer from the beginning."""
        return endpoints.introspect(self.world.server, call)

    def again(self, call: Call) -> Answer | None:
        """Answer what was answered before."""
        return on_a_loop(self.world.server, self.reader, call)


@pytest.fixture
def asking(sqlite_url: str, clock: FrozenClock) -> Iterator[Asking]:
    """A deployment on SQLite, of which a token was introspected by its API."""
    database = Database.open(sqlite_url)
    world = World(database, clock)
    asking = Asking(world)
    assert is_active(asking.whole(asking.call()))
    yield asking
    asking.reader.close()
    world.close()
    database.close()


def is_active(answer: Answer | None) -> bool:
    """Tell what an introspection says; False if it says nothing."""
    return answer is not None and orjson.loads(answer.body).get("active") is True


def test_the_same_question_gets_the_same_answer_and_is_counted(asking: Asking):
    first = asking.whole(asking.call())
    for _ in range(3):
        assert asking.again(asking.call()) == first

    asking.world.runtime.decision_log.close()
    with asking.world.database.read() as tx:
        found = decisions.recent(tx, subject_id=asking.world.ada.subject)
    [recorded] = [each for each in found if each.facts.channel is Channel.INTROSPECTION]
    assert recorded.repeats == 5


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"secret": "wrong"}, id="another secret"),
        pytest.param({"by": "wiki"}, id="another caller"),
        pytest.param({"token": "another"}, id="another token"),
        pytest.param({"hint": "x"}, id="another form"),
    ],
)
def test_another_question_is_answered_from_the_beginning(asking: Asking, other: dict[str, str]):
    assert asking.again(asking.call(**other)) is None


def test_another_type_of_body_is_another_question(asking: Asking):
    call = asking.call()

    assert asking.again(replace(call, content_type="application/json")) is None
    assert asking.again(replace(call, authorization=None)) is None
    assert is_active(asking.again(call))


def test_no_two_questions_are_taken_for_one():
    parts = [None, "", "None", "a", "ab", "b"]
    questions = {
        question_of(authorization, kind, body)
        for authorization in parts
        for kind in ("", "a", "ab", "b")
        for body in (b"", b"a", b"ab", b"b")
    }

    assert len(questions) == 6 * 4 * 4


def _disable_person(asking: Asking) -> None:
    with asking.world.database.write() as tx:
        subjects.disable(tx, asking.world.ada.subject, now=NOW)


def _revoke_token(asking: Asking) -> None:
    payload = asking.token.split(".")[1]
    claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    with asking.world.database.write() as tx:
        tokens.revoke_token(tx, claims["jti"], expires_at=NOW + timedelta(hours=1))


def _disable_caller(asking: Asking) -> None:
    with asking.world.database.write() as tx:
        clients.set_disabled(tx, ClientId("api"), NOW)
        generations.advance(tx)


def _configure(asking: Asking) -> None:
    with asking.world.database.write() as tx:
        generations.advance(tx)


def _turn_risky(asking: Asking) -> None:
    ingest(asking.world.database, a_risky("bad", NOW))


def _end_token(asking: Asking) -> None:
    asking.world.pass_time(minutes=5)


def _set_the_clock_back(asking: Asking) -> None:
    asking.world.pass_time(seconds=-61)


@pytest.mark.parametrize(
    "happen",
    [
        _disable_person,
        _revoke_token,
        _disable_caller,
        _configure,
        _turn_risky,
        _end_token,
        _set_the_clock_back,
    ],
)
def test_whatever_happens_leaves_the_answer_to_be_found_anew(
    asking: Asking, happen: Callable[[Asking], None]
):
    assert is_active(asking.again(asking.call()))

    happen(asking)

    assert asking.again(asking.call()) is None


def test_another_configuration_at_hand_leaves_the_answer_to_be_found_anew(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
):
    configurations = asking.world.runtime.configurations
    monkeypatch.setattr(configurations, "_latest", replace(configurations.latest))

    assert asking.again(asking.call()) is None


def test_a_decision_that_is_remembered_no_more_leaves_the_answer_to_be_found_anew(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
):
    decided = asking.world.server.issuer.decided
    monkeypatch.setattr(type(decided), "find", lambda *_: None)

    assert asking.again(asking.call()) is None


_DEVICE = "readings, status, risk, causes, valid_until, os_version, assessed_with, epoch"
_AS_IT_WAS = Statement(f"SELECT {_DEVICE} FROM devices")  # noqa: S608  names of ours
_PUT_BACK = Statement(
    "UPDATE devices SET "  # noqa: S608  names of ours
    + ", ".join(f"{name} = :{name}" for name in _DEVICE.split(", "))
)


def test_a_database_that_lost_its_last_changes_never_says_the_same_of_others(asking: Asking):
    """As after a failover, or with a backup put back under a process that runs."""
    database = asking.world.database
    with database.read() as tx:
        row = tx.one(_AS_IT_WAS, {})
    assert row is not None
    ingest(database, a_calm("lost", NOW, os_version="12.9"))
    assert is_active(asking.whole(asking.call()))
    assert is_active(asking.again(asking.call()))

    with database.write() as tx:
        tx.run(_PUT_BACK, dict(zip(_DEVICE.split(", "), row, strict=True)))
    ingest(database, a_risky("bad", NOW))

    assert asking.again(asking.call()) is None
    assert not is_active(asking.whole(asking.call()))


def test_a_configuration_that_was_lost_is_not_taken_for_the_next_one(asking: Asking):
    database, configurations = asking.world.database, asking.world.runtime.configurations
    with database.read() as tx:
        before = generations.read(tx)
    with database.write() as tx:
        generations.advance(tx)
    with database.read() as tx:
        lost = configurations.current(tx)

    with database.write() as tx:
        tx.run(Statement("UPDATE generations SET value = :before"), {"before": before})
        generations.advance(tx)
        assert configurations.current(tx) is not lost


def test_nothing_is_told_again_that_cannot_be_recorded(asking: Asking):
    watch, world = Watch(), asking.world
    log = DecisionLog(world.database, monotonic=watch)
    world.runtime = replace(world.runtime, decision_log=log)
    world.server.runtime = world.runtime
    say(world.database, RENAME)
    assert is_active(asking.whole(asking.call()))
    assert is_active(asking.again(asking.call()))

    watch.seconds += GRACE.total_seconds() + 1
    assert asking.again(asking.call()) is None

    say(world.database, RENAME_BACK)
    log.flush()
    assert is_active(asking.again(asking.call()))


def test_an_answer_is_known_again_once_it_was_found_anew(asking: Asking):
    ingest(asking.world.database, a_risky("bad", NOW))
    assert not is_active(asking.whole(asking.call()))
    # A no is never told from memory.
    assert asking.again(asking.call()) is None
    later = NOW + timedelta(seconds=1)
    ingest(asking.world.database, a_calm("good", later), now=later)
    asking.world.pass_time(seconds=1)
    assert asking.again(asking.call()) is None

    assert is_active(asking.whole(asking.call()))
    assert is_active(asking.again(asking.call()))


@pytest.mark.parametrize("policies", [None, LIMITED], ids=["no", "less"])
def test_an_answer_is_kept_with_the_decision_that_it_rests_on(
    asking: Asking, policies: str | None, monkeypatch: pytest.MonkeyPatch
):
    """Another thread may remember another decision of the token before this one is worded."""
    happened: list[bool] = []

    def read_and_fall_behind(*arguments: Any) -> TokenMarks:
        marks = marks_of_token(*arguments)
        if not happened:
            happened.append(True)
            if policies is None:
                ingest(asking.world.database, a_risky("bad", NOW))
            else:
                with asking.world.database.write() as tx:
                    publish(tx, DocumentKind.POLICIES, policies, file="t", actor="root", now=NOW)
            asking.whole(asking.call(hint="another spelling"))
        return marks

    monkeypatch.setattr("pdp.oidc.introspection.marks_of_token", read_and_fall_behind)
    behind = asking.whole(asking.call())
    monkeypatch.undo()

    # It rests on what was read before, and was right then.
    assert is_active(behind)
    for _ in range(3):
        again = asking.again(asking.call())
        assert again is None or again == asking.whole(asking.call(hint="third spelling"))
        assert again != behind


def test_a_question_that_is_too_long_for_the_loop_is_not_kept(asking: Asking):
    call = asking.call(padding="x" * LARGEST_QUESTION)

    assert is_active(asking.whole(call))
    assert asking.again(call) is None


def test_a_secret_that_ends_takes_the_answers_to_it_along(asking: Asking):
    with asking.world.database.write() as tx:
        digest = secret_digest("n" * 40, client_pepper(asking.world.runtime.envelope))
        minute = timedelta(minutes=1)
        rotate_client_secret(tx, ClientId("api"), digest, overlap=minute, actor="test", now=NOW)
    old, new = asking.call(), asking.call(secret="n" * 40)
    for call in (old, new):
        assert is_active(asking.whole(call))
        assert is_active(asking.again(call))

    asking.world.pass_time(minutes=1)

    assert asking.again(old) is None
    assert asking.whole(old).status == 401
    # What was answered to the new one is found anew once, and known again.
    assert is_active(asking.whole(new))
    assert is_active(asking.again(new))


def test_an_answer_that_changes_by_the_second_is_not_kept(asking: Asking):
    with asking.world.database.write() as tx:
        publish(tx, DocumentKind.POLICIES, LIMITED, file="t", actor="root", now=NOW)
    for _ in range(2):
        assert "session_expiry" in asking.whole(asking.call()).body

    assert asking.again(asking.call()) is None


def test_an_assertion_is_no_question_to_ask_twice(asking: Asking):
    with asking.world.database.write() as tx:
        clients.add(tx, replace(a_client_with_a_key(), id=ClientId("wiki-robot")), now=NOW)
    issued = int(NOW.timestamp())
    name = "wiki-robot"
    claims = {"iss": name, "sub": name, "aud": ISSUER, "jti": "j-1", "exp": issued + 60}
    form = {
        "token": asking.token,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": jwt.encode({"alg": "ES256", "kid": KEY.kid}, claims, KEY, ["ES256"]),
    }
    call = replace(asking.call(), authorization=None, body=urlencode(form).encode())
    assert asking.whole(call).status == 200

    assert asking.again(call) is None
    assert asking.whole(call).status == 401


def test_what_another_process_answered_is_not_known(asking: Asking):
    other = Server(a_runtime(asking.world.database, asking.world.clock))

    assert on_a_loop(other, asking.reader, asking.call()) is None
