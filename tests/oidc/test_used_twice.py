"""What may be used once: a second use, a race and a restart, on both databases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from prometheus_client import REGISTRY

from pdp.domain.events import Action
from pdp.oidc.server import Server
from pdp.store.database import Database, Statement
from tests.builders import FrozenClock
from tests.deployment import a_runtime
from tests.oidc.world import Answered, World

ROUNDS = 200
AT_ONCE = 32
_AUDITED = Statement("SELECT COUNT(*) FROM audit_events WHERE action = :action")


def _audited(world: World, action: Action) -> int:
    with world.database.read() as tx:
        row = tx.one(_AUDITED, {"action": action.value})
    assert row is not None
    return int(row[0])


def _counted(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0


def _is_dead(world: World, issued: dict[str, object]) -> bool:
    """Tell whether nothing that came of one grant is good for anything."""
    return (
        world.introspect(str(issued["access_token"])) == {"active": False}
        and world.introspect(str(issued["refresh_token"])) == {"active": False}
        and world.userinfo(str(issued["access_token"])).status == 401
        and world.refresh(str(issued["refresh_token"])).error == "invalid_grant"
    )


def test_a_second_redemption_of_a_code_ends_what_the_first_got_and_is_told(world: World):
    code, counted = world.code(), _counted("pdp_code_replay_detected_total")
    first = world.redeem(code)

    second = world.redeem(code)

    assert (second.status, second.error) == (400, "invalid_grant")
    assert _is_dead(world, first.body)
    assert _audited(world, Action.CODE_REPLAYED) == 1
    assert _counted("pdp_code_replay_detected_total") == counted + 1


def test_a_second_use_of_a_refresh_token_ends_its_family_and_is_told(world: World):
    first, counted = world.tokens(), _counted("pdp_refresh_reuse_detected_total")
    second = world.refresh(first["refresh_token"])

    reused = world.refresh(first["refresh_token"])

    assert (reused.status, reused.error) == (400, "invalid_grant")
    assert _is_dead(world, second.body)
    assert _audited(world, Action.REFRESH_REUSED) == 1
    assert _counted("pdp_refresh_reuse_detected_total") == counted + 1


@pytest.mark.parametrize("on_loop", [False, True], ids=["threads", "loop"])
@pytest.mark.parametrize("kind", ["code", "refresh token"])
def test_of_32_redemptions_at_once_at_most_one_is_answered(
    database_url: str, clock: FrozenClock, kind: str, *, on_loop: bool
):
    database = Database.open(database_url)
    world = World(database, clock, on_loop=on_loop)
    barrier = Barrier(AT_ONCE)
    answered = 0

    def present(redeem: Callable[[str], Answered], one: str) -> Answered:
        barrier.wait()
        return redeem(one)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(ROUNDS):
            redeem, one = (
                (world.redeem, world.code())
                if kind == "code"
                else (world.refresh, world.tokens()["refresh_token"])
            )
            sent = [pool.submit(present, redeem, one) for _ in range(AT_ONCE)]
            answers = [each.result() for each in sent]
            assert {answer.status for answer in answers} <= {200, 400}
            granted = [answer for answer in answers if answer.status == 200]
            assert len(granted) <= 1
            assert all(_is_dead(world, answer.body) for answer in granted)
            answered += len(granted)

    assert answered > 0
    world.close()
    database.close()


@pytest.mark.parametrize("kind", ["code", "refresh token"])
def test_a_restart_forgets_no_use(world: World, kind: str):
    """What was used stays used for a process that began after it: only rows remember."""
    code = world.code()
    issued = world.redeem(code).body
    newest = issued if kind == "code" else world.refresh(str(issued["refresh_token"])).body
    world.runtime = a_runtime(world.database, world.clock)
    world.server = Server(world.runtime)

    again = world.redeem(code) if kind == "code" else world.refresh(str(issued["refresh_token"]))

    assert (again.status, again.error) == (400, "invalid_grant")
    assert _is_dead(world, newest)
