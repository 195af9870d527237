"""Jobs as rows: each statement touches the jobs that it is about, and no other."""

from datetime import timedelta

import pytest

from pdp.store import jobs
from pdp.store.database import Statement
from pdp.store.jobs import CLAIM, JobState
from tests.builders import NOW

SECOND = timedelta(seconds=1)
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def mixed(database):
    """Jobs of one receiver in every state; by the words that name them."""
    made: dict[str, str] = {}
    with database.write() as tx:
        for number, name in enumerate(("dead", "running", "delayed", "tried", "untried")):
            jobs.enqueue(tx, "deliver-logout", {}, now=NOW + number * SECOND, receiver="wiki")
            (made[name],) = {each.id for each in jobs.list_some(tx)} - set(made.values())
        now = NOW + 9 * SECOND
        # One at a time: the oldest comes first.
        claimed = [job for _ in range(4) for job in jobs.claim(tx, now=now, receiver="wiki")]
        dead, running, delayed, tried = claimed
        assert [each.id for each in claimed] == list(made.values())[:4]
        assert running.attempts == 1
        jobs.bury(tx, dead.id, error="gone")
        jobs.delay(tx, delayed.id, not_before=LATER, error="503", is_refused=True)
        jobs.delay(tx, tried.id, not_before=now, error="503")
    return made


def _states(database):
    with database.read() as tx:
        return {each.id: each.state for each in jobs.list_some(tx)}


def _names(found, mixed):
    return [name for job in found for name, job_id in mixed.items() if job_id == job.id]


def test_a_claim_takes_what_there_is_room_for_whatever_plan_the_database_chooses(database):
    with database.write() as tx:
        for number in range(5):
            jobs.enqueue(tx, "deliver-logout", {}, now=NOW + number * SECOND)
        if not tx.is_sqlite:
            # What is left looks for due jobs anew for each row of the table.
            for way in ("hashjoin", "hashagg", "mergejoin", "sort", "material"):
                tx.run(Statement(f"SET LOCAL enable_{way} = off"), {})
        claimed = jobs.claim(tx, now=NOW + 9 * SECOND, count=2)

    assert len(claimed) == 2


def test_what_is_due_is_claimed_the_longest_due_first(database, mixed):
    now = NOW + 10 * SECOND
    with database.write() as tx:
        claimed = [job for _ in range(9) for job in jobs.claim(tx, now=now, receiver="wiki")]

    assert _names(claimed, mixed) == ["untried", "tried"]


def test_one_job_that_waits_for_its_next_try_holds_up_no_other(database, mixed):
    with database.read() as tx:
        assert jobs.receivers_due(tx, now=NOW + 10 * SECOND) == ["wiki"]
    with database.write() as tx:
        jobs.claim(tx, now=NOW + 10 * SECOND, receiver="wiki", count=9)
        assert jobs.receivers_due(tx, now=NOW + 10 * SECOND) == []
        assert jobs.receivers_due(tx, now=LATER) == ["wiki"]
    assert len(mixed) == 5


def test_only_what_was_tried_and_waits_is_buried_for_its_age(database, mixed):
    with database.write() as tx:
        buried = jobs.bury_old(tx, before=LATER)

    states = _states(database)
    assert buried == ["wiki", "wiki"]
    assert {name for name in mixed if states[mixed[name]] is JobState.DEAD} == {
        "dead",
        "delayed",
        "tried",
    }
    assert states[mixed["running"]] is JobState.RUNNING


def test_only_what_was_given_up_is_forgotten(database, mixed):
    with database.write() as tx:
        assert jobs.forget_dead(tx, before=NOW) == 0
        assert jobs.forget_dead(tx, before=LATER) == 1

    assert _states(database).keys() == set(mixed.values()) - {mixed["dead"]}


def test_giving_back_what_was_not_tried_is_no_attempt_and_touches_no_other(database, mixed):
    now = NOW + 10 * SECOND
    with database.write() as tx:
        claimed = jobs.claim(tx, now=now, receiver="wiki", count=9)
        given_back = jobs.release(tx, claimed)
        found = {each.id: (each.state, each.attempts) for each in jobs.list_some(tx)}
        again = jobs.claim(tx, now=now, receiver="wiki", count=9)

    assert (given_back, set(_names(claimed, mixed))) == (2, {"tried", "untried"})
    assert {name: found[mixed[name]] for name in mixed} == {
        "dead": (JobState.DEAD, 1),
        "running": (JobState.RUNNING, 1),
        "delayed": (JobState.READY, 1),
        "tried": (JobState.READY, 1),
        "untried": (JobState.READY, 0),
    }
    assert {each.id: each for each in again} == {each.id: each for each in claimed}


def test_a_claim_that_passed_to_another_worker_is_not_given_back_by_the_first(database):
    with database.write() as tx:
        jobs.enqueue(tx, "deliver-logout", {}, now=NOW, receiver="wiki")
        first = jobs.claim(tx, now=NOW, receiver="wiki")
        jobs.take_back(tx, now=NOW + CLAIM + SECOND)
        jobs.claim(tx, now=NOW + CLAIM + SECOND, receiver="wiki")

        assert jobs.release(tx, first) == 0
        assert [(each.state, each.attempts) for each in jobs.list_some(tx)] == [
            (JobState.RUNNING, 2)
        ]


def test_what_was_given_up_meanwhile_is_not_given_back(database):
    with database.write() as tx:
        jobs.enqueue(tx, "deliver-logout", {}, now=NOW, receiver="wiki")
        claimed = jobs.claim(tx, now=NOW, receiver="wiki")
        jobs.bury(tx, claimed[0].id, error="gone")

        assert jobs.release(tx, claimed) == 0
        assert [each.state for each in jobs.list_some(tx)] == [JobState.DEAD]


def test_what_begins_anew_has_its_refusals_its_tries_and_its_day_again(database, mixed):
    with database.write() as tx:
        assert jobs.revive(tx, mixed["delayed"], now=LATER)
        assert not jobs.revive(tx, mixed["running"], now=LATER)
        (revived,) = [each for each in jobs.list_some(tx) if each.id == mixed["delayed"]]
        (again,) = [
            each
            for each in jobs.claim(tx, now=LATER, receiver="wiki", count=9)
            if each.id == mixed["delayed"]
        ]

    assert (revived.attempts, revived.created_at, revived.not_before) == (0, LATER, LATER)
    assert (again.attempts, again.refusals) == (1, 0)


def test_a_job_that_a_worker_has_in_hand_is_not_dropped(database, mixed):
    with database.write() as tx:
        assert not jobs.drop(tx, mixed["running"])
        assert jobs.drop(tx, mixed["dead"])

    assert _states(database).keys() == set(mixed.values()) - {mixed["dead"]}


def test_claims_that_ran_out_are_taken_back_and_no_others(database, mixed):
    with database.write() as tx:
        assert jobs.take_back(tx, now=NOW + 9 * SECOND + CLAIM) == 0
        assert jobs.has_run_out(tx, now=NOW + 10 * SECOND + CLAIM)
        assert jobs.take_back(tx, now=NOW + 10 * SECOND + CLAIM) == 1

    assert _states(database)[mixed["running"]] is JobState.READY
    assert _states(database)[mixed["dead"]] is JobState.DEAD


def test_what_is_not_due_yet_is_not_late(database):
    with database.write() as tx:
        jobs.enqueue(tx, "propagate-change", {}, now=NOW)
        (job,) = jobs.claim(tx, now=NOW)
        jobs.delay(tx, job.id, not_before=LATER, error="locked")

        assert jobs.lag(tx, now=NOW + SECOND) == timedelta(0)
        assert jobs.lag(tx, now=LATER + SECOND) == SECOND


def test_the_backlog_of_each_receiver_is_told_by_itself(database, mixed):
    with database.write() as tx:
        jobs.enqueue(tx, "deliver-logout", {}, now=LATER, receiver="mail")
        found = jobs.backlog(tx)

    assert (found["wiki"].waiting, found["wiki"].dead) == (4, 1)
    assert (found["mail"].waiting, found["mail"].dead, found["mail"].oldest) == (1, 0, LATER)
    assert found["wiki"].oldest == NOW + SECOND
    assert len(mixed) == 5
