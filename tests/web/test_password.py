"""The page that changes a password: what it refuses, in words, and who is out afterwards."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from pdp.usecases.passwords import Passwords
from tests.builders import CountingHasher
from tests.oidc.world import World
from tests.web.browser import PASSWORD, Browser, Page, a_person

NEW_PASSWORD = "another quiet walk, this time uphill"


def change(browser: Browser, current: str = PASSWORD, new: str = NEW_PASSWORD) -> Page:
    """Fill the form in."""
    page = browser.get("/account/password")
    return browser.submit(page, current_password=current, new_password=new)


def opens(browser: Browser, password: str) -> bool:
    """Tell whether a password opens bob's account, in a browser that nobody has used."""
    other = browser.another()
    return other.sign_in(other.get("/signin"), password=password).path == "/account"


@pytest.fixture
def bob(browser: Browser) -> Browser:
    """Bob's browser, in which he has just signed in."""
    assert browser.sign_in(browser.get("/signin")).path == "/account"
    return browser


def test_a_change_leaves_this_browser_signed_in_and_no_other(bob: Browser):
    cookie = bob.cookie("__Host-pdp-session") or ""
    thief, other = bob.another(), bob.another()
    thief.set_cookie("__Host-pdp-session", cookie)
    assert other.sign_in(other.get("/signin")).path == "/account"

    assert "Your password is changed." in change(bob).text

    assert bob.get("/account").path == "/account"
    assert [each.get("/account").path for each in (thief, other)] == ["/signin", "/signin"]
    assert (opens(bob, PASSWORD), opens(bob, NEW_PASSWORD)) == (False, True)


@pytest.mark.parametrize(
    ("current", "new", "status", "words"),
    [
        pytest.param("wrong", NEW_PASSWORD, 401, "not your current password", id="current wrong"),
        pytest.param("", NEW_PASSWORD, 401, "not your current password", id="current missing"),
        pytest.param(PASSWORD, "short", 400, "too short", id="too short"),
        pytest.param(PASSWORD, "", 400, "too short", id="none"),
        pytest.param(PASSWORD, "long " * 1000, 400, "too long", id="too long"),
        pytest.param(PASSWORD, "passwordpassword", 400, "known to attackers", id="common"),
        pytest.param(PASSWORD, "Ada@Example.ORG", 400, "known to attackers", id="own address"),
        pytest.param(PASSWORD, PASSWORD, 400, "the password that you have now", id="the same"),
    ],
)
def test_a_change_is_refused_with_words_when_it_is(
    bob: Browser, current: str, new: str, status: int, words: str
):
    page = change(bob, current, new)

    assert page.status == status
    assert words in page.text
    assert opens(bob, PASSWORD)


def test_guessing_the_current_password_is_slowed_down_and_a_right_one_comes_too_late(bob: Browser):
    assert [change(bob, "wrong").status for _ in range(5)] == [401] * 5

    page = change(bob)

    assert page.status == 429
    assert "Too many attempts" in page.text


@dataclass
class _HeldUp(CountingHasher):
    """Argon2 that waits in the middle of its work while it is told to."""

    at_work: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)

    def verify(self, hash: str, password: bytes) -> bool:  # noqa: A002  argon2's name
        self.at_work.set()
        self.may_go_on.wait()
        return super().verify(hash, password)


@contextmanager
def _hashing_somebody_elses(passwords: Passwords, hasher: _HeldUp) -> Iterator[None]:
    """Let the only place for hashing be taken meanwhile."""
    hasher.at_work.clear()
    hasher.may_go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(passwords.check, "somebody else's", None)
        hasher.at_work.wait()
        try:
            yield
        finally:
            hasher.may_go_on.set()


def _with_one_place(world: World) -> tuple[Browser, Passwords, _HeldUp]:
    """Sign bob in at a server that hashes one password at a time, and waits for none."""
    hasher = _HeldUp()
    hasher.may_go_on.set()
    passwords = Passwords(concurrency=1, wait=timedelta(0), hasher=hasher)
    world.runtime = replace(world.runtime, passwords=passwords)
    browser = Browser(world)
    a_person(world)
    browser.sign_in(browser.get("/signin"))
    return browser, passwords, hasher


def test_a_server_that_has_no_room_for_hashing_says_so_and_changes_nothing(world: World):
    browser, passwords, hasher = _with_one_place(world)

    with _hashing_somebody_elses(passwords, hasher):
        page = change(browser)

    assert page.status == 503
    assert "busy" in page.text
    assert opens(browser, PASSWORD)


def test_a_right_password_is_not_called_wrong_where_there_was_no_room_to_check_it(world: World):
    browser, passwords, hasher = _with_one_place(world)
    asked = browser.get("/account/confirm/account")

    with _hashing_somebody_elses(passwords, hasher):
        page = browser.sign_in(asked)

    assert page.status == 503
    assert "Many people are signing in" in page.text
