"""What the log line of a request tells of client and decision: only what is ours, and was kept."""

import base64
from collections.abc import Callable

import pytest

from pdp import logs
from pdp.domain.access import Channel
from pdp.oidc import endpoints
from pdp.oidc.server import Server
from pdp.store import decisions
from tests.builders import NOW
from tests.deployment import a_risky, ingest
from tests.oidc.world import World

#: What leads to a decision on each channel; told the world, tokens of ada's, and a code for more.
ASKED: dict[Channel, Callable[[World, dict[str, str]], object]] = {
    Channel.CODE_EXCHANGE: lambda world, issued: world.redeem(issued["code"]),
    Channel.REFRESH: lambda world, issued: world.refresh(issued["refresh_token"]),
    Channel.INTROSPECTION: lambda world, issued: world.introspect(issued["access_token"]),
    Channel.USERINFO: lambda world, issued: world.userinfo(issued["access_token"]),
}


def noted(request: Callable[[], object]) -> dict[str, str]:
    """Return what is noted while a request is answered."""
    logs.begin_request("of-this-test")
    request()
    return logs.noted()


@pytest.mark.parametrize("sick", [False, True], ids=["healthy", "sick"])
@pytest.mark.parametrize("channel", ASKED, ids=str)
def test_the_decision_of_each_channel_is_named_with_its_client(world: World, channel, sick):
    issued = {**world.tokens(), "code": world.code()}
    if sick:
        ingest(world.database, a_risky("bad", NOW))
    told = noted(lambda: ASKED[channel](world, issued))
    world.runtime.decision_log.close()

    with world.database.read() as tx:
        record = decisions.find(tx, told["decision"])
    assert record.facts.channel is channel
    assert record.outcome.wire == ("remediate" if sick else "full")
    assert told["client"] == record.facts.client.id == "wiki"


def test_a_machines_token_is_told_so_too(world: World):
    told = noted(world.machine_token)

    with world.database.read() as tx:
        assert decisions.find(tx, told["decision"]).facts.client.id == told["client"] == "backup"


@pytest.mark.parametrize("ask", [World.introspect, World.userinfo])
def test_an_equal_answer_names_the_decision_that_it_is_counted_on(world: World, ask):
    token = world.tokens()["access_token"]

    first = noted(lambda: ask(world, token))

    assert noted(lambda: ask(world, token)) == first
    # One that remembers no decisions, but the same records.
    world.server = Server(world.runtime)
    assert noted(lambda: ask(world, token)) == first


def test_a_resource_that_asks_is_the_client_of_its_request(world: World):
    token = world.tokens(scope="openid api.read")["access_token"]

    told = noted(lambda: world.introspect(token, "api"))

    assert told["client"] == "api"
    assert told["decision"].startswith("dec_")


def test_a_strangers_word_is_no_client(world: World):
    pair = base64.b64encode(b"wiki:wrong-secret").decode()
    form = b"grant_type=client_credentials"

    assert noted(lambda: world.post_raw(endpoints.token, form, f"Basic {pair}")) == {}


def test_a_client_whose_token_is_unknown_is_named_without_a_decision(world: World):
    assert noted(lambda: world.refresh("x" * 43)) == {"client": "wiki"}
