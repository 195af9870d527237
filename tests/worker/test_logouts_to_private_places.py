"""A logout address that leads into our own network: the worker calls nobody there."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from pdp.outbound.client import Outbound
from pdp.settings import OutboundSettings
from pdp.store import jobs
from pdp.worker.loop import Worker
from tests.deployment import a_client, a_deployment, a_risky, ingest, signed_in
from tests.outbound.peers import answering, peer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def _outbound(*allowed: str, resolves_to: str = "127.0.0.1") -> Outbound:
    settings = OutboundSettings(allow_http=True, allow_networks=tuple(map(ip_network, allowed)))
    return Outbound(settings, resolver=lambda _: [ip_address(resolves_to)])


def _work(database, uri: str, outbound: Outbound) -> list[jobs.StoredJob]:
    """Turn the device of somebody bad who is signed in at `uri`'s client; return what waits."""
    runtime = a_deployment(database, None, a_client("wiki", backchannel_logout_uri=uri))
    signed_in(database, "wiki")
    ingest(database, a_risky("evt-1"))
    worker = Worker(replace(runtime, outbound=outbound), chance=lambda: 1.0)
    while worker.run_due():
        pass
    worker.close()
    outbound.close()
    with database.read() as tx:
        return jobs.list_some(tx)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "0177.0.0.1"),
        *("127.1", "localhost", "rp.example", "rp.example@127.0.0.1", "169.254.169.254"),
    ],
)
def test_the_canary_hears_of_no_logout(database, host):
    with peer(answering(OK)) as canary:
        waiting = _work(database, f"http://{host}:{canary.port}/logout", _outbound())

    assert canary.connections == 0
    assert [(job.type, job.attempts) for job in waiting] == [("deliver-logout", 1)]


def test_a_public_receiver_that_redirects_into_our_network_sends_nobody_there(database):
    with peer(answering(OK)) as canary:
        location = f"Location: http://127.0.0.1:{canary.port}/"
        moved = f"HTTP/1.1 307 T\r\n{location}\r\nContent-Length: 0\r\n\r\n"
        with peer(answering(moved.encode())) as receiver:
            outbound = _outbound("127.0.0.0/8")
            waiting = _work(database, f"http://rp.example:{receiver.port}/logout", outbound)

    assert len(receiver.requests) == 1
    assert canary.connections == 0
    assert [job.last_error for job in waiting] == ["the receiver answered 307, not 200"]
