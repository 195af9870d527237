"""Passwords: equal work for all, a bounded number at a time, and few, useful rules."""

import os
import threading
from datetime import timedelta

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.domain.errors import Unavailable
from pdp.usecases.common_passwords import COMMON_PASSWORDS
from pdp.usecases.passwords import (
    Busy,
    GeneratedPassword,
    NewPassword,
    PasswordRefused,
    Passwords,
    Rule,
    Verdict,
    broken_rule,
    choose_password,
    generate_password,
)
from tests.builders import CountingHasher, cheap_passwords

GOOD = "a lighthouse keeps its own hours"


def _hashed(passwords):
    """The hash of the good password."""
    hashed = passwords.hash(GOOD)
    assert isinstance(hashed, str)
    return hashed


def _generated(passwords):
    made = generate_password(passwords)
    assert isinstance(made, GeneratedPassword)
    return made


@pytest.fixture(scope="module")
def passwords():
    """Cheap hashing, shared by the tests that only look at its answers."""
    return cheap_passwords()


def test_the_product_hashes_with_argon2id_19_mib_two_passes_one_lane():
    assert _hashed(Passwords(concurrency=1)).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_password_is_right_for_its_own_hash_only(passwords):
    stored = passwords.hash(GOOD)

    assert passwords.check(GOOD, stored) is Verdict.RIGHT
    assert passwords.check(GOOD + "!", stored) is Verdict.WRONG


def test_a_password_is_right_however_the_keyboard_composes_it(passwords):
    assert (
        passwords.check("cafe\u0301 au lait", passwords.hash("caf\u00e9 au lait")) is Verdict.RIGHT
    )


def test_a_hash_with_older_parameters_is_right_and_outdated(passwords):
    older = argon2.PasswordHasher(time_cost=1, memory_cost=16, parallelism=1).hash(GOOD)

    assert passwords.check(GOOD, older) is Verdict.OUTDATED


@pytest.mark.parametrize("stored", [None, "known"])
def test_an_unknown_account_costs_the_same_work_as_a_known_one(stored):
    hasher = CountingHasher()
    passwords = cheap_passwords(hasher)
    hashed = _hashed(passwords) if stored else None
    before = hasher.verified

    passwords.check("wrong", hashed)

    assert hasher.verified - before == 1


@pytest.mark.parametrize("stored", ["", "not a hash", "$2b$12$abcdefgh", "\0"])
def test_a_broken_hash_lets_nobody_in(passwords, stored):
    assert passwords.check(GOOD, stored) is Verdict.WRONG


def test_a_truncated_hash_is_an_outage_not_a_wrong_password(passwords):
    with pytest.raises(Unavailable):
        passwords.check(GOOD, "$argon2id$v=19$m=1")


@given(st.text(max_size=400))
def test_any_text_is_checked_and_none_is_right_for_nobody(text):
    assert cheap_passwords().check(text, None) is Verdict.WRONG


def test_a_password_beyond_the_limit_is_wrong_without_work():
    hasher = CountingHasher()

    assert cheap_passwords(hasher).check("a" * 1025, None) is Verdict.WRONG
    assert hasher.verified == 0


class _HeldHasher(CountingHasher):
    """Argon2 that holds its place until it is told to go on."""

    def __init__(self):
        super().__init__()
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()

    def verify(self, hash, password):  # noqa: A002  argon2's name
        self.entered.release()
        self.go_on.wait(timeout=30)
        return super().verify(hash, password)


def test_who_finds_no_room_within_the_wait_is_told_so_and_nothing_is_hashed():
    hasher = _HeldHasher()
    passwords = Passwords(concurrency=2, wait=timedelta(milliseconds=20), hasher=hasher)
    stored = _hashed(passwords)
    inside = [threading.Thread(target=passwords.check, args=(GOOD, stored)) for _ in range(2)]
    for thread in inside:
        thread.start()
        hasher.entered.acquire()
    hashed = hasher.hashed

    assert isinstance(passwords.check(GOOD, stored), Busy)
    assert isinstance(passwords.hash(GOOD), Busy)
    assert isinstance(generate_password(passwords), Busy)
    assert isinstance(choose_password(passwords, GOOD, minimum=12, account=()), Busy)
    assert hasher.hashed == hashed

    hasher.go_on.set()
    for thread in inside:
        thread.join()
    assert passwords.check(GOOD, stored) is Verdict.RIGHT


class _FailingHasher(CountingHasher):
    """Argon2 on a machine without memory."""

    def verify(self, hash, password):  # noqa: A002, ARG002  argon2's names
        raise argon2.exceptions.VerificationError("Memory allocation error")


def test_hashing_gives_way_to_every_thread_that_answers():
    seen, usual = [], os.getpriority(os.PRIO_PROCESS, 0)

    class Hasher(CountingHasher):
        def verify(self, hash, password):  # noqa: A002  argon2's name
            seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            assert os.getpriority(os.PRIO_PROCESS, os.getpid()) == usual
            return super().verify(hash, password)

    Passwords(concurrency=1, hasher=Hasher()).check("secret", None)

    assert seen == [min(usual + 10, 19)]


def test_hashing_leaves_the_first_core_of_several_to_those_who_answer():
    seen, usual = [], os.sched_getaffinity(0)

    class Hasher(CountingHasher):
        def verify(self, hash, password):  # noqa: A002  argon2's name
            seen.append(os.sched_getaffinity(0))
            return super().verify(hash, password)

    Passwords(concurrency=1, hasher=Hasher()).check("secret", None)

    assert seen == [usual - {min(usual)} or usual]
    assert os.sched_getaffinity(0) == usual


def test_a_check_that_could_not_be_made_is_no_wrong_password_and_keeps_no_room():
    passwords = cheap_passwords(_FailingHasher(), concurrency=1)

    for _ in range(3):
        with pytest.raises(Unavailable):
            passwords.check(GOOD, None)


@pytest.mark.parametrize(
    ("password", "rule"),
    [
        pytest.param("elevenchars", Rule.TOO_SHORT, id="short"),
        pytest.param("", Rule.TOO_SHORT, id="empty"),
        pytest.param("\u00e9" * 513, Rule.TOO_LONG, id="too many bytes"),
        pytest.param("Ada.Lovelace.1815", Rule.NAMES_THE_ACCOUNT, id="the username"),
        pytest.param("ADA.COUNTESS@example.org", Rule.NAMES_THE_ACCOUNT, id="the address"),
        pytest.param("ada.countess", Rule.NAMES_THE_ACCOUNT, id="the address before the @"),
        pytest.param("Password1234", Rule.COMMON, id="common"),
        pytest.param("QwertyUiop12", Rule.COMMON, id="common in other case"),
        pytest.param("twelve chars", None, id="just long enough"),
        pytest.param("aaaa bbbb cccc", None, id="no rule about kinds of characters"),
        pytest.param("a" * 1024, None, id="as long as may be"),
    ],
)
def test_a_new_password_is_told_which_rule_it_breaks(password, rule):
    account = ("ada.lovelace.1815", "ada.countess@example.org", "")

    assert broken_rule(password, minimum=12, account=account) is rule


def test_a_refused_password_tells_the_minimum_and_is_not_hashed():
    hasher = CountingHasher()
    passwords = cheap_passwords(hasher)
    before = hasher.hashed

    refused = choose_password(passwords, "short", minimum=12, account=())

    assert refused == PasswordRefused(Rule.TOO_SHORT, 12)
    assert hasher.hashed == before


def test_a_chosen_password_need_not_be_changed(passwords):
    chosen = choose_password(passwords, GOOD, minimum=12, account=())

    assert isinstance(chosen, NewPassword)
    assert not chosen.must_change
    assert passwords.check(GOOD, chosen.hash) is Verdict.RIGHT


def test_a_generated_password_must_be_changed_and_never_repeats(passwords):
    made = [_generated(passwords) for _ in range(20)]

    assert len({one.text for one in made}) == 20
    assert all(one.stored.must_change for one in made)
    assert all(passwords.check(one.text, one.stored.hash) is Verdict.RIGHT for one in made)
    assert broken_rule(made[0].text, minimum=12, account=()) is None


def test_secrets_do_not_show_in_a_repr(passwords):
    made = _generated(passwords)

    assert made.text not in repr(made)
    assert made.stored.hash not in repr(made)


def test_the_common_passwords_are_folded_and_long_enough_to_matter():
    assert len(COMMON_PASSWORDS) >= 200
    assert all(word == word.casefold() for word in COMMON_PASSWORDS)
    assert all(len(word) >= 8 for word in COMMON_PASSWORDS)
