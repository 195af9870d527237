import threading
from datetime import timedelta

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from pdp.ephemeral.counters import Counters
from pdp.ephemeral.rate_limit import Allowed, Limited, RateLimiter
from tests.builders import NOW
from tests.servers import free_port, redis_server

WINDOW = timedelta(minutes=5)
SECOND = timedelta(seconds=1)
NOBODY = f"redis://127.0.0.1:{free_port()}/0"


@pytest.fixture(params=["process", "redis"])
def limiter(request):
    """A limiter of each kind whose limit is 4 in effect when 4 or, in the process, 8 is asked."""
    if request.param == "process":
        return RateLimiter(pepper=b"pepper")
    url = request.getfixturevalue("redis_url")
    with Redis.from_url(url) as client:
        client.flushall()
    return RateLimiter(url, pepper=b"pepper")


@pytest.fixture
def limit(limiter):
    """What to ask for, so that four attempts are allowed."""
    return 4 if limiter._redis else 8  # noqa: SLF001  which kind it is


def hits(limiter, limit, times, *, key="account:ada", now=NOW):
    return [
        isinstance(limiter.hit(key, limit=limit, window=WINDOW, now=now), Allowed)
        for _ in range(times)
    ]


def test_attempts_beyond_the_limit_are_refused(limiter, limit):
    assert hits(limiter, limit, 6) == [True] * 4 + [False] * 2


def test_a_refusal_says_when_the_window_ends_and_keeps_its_word(limiter, limit):
    hits(limiter, limit, 4)

    refused = limiter.hit("account:ada", limit=limit, window=WINDOW, now=NOW)

    assert isinstance(refused, Limited)
    assert timedelta(0) < refused.retry_after <= WINDOW
    just_before = NOW + refused.retry_after - timedelta(milliseconds=1)
    assert hits(limiter, limit, 1, now=just_before) == [False]
    assert hits(limiter, limit, 1, now=NOW + refused.retry_after) == [True]


def test_keys_do_not_share_a_count(limiter, limit):
    hits(limiter, limit, 4)

    assert hits(limiter, limit, 1, key="account:eve") == [True]


def test_what_is_taken_back_makes_room_for_exactly_one_more(limiter, limit):
    hits(limiter, limit, 7)
    limiter.take_back("account:ada", window=WINDOW, now=NOW)

    assert hits(limiter, limit, 2) == [True, False]


def test_taking_back_more_than_was_counted_gives_no_credit(limiter, limit):
    for _ in range(3):
        limiter.take_back("account:ada", window=WINDOW, now=NOW)

    assert hits(limiter, limit, 5) == [True] * 4 + [False]


def test_a_reset_forgets(limiter, limit):
    hits(limiter, limit, 4)
    limiter.reset("account:ada", window=WINDOW, now=NOW)

    assert hits(limiter, limit, 1) == [True]


def test_attempts_made_at_the_same_time_are_all_counted(limiter, limit):
    allowed, barrier = [], threading.Barrier(16)

    def attempt():
        barrier.wait()
        allowed.extend(hits(limiter, limit, 1))

    threads = [threading.Thread(target=attempt) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(allowed) == 4


def test_the_process_alone_allows_half_and_never_nothing():
    assert hits(RateLimiter(pepper=b"p"), 10, 7) == [True] * 5 + [False] * 2
    assert hits(RateLimiter(pepper=b"p"), 1, 2) == [True, False]


def test_redis_learns_no_names(redis_url):
    RateLimiter(redis_url, pepper=b"p").hit("account:ada", limit=4, window=WINDOW, now=NOW)

    with Redis.from_url(redis_url) as client:
        assert not any(b"ada" in name for name in client.scan_iter())


def test_redis_forgets_when_the_window_ends(redis_url):
    with Redis.from_url(redis_url) as client:
        client.flushall()
        RateLimiter(redis_url, pepper=b"p").hit("account:ada", limit=4, window=WINDOW, now=NOW)

        (name,) = client.scan_iter()
        assert 0 < int(client.pttl(name)) <= WINDOW / timedelta(milliseconds=1)


# When Redis is down


def test_the_limit_still_holds_when_redis_dies_in_the_middle():
    with redis_server() as url:
        limiter = RateLimiter(url, pepper=b"p")
        assert hits(limiter, 8, 8) == [True] * 8
        assert hits(limiter, 8, 1) == [False]

    assert hits(limiter, 8, 6) == [True] * 4 + [False] * 2


def test_the_shared_count_is_used_again_when_redis_is_back():
    with redis_server() as url:
        limiter = RateLimiter(url, pepper=b"p")
    hits(limiter, 8, 4)
    assert hits(limiter, 8, 1) == [False]

    port = int(url.rsplit(":", 1)[1].split("/")[0])
    with redis_server(port):
        assert hits(limiter, 8, 9, now=NOW + 2 * SECOND) == [True] * 8 + [False]


def test_losing_redis_is_said_once_a_minute_without_its_password():
    limiter = RateLimiter(NOBODY.replace("//", "//:s3cret@"), pepper=b"p")
    with structlog.testing.capture_logs() as lines:
        for seconds in range(0, 61, 2):
            hits(limiter, 4, 1, now=NOW + seconds * SECOND)

    assert [line["event"] for line in lines] == ["redis.connection.lost"] * 2
    assert "s3cret" not in str(lines)


# Bounded memory without a way around it


def test_a_flood_of_keys_frees_none_that_was_counted():
    counters = Counters(capacity=3)
    ends = NOW + WINDOW
    assert counters.add("ada", 1, ends=ends, now=NOW)
    for number in range(100):
        counters.add(f"flood {number}", 1, ends=ends, now=NOW)

    assert len(counters) == 3
    assert not counters.add("ada", 1, ends=ends, now=NOW)


def test_keys_without_room_share_one_count():
    counters = Counters(capacity=1)
    ends = NOW + WINDOW
    counters.add("ada", 5, ends=ends, now=NOW)

    allowed = [counters.add(f"flood {number}", 5, ends=ends, now=NOW) for number in range(8)]

    assert allowed == [True] * 5 + [False] * 3


def test_what_has_ended_makes_room():
    counters = Counters(capacity=1)
    counters.add("ada", 1, ends=NOW + SECOND, now=NOW)

    assert counters.add("eve", 1, ends=NOW + WINDOW, now=NOW + 2 * SECOND)
    assert counters.count("eve", now=NOW + 2 * SECOND) == 1
    assert counters.count("ada", now=NOW + 2 * SECOND) == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 400)), max_size=200))
def test_no_key_is_ever_counted_beyond_its_limit_in_a_window(attempts):
    limiter = RateLimiter(pepper=b"p", capacity=5)
    counted: dict[tuple[int, object], int] = {}
    for key, seconds in sorted(attempts, key=lambda attempt: attempt[1]):
        now = NOW + seconds * SECOND
        ends = limiter._window(str(key), WINDOW, now).ends  # noqa: SLF001  the window it falls into
        if isinstance(limiter.hit(str(key), limit=4, window=WINDOW, now=now), Allowed):
            counted[key, ends] = counted.get((key, ends), 0) + 1

    assert all(number <= 2 for number in counted.values())
