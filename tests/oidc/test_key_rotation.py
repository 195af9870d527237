"""Signing keys change while tokens are issued and checked, and a key that is lost is shut out."""

import threading
from concurrent.futures import ThreadPoolExecutor

from pdp.jose.keys import generate
from pdp.jose.tokens import Refusal, verify_jwt
from pdp.oidc.server import Server
from pdp.usecases.rotate_keys import add_key, retire_key
from tests.deployment import KEY, a_runtime
from tests.oidc.world import API, World

ISSUER = "https://id.example.org"


def _rotate(world: World) -> str:
    """Let a new key sign from now on; return its name."""
    key = generate("ES256", signs_from=world.clock())
    with world.database.write() as tx:
        add_key(tx, world.runtime.envelope, key, actor="op", now=world.clock())
    return key.kid


def _retire(world: World, kid: str) -> None:
    with world.database.write() as tx:
        retire_key(tx, world.runtime.envelope, kid, actor="op", now=world.clock())


def _active(world: World, server: Server, token: str) -> bool:
    here, world.server = world.server, server
    told = world.introspect(token, "api")
    world.server = here
    return told["active"] is True


def test_no_token_fails_to_verify_while_keys_are_rotated_under_load(world: World):
    enough = threading.Event()
    issued: list[str] = []
    failed: list[object] = []

    def issue_and_check() -> None:
        while not enough.is_set():
            token = str(world.machine_token().body["access_token"])
            with world.database.read() as tx:
                keys = world.runtime.configurations.current(tx).keys
            claims = verify_jwt(
                token,
                keys,
                typ="at+jwt",
                algorithms=["ES256"],
                issuer=ISSUER,
                audience=API,
                now=world.clock(),
            )
            if isinstance(claims, Refusal):
                failed.append(claims)
            if world.introspect(token, "api")["active"] is not True:
                failed.append(token)
            issued.append(token)

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(issue_and_check) for _ in range(4)]
        for number in range(1, 9):
            _rotate(world)
            while len(issued) < 8 * number and not any(each.done() for each in running):
                enough.wait(0.001)
        enough.set()
        for each in running:
            each.result()

    assert failed == []
    assert len(issued) >= 64


def test_what_a_lost_key_signed_is_refused_by_every_process_from_its_retirement_on(world: World):
    other = Server(a_runtime(world.database, world.clock))
    old = world.tokens()["access_token"]
    _rotate(world)
    new = world.tokens()["access_token"]
    for token in (old, new):
        assert _active(world, world.server, token)
        assert _active(world, other, token)

    _retire(world, KEY.kid)

    for server in (world.server, other):
        assert not _active(world, server, old)
        assert _active(world, server, new)
    assert world.userinfo(old).status == 401
    assert world.userinfo(new).status == 200
