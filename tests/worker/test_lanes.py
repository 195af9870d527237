"""A receiver has few lanes, rests when it fails, and gets its width back when it answers."""

import threading
from datetime import timedelta

import pytest

from pdp.worker.lanes import LONGEST_REST, MOST_WAITING, WIDTH, Lanes
from tests.builders import NOW

FULL = WIDTH + MOST_WAITING
SECOND = timedelta(seconds=1)


@pytest.fixture
def lanes():
    made = Lanes(threads=4, on_room=lambda: None)
    yield made
    made.close()


def test_an_unknown_receiver_has_its_full_width(lanes):
    assert lanes.room("wiki", NOW) == FULL


def test_what_runs_and_waits_takes_room_until_it_is_over():
    told, go_on = threading.Event(), threading.Event()

    def waiting():
        go_on.wait(20)

    lanes = Lanes(threads=4, on_room=told.set)
    for _ in range(FULL):
        lanes.start("wiki", waiting)
    taken, another = lanes.room("wiki", NOW), lanes.room("mail", NOW)
    go_on.set()

    assert told.wait(20)
    assert (taken, another) == (0, FULL)
    lanes.close()
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


def test_what_waited_when_the_lanes_closed_is_left_to_others():
    begun, go_on, ran = threading.Semaphore(0), threading.Event(), []
    lanes = Lanes(threads=WIDTH, on_room=lambda: None)

    def task():
        begun.release()
        go_on.wait(20)
        ran.append(1)

    for _ in range(FULL):
        lanes.start("wiki", task)
    for _ in range(WIDTH):
        begun.acquire(timeout=20)
    closing = threading.Thread(target=lanes.close)
    closing.start()
    while lanes.room("mail", NOW):
        closing.join(0.01)
    go_on.set()
    closing.join(20)

    assert len(ran) == WIDTH
