"""How soon after a webhook's answer introspection denies: alone, and while passwords are hashed."""

import http.client
import itertools
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from typing import Final
from urllib.parse import urlencode, urlsplit

from pdp.cli.demonstration.browser import Browser
from tests.benchmarks.ours import SECRET, SOURCE, Ours, basic

_HASHERS: Final = 2
_PATIENCE: Final = 5.0
_POLL: Final = 0.01
_ELSEWHERE: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Denials:
    """Milliseconds from the webhook's answer until the first `active: false` was in hand."""

    p50: float
    p99: float
    worst: float
    rounds: int
    hashed: int


def denials(ours: Ours, *, rounds: int, hashing: bool) -> Denials:
    """Turn devices risky and healthy, one after the other, and measure each denial."""
    with _hashing(ours, hashers=_HASHERS if hashing else 0) as hashed:
        webhooks, questions = _Line(ours.url), _Line(ours.url)
        took = sorted(_denial(ours, webhooks, questions, number) for number in range(rounds))
        webhooks.close()
        questions.close()
    return Denials(
        p50=took[len(took) // 2],
        p99=took[int(len(took) * 0.99)],
        worst=took[-1],
        rounds=rounds,
        hashed=hashed.value,
    )


class _Line:
    """One kept-alive connection."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._connection = http.client.HTTPConnection(where.netloc, timeout=30)

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        self._connection.request("POST", path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        self._connection.close()


def _denial(ours: Ours, webhooks: _Line, questions: _Line, number: int) -> float:
    place = number % len(ours.serials)
    serial, token = ours.serials[place], ours.access[place]
    assert _is_active(questions, token)
    body, headers = ours.signal(serial, "high")
    status, said = webhooks.post(f"/webhooks/{SOURCE}", body, headers)
    answered = time.perf_counter()
    assert status == 202, said
    while _is_active(questions, token):
        assert time.perf_counter() - answered < _PATIENCE, "introspection never denied"
    took = (time.perf_counter() - answered) * 1000
    body, headers = ours.signal(serial, "low")
    status, said = webhooks.post(f"/webhooks/{SOURCE}", body, headers)
    assert status == 202, said
    return took


def _is_active(line: _Line, token: str) -> bool:
    headers = dict([basic("api"), ("Content-Type", "application/x-www-form-urlencoded")])
    status, said = line.post("/introspect", urlencode({"token": token}).encode(), headers)
    assert status == 200, said
    return b'"active":true' in said


@contextmanager
def _hashing(ours: Ours, *, hashers: int) -> "Iterator[Synchronized[int]]":
    """Keep the server hashing passwords: people of no account sign in, again and again.

    In processes of their own: in ours, reading pages would hold the clock's thread up.
    """
    spawn = multiprocessing.get_context("spawn")
    done, counted = spawn.Event(), spawn.Value("i", 0)
    browsers = [
        spawn.Process(target=_sign_in_in_vain, args=(ours.url, number, done, counted))
        for number in range(hashers)
    ]
    for browser in browsers:
        browser.start()
    try:
        while any(browser.is_alive() for browser in browsers) and counted.value < hashers:
            time.sleep(_POLL)
        yield counted
    finally:
        done.set()
        for browser in browsers:
            browser.join()
    assert all(browser.exitcode == 0 for browser in browsers), "a browser failed"


def _sign_in_in_vain(url: str, number: int, done: Event, counted: "Synchronized[int]") -> None:
    # The person's side of a sign-in runs on the person's machine, not on the server's cores.
    os.nice(_ELSEWHERE)
    browser = Browser(stops_at="http://nowhere.invalid/")
    page = browser.open(f"{url}/signin")
    names = itertools.count()
    while not done.is_set():
        form = page.form("username", "password")
        name = f"nobody-{number}-{next(names)}"
        page = browser.submit(page, form, username=name, password=SECRET)
        with counted.get_lock():
            counted.value += 1
    browser.close()
