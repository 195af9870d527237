"""How soon after a webhook's answer introspection denies: alone, and while passwords are hashed."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

import requests

from pdp.cli.demonstration.browser import Browser
from tests.benchmarks.ours import SECRET, SOURCE, Ours, basic

_HASHERS: Final = 2
_PATIENCE: Final = 5.0


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
        hashed=len(hashed),
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
def _hashing(ours: Ours, *, hashers: int) -> Iterator[list[int]]:
    """Keep the server hashing passwords: people of no account sign in, again and again."""
    done, hashed = threading.Event(), list[int]()
    threads = [
        threading.Thread(target=_sign_in_in_vain, args=(ours, done, hashed)) for _ in range(hashers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield hashed
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _sign_in_in_vain(ours: Ours, done: threading.Event, hashed: list[int]) -> None:
    browser = Browser(stops_at="http://nowhere.invalid/")
    try:
        page = browser.open(f"{ours.url}/signin")
        while not done.is_set():
            form = page.form("username", "password")
            page = browser.submit(page, form, username=f"nobody-{len(hashed)}", password=SECRET)
            hashed.append(page.status)
    except requests.RequestException:
        if not done.is_set():
            raise
    finally:
        browser.close()
