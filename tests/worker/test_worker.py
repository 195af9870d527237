"""The worker does each job at least once, holds nobody up, gives up loudly, and stops."""

import base64
import json
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from pdp.domain.compliance import Compliance
from pdp.domain.ids import ClientId, SessionId, SourceId, SubjectId
from pdp.domain.signal import DeviceName, NameKind, RiskLevel
from pdp.jose.tokens import Refusal, verify_jwt
from pdp.policy.rules import SILENT
from pdp.store import exposures, jobs, signals, sources
from pdp.store.database import Database, Statement
from pdp.store.exposures import Receiver
from pdp.store.jobs import CLAIM, JobState
from pdp.usecases.follow_ups import DeliverLogout, PropagateChange, follow_up
from pdp.usecases.register_client import disable_client
from pdp.worker.back_off import LONGEST_BACK_OFF, back_off
from pdp.worker.jobs import JOBS
from pdp.worker.lanes import MOST_WAITING, WIDTH
from pdp.worker.loop import MOST_CLAIMED, Worker
from pdp.worker.timers import (
    PATIENCE,
    Timers,
    clean_up,
    review_assessed_otherwise,
    review_overdue,
    take_back_jobs,
)
from tests.builders import NOW, SOURCE, WEBHOOK_SECRET, FrozenClock
from tests.databases import break_off_at_commit
from tests.deployment import (
    RULES,
    a_calm,
    a_client,
    a_deployment,
    a_risky,
    a_runtime,
    a_signal,
    ingest,
    signed_in,
    the_device,
)
from tests.outbound.peers import answering, hanging, peer

#: Logouts for one receiver that a worker takes on.
MOST_OF_ONE = WIDTH + MOST_WAITING
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
BROKEN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"

_JOBS = Statement("SELECT type, state, attempts, last_error FROM jobs ORDER BY created_at, id")
_DELIVERIES = Statement("SELECT delivery_id FROM deliveries ORDER BY delivery_id")


def _until(holds):
    """Return once `holds()`; a test that waits for longer than 20 s has failed."""
    waiting = threading.Event()
    for _ in range(2000):
        if holds():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not come to that within 20 s")


def _jobs(runtime):
    with runtime.database.read() as tx:
        return [tuple(row) for row in tx.all(_JOBS, {})]


def _work(runtime):
    """Do everything that is due now, and all that follows from it."""
    worker = Worker(runtime, chance=lambda: 1.0)
    while worker.run_due():
        pass
    worker.close()


def _uri(receiver):
    return f"http://127.0.0.1:{receiver.port}/logout"


def _tokens(receiver):
    bodies = [request.partition(b"\r\n\r\n")[2].decode() for request in receiver.requests]
    return [parse_qs(body)["logout_token"][0] for body in bodies]


def _turn_bad(runtime, *client_ids):
    """Sign somebody in at the clients from a device that then turns bad."""
    person = signed_in(runtime.database, *client_ids)
    ingest(runtime.database, a_risky("evt-1"))
    return person


def _logout(client, session):
    receiver = Receiver(client=ClientId(client), session=SessionId(session), committed_at=NOW)
    return DeliverLogout(receiver=receiver, subject=SubjectId("usr_ada"))


def _move(runtime, uri):
    with runtime.database.write() as tx:
        tx.run(Statement("UPDATE clients SET backchannel_logout_uri = :uri"), {"uri": uri})
        tx.run(Statement("UPDATE generations SET value = value + 1"), {})


def _given_up(client):
    labels = {"client": client, "result": "given-up"}
    return REGISTRY.get_sample_value("pdp_logout_deliveries_total", labels) or 0


def _tried(runtime):
    return sum(attempts for _, _, attempts, _ in _jobs(runtime))


def _queue(tx, client, count):
    for number in range(count):
        follow_up(tx, _logout(client, f"ses_{number}"), now=NOW)


def _ready(runtime):
    """Return for whom jobs wait, and the types of our own."""
    with runtime.database.read() as tx:
        found = jobs.list_some(tx, state=JobState.READY)
    return [each.receiver or each.type for each in found]


def _running(runtime):
    return [job for job in _jobs(runtime) if job[1] == "running"]


# Back-channel logout


@pytest.mark.parametrize("answer", [OK, NO_CONTENT], ids=["200", "204"])
def test_a_receiver_is_told_with_a_logout_token_and_its_answer_is_noted(database, clock, answer):
    with peer(answering(answer)) as receiver:
        client = a_client("wiki", backchannel_logout_uri=_uri(receiver))
        runtime = a_deployment(database, clock, client)
        ada = _turn_bad(runtime, "wiki")
        _work(runtime)

    (token,) = _tokens(receiver)
    with database.read() as tx:
        keys = runtime.configurations.current(tx).keys
        (window,) = exposures.of_device(tx, ada.device)
    claims = verify_jwt(
        token,
        keys,
        typ="logout+jwt",
        algorithms=["ES256"],
        issuer="https://id.example.org",
        audience="wiki",
        now=NOW,
    )
    assert not isinstance(claims, Refusal)
    assert claims["sid"] == ada.session
    assert claims["sub"] == ada.subject
    assert claims["events"] == {"http://schemas.openid.net/event/backchannel-logout": {}}
    assert (claims["iat"], claims["exp"]) == (int(NOW.timestamp()), int(NOW.timestamp()) + 120)
    assert claims["jti"]
    assert "nonce" not in claims
    assert (window.sent_at, window.acknowledged_at) == (NOW, NOW)
    assert _jobs(runtime) == []


def test_the_time_of_sending_is_before_that_of_the_acknowledgement_and_both_are_counted(database):
    class Ticking(FrozenClock):
        def __call__(self):
            self.advance(timedelta(seconds=1))
            return super().__call__()

    delivered = "pdp_logout_deliveries_total", {"client": "ticking", "result": "delivered"}
    with peer(answering(OK)) as receiver:
        client = a_client("ticking", backchannel_logout_uri=_uri(receiver))
        runtime = a_deployment(database, Ticking(NOW), client)
        ada = _turn_bad(runtime, "ticking")
        before = REGISTRY.get_sample_value("pdp_signal_to_enforcement_seconds_count") or 0
        delivered_before = REGISTRY.get_sample_value(*delivered) or 0
        _work(runtime)

    with database.read() as tx:
        (window,) = exposures.of_device(tx, ada.device)
    assert window.sent_at is not None
    assert window.acknowledged_at is not None
    assert NOW < window.sent_at < window.acknowledged_at
    assert REGISTRY.get_sample_value(*delivered) == delivered_before + 1
    assert REGISTRY.get_sample_value("pdp_signal_to_enforcement_seconds_count") == before + 1


def test_a_logout_that_was_refused_for_good_is_counted_as_given_up(database, clock):
    with peer(answering(REFUSED)) as receiver:
        client = a_client("refusing", backchannel_logout_uri=_uri(receiver))
        runtime = a_deployment(database, clock, client)
        before = _given_up("refusing")
        _turn_bad(runtime, "refusing")
        for _ in range(5):
            _work(runtime)
            clock.advance(LONGEST_BACK_OFF)

    assert _given_up("refusing") == before + 1


def test_a_logout_token_is_sent_as_a_form(database, clock):
    with peer(answering(OK)) as receiver:
        client = a_client("wiki", backchannel_logout_uri=_uri(receiver))
        runtime = a_deployment(database, clock, client)
        _turn_bad(runtime, "wiki")
        _work(runtime)

    (request,) = receiver.requests
    assert request.startswith(b"POST /logout HTTP/1.1\r\n")
    assert b"content-type: application/x-www-form-urlencoded" in request.lower()


def test_the_token_is_signed_as_the_client_registered(database, clock):
    with peer(answering(OK)) as receiver:
        client = a_client("wiki", backchannel_logout_uri=_uri(receiver), id_token_alg="ES256")
        runtime = a_deployment(database, clock, client)
        _turn_bad(runtime, "wiki")
        _work(runtime)

    encoded = _tokens(receiver)[0].split(".")[0]
    header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    assert (header["alg"], header["typ"]) == ("ES256", "logout+jwt")


def test_a_receiver_that_cannot_log_out_is_asked_three_times(database, clock):
    with peer(answering(REFUSED)) as receiver:
        client = a_client("wiki", backchannel_logout_uri=_uri(receiver))
        runtime = a_deployment(database, clock, client)
        ada = _turn_bad(runtime, "wiki")
        for _ in range(5):
            _work(runtime)
            clock.advance(LONGEST_BACK_OFF)

    ((kind, state, attempts, error),) = _jobs(runtime)
    assert (kind, state, attempts) == ("deliver-logout", "dead", 3)
    assert "400" in error
    assert len(receiver.requests) == 3
    with database.read() as tx:
        (window,) = exposures.of_device(tx, ada.device)
    assert (window.sent_at, window.acknowledged_at) == (NOW, None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(BROKEN, "503", id="the-receiver-is-broken"),
        pytest.param(MOVED, "302", id="a-redirect-is-not-followed"),
    ],
)
def test_a_receiver_that_is_down_is_tried_for_a_day_and_then_given_up(
    database, clock, answer, reason
):
    tries = 20
    with peer(answering(answer)) as receiver:
        client = a_client("wiki", backchannel_logout_uri=_uri(receiver))
        runtime = a_deployment(database, clock, client)
        _turn_bad(runtime, "wiki")
        for _ in range(tries):
            _work(runtime)
            clock.advance(LONGEST_BACK_OFF)
        clean_up(runtime)
        (waiting,) = _jobs(runtime)
        clock.advance(PATIENCE)
        clean_up(runtime)
        _work(runtime)

    assert waiting[:3] == ("deliver-logout", "ready", tries)
    ((_, state, attempts, error),) = _jobs(runtime)
    assert (state, attempts) == ("dead", tries)
    assert reason in error
    assert len(receiver.requests) == tries


def test_a_receiver_that_came_back_is_told_then(database, clock):
    with peer(answering(OK)) as receiver:
        gone = a_client("wiki", backchannel_logout_uri="http://127.0.0.1:9/")
        runtime = a_deployment(database, clock, gone)
        _turn_bad(runtime, "wiki")
        _work(runtime)
        (waiting,) = _jobs(runtime)
        _move(runtime, _uri(receiver))
        clock.advance(LONGEST_BACK_OFF)
        _work(runtime)

    assert waiting[1:3] == ("ready", 1)
    assert len(receiver.requests) == 1
    assert _jobs(runtime) == []


def test_a_slow_receiver_does_not_hold_up_the_others(database, clock):
    slow = [f"slow-{number}" for number in range(6)]
    with peer(hanging) as stuck, peer(answering(OK)) as quick:
        runtime = a_deployment(
            database,
            clock,
            a_client("slow", backchannel_logout_uri=_uri(stuck)),
            a_client("quick", backchannel_logout_uri=_uri(quick)),
        )

        for person in slow:
            name = DeviceName(NameKind.SERIAL, person)
            signed_in(database, "slow", "quick", person=person, names=(name,))
            ingest(database, a_risky(f"evt-{person}", device=(name,)))
        worker = Worker(runtime, threads=4)
        running = threading.Thread(target=worker.run)
        running.start()
        _until(lambda: len(quick.requests) == len(slow))

        # All six logouts of the quick one went by while two of the slow one were stuck.
        assert stuck.connections <= 2
        stuck.stop()
        worker.stop()
        running.join(20)

    assert not running.is_alive()


def test_refusals_are_counted_apart_from_the_tries_of_an_outage(database, clock):
    with peer(answering(BROKEN)) as broken, peer(answering(REFUSED)) as refusing:
        runtime = a_deployment(
            database, clock, a_client("wiki", backchannel_logout_uri=_uri(broken))
        )
        _turn_bad(runtime, "wiki")
        for _ in range(4):
            _work(runtime)
            clock.advance(LONGEST_BACK_OFF)
        _move(runtime, _uri(refusing))
        states = []
        for _ in range(3):
            _work(runtime)
            clock.advance(LONGEST_BACK_OFF)
            states += [state for _, state, *_ in _jobs(runtime)]

    assert (len(broken.requests), len(refusing.requests)) == (4, 3)
    assert states == ["ready", "ready", "dead"]


def test_what_nobody_ever_tried_is_tried_however_late(database, clock):
    with peer(answering(OK)) as receiver:
        client = a_client("wiki", backchannel_logout_uri=_uri(receiver))
        runtime = a_deployment(database, clock, client)
        with database.write() as tx:
            follow_up(tx, _logout("wiki", "ses_ada"), now=NOW)
        clock.advance(PATIENCE * 3)
        clean_up(runtime)
        _work(runtime)

    assert len(receiver.requests) == 1
    assert _jobs(runtime) == []


def test_our_own_changes_are_never_given_up_for_their_age(database, clock):
    runtime = a_deployment(database, clock)
    with database.write() as tx:
        jobs.enqueue(tx, PropagateChange.type, {}, now=NOW)
        (job,) = jobs.claim(tx, now=NOW)
        jobs.delay(tx, job.id, not_before=NOW, error="locked")
    clock.advance(PATIENCE * 3)
    clean_up(runtime)

    assert [state for _, state, *_ in _jobs(runtime)] == ["ready"]


def test_a_row_that_is_no_json_stops_nobody_else(database, clock):
    with peer(answering(OK)) as receiver:
        client = a_client("wiki", backchannel_logout_uri=_uri(receiver))
        runtime = a_deployment(database, clock, client)
        with database.write() as tx:
            for _ in range(2):
                follow_up(tx, _logout("wiki", "ses_ada"), now=NOW)
            tx.run(
                Statement(
                    "UPDATE jobs SET payload = 'not json' WHERE id = (SELECT MIN(id) FROM jobs)"
                ),
                {},
            )
        _work(runtime)

    ((_, state, attempts, error),) = _jobs(runtime)
    assert (state, attempts) == ("dead", 1)
    assert "must be an object of JSON" in error
    assert len(receiver.requests) == 1


def test_the_backlog_of_a_receiver_that_is_away_costs_one_try_at_a_time(database, clock):
    with peer(answering(BROKEN)) as broken:
        runtime = a_deployment(
            database, clock, a_client("wiki", backchannel_logout_uri=_uri(broken))
        )
        with database.write() as tx:
            for number in range(500):
                follow_up(tx, _logout("wiki", f"ses_{number}"), now=NOW)
        worker = Worker(runtime, chance=lambda: 1.0)
        while worker.run_due():
            pass
        _until(lambda: _tried(runtime) >= 1 and not _running(runtime))
        at_first = len(broken.requests)
        clock.advance(timedelta(seconds=1))
        claimed = worker.run_due()
        _until(lambda: not _running(runtime))
        again = worker.run_due()
        worker.close()

    assert at_first <= WIDTH
    assert (claimed, again) == (1, 0)
    assert len(broken.requests) == at_first + 1


def test_hundreds_of_logouts_for_a_slow_receiver_do_not_delay_another(database, clock):
    with peer(hanging) as stuck, peer(answering(OK)) as quick:
        runtime = a_deployment(
            database,
            clock,
            a_client("slow", backchannel_logout_uri=_uri(stuck)),
            a_client("quick", backchannel_logout_uri=_uri(quick)),
        )
        with database.write() as tx:
            for number in range(500):
                follow_up(tx, _logout("slow", f"ses_{number}"), now=NOW - timedelta(hours=1))
            follow_up(tx, _logout("quick", "ses_1"), now=NOW)
        worker = Worker(runtime)
        claimed = worker.run_due()
        _until(lambda: len(quick.requests) == 1)
        # The one of the quick receiver was claimed in the first turn, with a few of the slow one.
        idle = worker.run_due()
        stuck.stop()
        worker.close()

    assert claimed <= 7
    assert idle == 0


def test_a_receiver_that_came_back_gets_its_whole_backlog(database, clock):
    with peer(answering(OK)) as receiver:
        gone = a_client("wiki", backchannel_logout_uri="http://127.0.0.1:9/")
        runtime = a_deployment(database, clock, gone)
        with database.write() as tx:
            for number in range(50):
                follow_up(tx, _logout("wiki", f"ses_{number}"), now=NOW)
        worker = Worker(runtime, chance=lambda: 1.0)
        worker.run_due()
        _until(lambda: _tried(runtime) and not _running(runtime))
        resting = worker.run_due()
        _move(runtime, _uri(receiver))
        clock.advance(timedelta(seconds=1))
        probe = worker.run_due()
        running = threading.Thread(target=worker.run)
        running.start()
        _until(lambda: not _jobs(runtime))
        worker.stop()
        running.join(20)

    assert (resting, probe) == (0, 1)
    assert len(receiver.requests) == 50


def test_a_client_that_was_disabled_is_still_told_that_sessions_are_over(database, clock):
    with peer(answering(OK)) as receiver:
        client = a_client("wiki", backchannel_logout_uri=_uri(receiver))
        runtime = a_deployment(database, clock, client)
        with database.write() as tx:
            _queue(tx, "wiki", 1)
            assert disable_client(tx, client.id, actor="root", now=NOW)
        _work(runtime)

    assert len(receiver.requests) == 1
    assert _jobs(runtime) == []


def test_a_client_that_takes_logouts_no_more_is_told_nothing(database, clock):
    client = a_client("wiki", backchannel_logout_uri="http://127.0.0.1:9/")
    runtime = a_deployment(database, clock, client)
    _turn_bad(runtime, "wiki")
    worker = Worker(runtime)
    with database.write() as tx:
        tx.run(Statement("UPDATE clients SET backchannel_logout_uri = NULL"), {})
    with database.write() as tx:
        follow_up(tx, _logout("wiki", "ses_ada"), now=NOW)
        tx.run(Statement("UPDATE generations SET value = value + 1"), {})
    while worker.run_due():
        pass
    worker.close()

    assert _jobs(runtime) == []


# Claims


def test_a_job_of_which_nobody_can_tell_stays_claimed_and_is_done_when_the_claim_runs_out(
    postgresql_url, clock
):
    database = Database.open(postgresql_url)
    client = a_client("wiki", backchannel_logout_uri="http://127.0.0.1:9/")
    runtime = a_deployment(database, clock, client)
    _turn_bad(runtime, "wiki")
    # What follows is a job, too: with it the change cannot be committed.
    break_off_at_commit(postgresql_url, "jobs")
    _work(runtime)
    held = _jobs(runtime)
    with database.write() as tx:
        tx.run(Statement("DROP TRIGGER break_off ON jobs"), {})
    clock.advance(CLAIM + timedelta(seconds=1))
    take_back_jobs(runtime)
    _work(runtime)
    after = _jobs(runtime)
    database.close()

    assert set(held) == {("propagate-change", "running", 1, None)}
    assert [kind for kind, *_ in after] == ["deliver-logout"]


def test_a_turn_takes_on_so_many_logouts_and_our_own_changes_beside_them(database, clock):
    runtime = a_deployment(database, clock)
    with database.write() as tx:
        for number in range(MOST_CLAIMED // MOST_OF_ONE + 1):
            _queue(tx, f"rp-{number}", MOST_OF_ONE)
        jobs.enqueue(tx, PropagateChange.type, {}, now=NOW)
    worker = Worker(runtime)
    claimed = worker.run_due()
    _until(lambda: not _running(runtime))
    worker.close()

    assert claimed == MOST_CLAIMED + 1
    assert "propagate-change" not in _ready(runtime)


def test_of_whom_least_is_under_way_is_served_first(database, clock):
    fresh = [f"rp-{number}" for number in range((MOST_CLAIMED - 2) // MOST_OF_ONE)]
    assert len(fresh) * MOST_OF_ONE == MOST_CLAIMED - 2
    with peer(hanging) as stuck:
        runtime = a_deployment(
            database, clock, a_client("a-busy", backchannel_logout_uri=_uri(stuck))
        )
        worker = Worker(runtime)
        with database.write() as tx:
            _queue(tx, "a-busy", WIDTH)
        worker.run_due()
        with database.write() as tx:
            for receiver in ("a-busy", *fresh):
                _queue(tx, receiver, MOST_OF_ONE)
        claimed = worker.run_due()
        left = _ready(runtime)
        stuck.stop()
        worker.close()

    # Four more of the busy one have room; two of them were behind all the others.
    assert claimed == MOST_CLAIMED
    assert left == ["a-busy"] * (MOST_OF_ONE - 2)


def test_a_worker_without_room_does_not_ask_to_write(sqlite_url, clock):
    database = Database.open(sqlite_url, busy_timeout=timedelta(milliseconds=50))
    path = sqlite_url.removeprefix("sqlite:///")
    with peer(hanging) as stuck:
        runtime = a_deployment(
            database, clock, a_client("wiki", backchannel_logout_uri=_uri(stuck))
        )
        with database.write() as tx:
            _queue(tx, "wiki", MOST_OF_ONE + 1)
        worker = Worker(runtime)
        taken = worker.run_due()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            more = worker.run_due()
        stuck.stop()
        worker.close()
    database.close()

    assert (taken, more) == (MOST_OF_ONE, 0)


def test_the_reason_of_a_failure_is_kept_up_to_a_length(sqlite_url, clock):
    database = Database.open(sqlite_url)
    runtime = a_deployment(database, clock)
    with database.write() as tx:
        jobs.enqueue(tx, "make-coffee" * 100, {}, now=NOW)
    _work(runtime)
    ((_, state, _, error),) = _jobs(runtime)
    database.close()

    assert state == "dead"
    assert error.startswith("no such type of job: make-coffee")
    assert len(error) == 500


def test_a_job_of_a_worker_that_died_is_done_once_by_another(database, clock):
    with peer(answering(OK)) as receiver:
        client = a_client("wiki", backchannel_logout_uri=_uri(receiver))
        runtime = a_deployment(database, clock, client)
        _turn_bad(runtime, "wiki")
        with database.write() as tx:
            dying = jobs.claim(tx, now=clock(), count=100)
        _work(runtime)
        take_back_jobs(runtime)
        before = len(receiver.requests)
        clock.advance(CLAIM + timedelta(seconds=1))
        Timers(runtime).run_due()
        _work(a_runtime(database, clock))

    assert PropagateChange.type in {job.type for job in dying}
    assert (before, len(receiver.requests)) == (0, 1)
    assert _jobs(runtime) == []


def test_a_logout_is_held_until_all_before_it_may_have_timed_out(database, clock):
    with peer(answering(OK)) as receiver:
        client = a_client("wiki", backchannel_logout_uri=_uri(receiver))
        runtime = a_deployment(database, clock, client)
        with database.write() as tx:
            follow_up(tx, _logout("wiki", "ses_ada"), now=NOW)
        dying = Worker(runtime)
        dying.close()
        claimed = dying.run_due()
        with database.write() as tx:
            held = jobs.claim(
                tx, now=clock(), receiver="wiki", within=3 * timedelta(seconds=2) + CLAIM
            )
        clock.advance(3 * timedelta(seconds=2) + CLAIM)
        take_back_jobs(runtime)
        early = [state for _, state, *_ in _jobs(runtime)]
        clock.advance(timedelta(seconds=1))
        take_back_jobs(runtime)
        _work(runtime)

    assert (claimed, len(held), early) == (0, 1, ["running"])
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("threads", [4, 1], ids=["for-a-lane", "for-a-thread"])
def test_what_waits_when_a_worker_is_told_to_stop_is_given_back_before_what_runs_ends(
    database, clock, threads
):
    running = min(threads, WIDTH)
    with peer(hanging) as stuck:
        client = a_client("wiki", backchannel_logout_uri=_uri(stuck))
        runtime = a_deployment(database, clock, client)
        with database.write() as tx:
            for number in range(MOST_OF_ONE):
                follow_up(tx, _logout("wiki", f"ses_{number}"), now=NOW)
        worker = Worker(runtime, threads=threads, chance=lambda: 1.0)
        working = threading.Thread(target=worker.run)
        working.start()
        _until(lambda: len(stuck.requests) == running)
        worker.stop()
        _until(lambda: len(_running(runtime)) == running)
        told = len(stuck.requests)
        ready = [attempts for _, state, attempts, _ in _jobs(runtime) if state == "ready"]
        stuck.stop()
        working.join(20)

    assert told == running
    assert ready == [0] * (MOST_OF_ONE - running)
    # What ran was finished: its receiver hung up, which is a try that failed.
    assert sorted(job[1:3] for job in _jobs(runtime)) == sorted(
        [("ready", 1)] * running + [("ready", 0)] * len(ready)
    )


def test_what_a_stopped_worker_gave_back_is_delivered_by_the_next_one_at_once(database, clock):
    with peer(hanging) as stuck, peer(answering(OK)) as receiver:
        client = a_client("wiki", backchannel_logout_uri=_uri(stuck))
        runtime = a_deployment(database, clock, client)
        with database.write() as tx:
            for number in range(MOST_OF_ONE):
                follow_up(tx, _logout("wiki", f"ses_{number}"), now=NOW)
        stopping = Worker(runtime, chance=lambda: 1.0)
        stopping.run_due()
        _until(lambda: len(stuck.requests) == WIDTH)
        closing = threading.Thread(target=stopping.close)
        closing.start()
        _until(lambda: len(_running(runtime)) == WIDTH)
        _move(runtime, _uri(receiver))
        following = Worker(a_runtime(database, clock))
        working = threading.Thread(target=following.run)
        working.start()
        # The clock stands still: no claim has run out.
        _until(lambda: len(receiver.requests) == MOST_WAITING)
        following.stop()
        working.join(20)
        stuck.stop()
        closing.join(20)

    assert not working.is_alive()


def test_a_change_that_two_workers_hold_is_carried_out_once(database, clock):
    client = a_client("wiki", backchannel_logout_uri="http://127.0.0.1:9/")
    runtime = a_deployment(database, clock, client)
    _turn_bad(runtime, "wiki")

    with database.write() as tx:
        held = jobs.claim(tx, now=clock(), count=100)
    for job in [*held, *held]:
        JOBS[job.type](runtime, job)

    assert [kind for kind, *_ in _jobs(runtime)] == ["deliver-logout"]


@pytest.mark.parametrize(
    ("kind", "payload", "error"),
    [
        pytest.param("make-coffee", {}, "no such type of job: make-coffee", id="type"),
        pytest.param("deliver-logout", {"client": 7}, "the job's client must be", id="member"),
        pytest.param("propagate-change", [], "must be an object of JSON", id="shape"),
    ],
)
def test_a_job_that_cannot_be_read_is_kept_for_people_and_holds_nothing_up(
    database, clock, kind, payload, error
):
    runtime = a_deployment(database, clock)
    with database.write() as tx:
        jobs.enqueue(tx, kind, payload, now=NOW)
    _work(runtime)

    ((_, state, attempts, last_error),) = _jobs(runtime)
    assert (state, attempts) == ("dead", 1)
    assert error in last_error


def test_a_busy_source_takes_no_other_ones_last_word_away(database, clock):
    runtime = a_deployment(database, clock)
    quiet = SourceId("mdm")
    with database.write() as tx:
        sources.add(tx, runtime.envelope, quiet, adapter="generic", secret=WEBHOOK_SECRET, now=NOW)
    ingest(database, a_calm("evt-1", source=quiet), delivery_id="quiet", source_id=quiet)
    ingest(database, a_calm("evt-2"), delivery_id="busy", now=NOW + timedelta(hours=1))
    clock.advance(timedelta(days=30))
    clean_up(runtime)

    with database.read() as tx:
        assert signals.last_received(tx)[quiet] == NOW


def test_the_last_delivery_of_a_source_tells_since_when_it_is_silent(database, clock):
    runtime = a_deployment(database, clock)
    ingest(database, a_calm("evt-1"), delivery_id="first")
    ingest(database, a_calm("evt-2"), delivery_id="last", now=NOW + timedelta(hours=1))
    clock.advance(timedelta(days=30))
    clean_up(runtime)

    with database.read() as tx:
        left = [row[0] for row in tx.all(_DELIVERIES, {})]
        last = signals.last_received(tx)
    assert left == ["last"]
    assert last == {SOURCE: NOW + timedelta(hours=1)}


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_back_off_grows_and_is_bounded_and_never_nothing(attempts, chance):
    wait = back_off(attempts, chance)

    assert timedelta(milliseconds=250) <= wait <= LONGEST_BACK_OFF
    assert back_off(attempts + 1, chance) >= wait


def test_a_worker_stops_when_told_and_a_nudge_wakes_it(database, clock):
    runtime = a_deployment(database, clock)
    worker = Worker(runtime)
    running = threading.Thread(target=worker.run)
    running.start()
    with database.write() as tx:
        jobs.enqueue(tx, "make-coffee", {}, now=NOW)
    worker.nudge()
    _until(lambda: [state for _, state, *_ in _jobs(runtime)] == ["dead"])
    worker.stop()
    running.join(20)

    assert not running.is_alive()


# Timers


def test_a_grace_period_ends_by_the_clock(database, clock):
    runtime = a_deployment(database, clock)
    ingest(database, a_signal("evt-1", risk=RiskLevel.MEDIUM))
    timers = Timers(runtime)
    timers.run_due()
    assert the_device(database).assessment.status is Compliance.IN_GRACE

    clock.advance(timedelta(hours=4))
    timers.run_due()

    stored = the_device(database)
    assert stored.assessment.status is Compliance.NOT_COMPLIANT
    assert stored.updated_at == clock()


def test_a_silent_device_turns_stale_by_the_clock(database, clock):
    runtime = a_deployment(database, clock)
    ingest(database, a_calm("evt-1"))
    clock.advance(RULES.max_age)
    review_overdue(runtime, RULES)

    assessment = the_device(database).assessment
    assert assessment.status is Compliance.STALE
    assert [cause.rule for cause in assessment.causes] == [SILENT]


def test_reviews_come_to_an_end_whatever_is_overdue(database, clock):

    runtime = a_deployment(database, clock)
    batch = [a_calm(f"evt-{n}", device=(DeviceName(NameKind.SERIAL, f"S{n}"),)) for n in range(99)]
    ingest(database, *batch)
    clock.advance(RULES.max_age)

    assert review_overdue(runtime, RULES) == 99
    assert review_overdue(runtime, RULES) == 0


def test_devices_assessed_by_other_rules_are_assessed_again_once(database, clock):
    runtime = a_deployment(database, clock)
    ingest(database, a_calm("evt-1"))
    with database.write() as tx:
        tx.run(Statement("UPDATE devices SET assessed_with = 'older'"), {})

    assert review_assessed_otherwise(runtime, RULES) == 1
    assert review_assessed_otherwise(runtime, RULES) == 0
    assert the_device(database).assessed_with == RULES.version


def test_deliveries_are_forgotten_after_a_week_and_their_signals_never(database, clock):
    runtime = a_deployment(database, clock)
    ingest(database, a_calm("evt-1"), delivery_id="old")
    clock.advance(timedelta(days=7, seconds=1))
    ingest(database, a_calm("evt-2", NOW), delivery_id="new", now=clock())
    clean_up(runtime)

    with database.read() as tx:
        left = [row[0] for row in tx.all(_DELIVERIES, {})]
        history = signals.of_device(tx, the_device(database).device.id)
    assert left == ["new"]
    assert {signal.id for signal in history} == {"evt-1", "evt-2"}
    assert {signal.source for signal in history} == {SOURCE}
