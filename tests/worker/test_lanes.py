"""A receiver has few lanes, rests when it fails, and gets its width back when it answers."""

import gc
import threading
import weakref
from datetime import timedelta

import pytest

from pdp.worker.lanes import LONGEST_REST, MOST_WAITING, WIDTH, Lanes
from tests.builders import NOW

FULL = WIDTH + MOST_WAITING
SECOND = timedelta(seconds=1)


def lanes_of(threads, on_room=lambda: None):
    """Lanes whose tasks are functions, and whose work is to call them."""
    return Lanes(lambda task: task(), threads=threads, on_room=on_room)


def end(lanes):
    """Close lanes and wait for what runs; return what waited."""
    left = lanes.close()
    lanes.wait()
    return left


@pytest.fixture
def lanes():
    made = lanes_of(4)
    yield made
    end(made)


def test_an_unknown_receiver_has_its_full_width(lanes):
    assert lanes.room("wiki", NOW) == FULL


def test_what_runs_and_waits_takes_room_until_it_is_over():
    told, go_on = threading.Event(), threading.Event()

    def waiting():
        go_on.wait(20)

    lanes = lanes_of(4, told.set)
    for _ in range(FULL):
        lanes.start("wiki", waiting)
    taken, another = lanes.room("wiki", NOW), lanes.room("mail", NOW)
    go_on.set()

    assert told.wait(20)
    assert (taken, another) == (0, FULL)
    end(lanes)
    assert lanes.room("wiki", NOW) == 0


def test_a_receiver_that_failed_rests_and_is_then_tried_with_one(lanes):
    lanes.failed("wiki", now=NOW, chance=1.0)

    assert lanes.room("wiki", NOW) == 0
    assert lanes.room("wiki", NOW + SECOND) == 1
    assert lanes.room("mail", NOW) == FULL


def test_a_receiver_that_rested_is_tried_with_one_at_a_time(lanes):
    go_on = threading.Event()

    def waiting():
        go_on.wait(20)

    lanes.failed("wiki", now=NOW, chance=1.0)
    lanes.start("wiki", waiting)
    room = lanes.room("wiki", NOW + SECOND)
    go_on.set()

    assert room == 0


def test_failures_at_the_same_time_are_one(lanes):
    for _ in range(5):
        lanes.failed("wiki", now=NOW, chance=1.0)

    assert lanes.room("wiki", NOW + SECOND) == 1


def test_each_failure_in_a_row_makes_the_rest_longer_up_to_a_bound(lanes):
    now = NOW
    for _ in range(40):
        lanes.failed("wiki", now=now, chance=1.0)
        now += LONGEST_REST
    lanes.failed("wiki", now=now, chance=1.0)

    assert lanes.room("wiki", now + LONGEST_REST - SECOND) == 0
    assert lanes.room("wiki", now + LONGEST_REST) == 1


def test_one_answer_gives_the_full_width_back(lanes):
    lanes.failed("wiki", now=NOW, chance=1.0)
    lanes.answered("wiki")

    assert lanes.room("wiki", NOW) == FULL


def test_nothing_starts_once_the_lanes_are_closed(lanes):
    started = threading.Event()
    lanes.close()
    lanes.start("wiki", started.set)

    assert not started.is_set()
    assert lanes.room("wiki", NOW) == 0


@pytest.mark.parametrize("threads", [WIDTH, 1], ids=["for-a-lane", "for-a-thread"])
def test_what_waits_when_the_lanes_close_is_returned_at_once_and_never_runs(threads):
    begun, go_on, ran = threading.Semaphore(0), threading.Event(), []

    def work(task):
        begun.release()
        go_on.wait(20)
        ran.append(task)

    lanes = Lanes(work, threads=threads, on_room=lambda: None)
    for task in range(FULL):
        lanes.start("wiki", task)
    for _ in range(threads):
        begun.acquire(timeout=20)
    left = lanes.close()
    done_before = list(ran)
    go_on.set()
    lanes.wait()

    assert done_before == []
    assert sorted(ran) == list(range(threads))
    assert left == list(range(threads, FULL))


def test_more_is_asked_for_each_time_that_few_of_a_receiver_wait():
    told, done = [], threading.Semaphore(0)
    go_on = threading.Event()

    def task():
        go_on.wait(20)
        done.release()

    lanes = lanes_of(4, lambda: told.append(1))
    for _ in range(FULL):
        lanes.start("wiki", task)
    go_on.set()
    for _ in range(FULL):
        assert done.acquire(timeout=20)
    end(lanes)

    # Not while half of what may wait still waits.
    assert len(told) == FULL - MOST_WAITING // 2


def test_nothing_is_kept_of_a_receiver_that_has_had_everything(lanes):
    class Name(str):
        """A name of which one can tell whether anybody keeps it."""

        __slots__ = ("__weakref__",)

    name = Name("wiki")
    kept = weakref.ref(name)
    lanes.start(name, lambda: None)
    del name
    end(lanes)
    gc.collect()

    assert kept() is None


def test_a_receiver_that_has_nothing_more_to_get_rests_all_the_same_once_it_failed():
    told = threading.Event()
    lanes = lanes_of(4, told.set)
    lanes.start("wiki", lambda: lanes.failed("wiki", now=NOW, chance=1.0))
    assert told.wait(20)

    assert lanes.room("wiki", NOW) == 0
    end(lanes)


def test_what_ran_before_the_lanes_closed_is_not_returned(lanes):
    done = threading.Semaphore(0)
    for _ in range(FULL):
        lanes.start("wiki", done.release)
    for _ in range(FULL):
        assert done.acquire(timeout=20)

    assert end(lanes) == []
