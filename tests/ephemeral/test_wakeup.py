import threading
import time
from datetime import timedelta

from pdp.ephemeral.wakeup import Wakeup
from tests.builders import NOW
from tests.servers import redis_server

LONG = timedelta(seconds=20)
SHORT = timedelta(milliseconds=50)
NOT_WAITED = 10.0


def woken(wakeup):
    """Start a thread that waits twice on `wakeup`, and return it."""

    def work():
        # The first wait on Redis may end with the answer to the subscription.
        for _ in range(2):
            wakeup.wait(LONG, NOW)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def nudged_until_done(wakeup, thread):
    deadline = time.monotonic() + NOT_WAITED
    while thread.is_alive() and time.monotonic() < deadline:
        wakeup.nudge(NOW)
        thread.join(0.02)
    return not thread.is_alive()


def test_a_nudge_wakes_the_worker_of_the_same_process():
    wakeup = Wakeup()

    assert nudged_until_done(wakeup, woken(wakeup))


def test_a_nudge_before_the_wait_is_not_lost():
    wakeup = Wakeup()
    wakeup.nudge(NOW)
    begun = time.monotonic()
    wakeup.wait(LONG, NOW)

    assert time.monotonic() - begun < NOT_WAITED


def test_a_nudge_reaches_another_process_through_redis(redis_url):
    here, there = Wakeup(redis_url), Wakeup(redis_url)

    assert nudged_until_done(here, woken(there))
    here.close()
    there.close()


def test_the_worker_polls_when_nobody_nudges():
    Wakeup().wait(SHORT, NOW)


def test_without_redis_the_worker_polls_and_nudges_in_the_process_still_arrive():
    with redis_server() as url:
        wakeup = Wakeup(url)
        wakeup.wait(SHORT, NOW)

    wakeup.wait(SHORT, NOW)
    assert nudged_until_done(wakeup, woken(wakeup))
    wakeup.close()
