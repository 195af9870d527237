"""Webhook signatures: only the holder of a secret is believed, and only now."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from pdp.sources.signatures import (
    Authenticated,
    Delivery,
    Refusal,
    RefusalReason,
    authenticate,
    decode_secret,
    format_secret,
    sign,
)
from tests.builders import NOW, WEBHOOK_SECRET, a_delivery

OTHER_SECRET = format_secret(bytes(range(100, 132)))
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
SIGNATURE = a_delivery().headers["webhook-signature"][0]


def _reason(delivery, secrets=(WEBHOOK_SECRET,), now=NOW):
    outcome = authenticate(delivery, secrets, now)
    assert isinstance(outcome, Refusal)
    return outcome.reason


def test_a_signed_delivery_is_believed():
    assert authenticate(a_delivery(), [WEBHOOK_SECRET], NOW) == Authenticated("msg_1", 0)


@given(
    raw=st.binary(min_size=24, max_size=64),
    delivery_id=st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True),
    at=st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1)),  # noqa: DTZ001
    body=st.text(),
)
def test_signatures_are_those_of_the_standardwebhooks_package(raw, delivery_id, at, body):
    secret = format_secret(raw)
    theirs = Webhook(secret).sign(delivery_id, at, body)
    now = at.replace(tzinfo=UTC)
    delivery = a_delivery(
        body.encode(),
        secret=OTHER_SECRET,
        delivery_id=delivery_id,
        at=now,
        webhook_signature=(theirs,),
    )

    assert sign(secret, delivery_id, int(now.timestamp()), body.encode()) == theirs
    assert authenticate(delivery, [secret], now) == Authenticated(delivery_id, 0)


@pytest.mark.parametrize(
    ("offset", "refused"),
    [
        (-301, RefusalReason.TOO_OLD),
        (-300, None),
        (-299, None),
        (59, None),
        (60, None),
        (61, RefusalReason.TOO_EARLY),
    ],
)
def test_the_signed_time_counts_from_300_s_ago_to_60_s_ahead(offset, refused):
    outcome = authenticate(a_delivery(at=NOW + timedelta(seconds=offset)), [WEBHOOK_SECRET], NOW)

    assert getattr(outcome, "reason", None) is refused


@pytest.mark.parametrize("header", HEADERS)
def test_a_delivery_without_one_of_the_headers_is_refused(header):
    delivery = a_delivery()
    headers = {name: values for name, values in delivery.headers.items() if name != header}

    assert authenticate(Delivery(headers, b"{}"), [WEBHOOK_SECRET], NOW) == Refusal(
        RefusalReason.MISSING_HEADER, header
    )


@pytest.mark.parametrize("header", HEADERS)
def test_a_repeated_header_is_refused_though_both_values_are_right(header):
    delivery = a_delivery()
    twice = {**delivery.headers, header: delivery.headers[header] * 2}

    reason = _reason(Delivery(twice, b"{}"))

    assert reason is RefusalReason.REPEATED_HEADER
    assert reason.is_odd


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("webhook-id", ""),
        ("webhook-id", "msg.1"),
        ("webhook-id", "msg 1"),
        ("webhook-id", "msg_\n"),
        ("webhook-id", "müsg"),
        ("webhook-id", "m" * 257),
        ("webhook-timestamp", ""),
        ("webhook-timestamp", "now"),
        ("webhook-timestamp", "1772445600.5"),
        ("webhook-timestamp", "-1772445600"),
        ("webhook-timestamp", " 1772445600"),
        ("webhook-timestamp", "1772445600\n"),
        ("webhook-timestamp", "١٧٧٢٤٤٥٦٠٠"),
        ("webhook-timestamp", "9" * 13),
        ("webhook-signature", ""),
        ("webhook-signature", "v1"),
        ("webhook-signature", "v1,"),
        ("webhook-signature", SIGNATURE + " "),
        ("webhook-signature", SIGNATURE + "\udcff"),
        ("webhook-signature", "v1,é"),
        ("webhook-signature", " ".join([SIGNATURE] * 17)),
    ],
)
def test_an_odd_header_is_refused_as_odd(header, value):
    odd = {**a_delivery().headers, header: (value,)}

    reason = _reason(Delivery(odd, b"{}"))

    assert reason is RefusalReason.MALFORMED_HEADER
    assert reason.is_odd


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(SIGNATURE[:-4], id="truncated"),
        pytest.param(SIGNATURE.upper(), id="upper-case"),
        pytest.param(SIGNATURE.replace("v1,", "v1a,"), id="of another version"),
        pytest.param(SIGNATURE + "AA==", id="prolonged"),
        pytest.param("v1,AAAA", id="of something else"),
        pytest.param(
            a_delivery(secret=OTHER_SECRET).headers["webhook-signature"][0], id="by another key"
        ),
    ],
)
def test_a_wrong_signature_is_refused_and_not_called_odd(signature):
    reason = _reason(a_delivery(webhook_signature=(signature,)))

    assert reason is RefusalReason.BAD_SIGNATURE
    assert not reason.is_odd


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda d: Delivery(d.headers, d.body + b" "), id="a space in the body"),
        pytest.param(
            lambda d: Delivery({**d.headers, "webhook-id": ("msg_2",)}, d.body), id="another id"
        ),
        pytest.param(
            lambda d: Delivery(
                {**d.headers, "webhook-timestamp": (str(int(NOW.timestamp()) + 1),)}, d.body
            ),
            id="another second",
        ),
    ],
)
def test_everything_that_counts_is_signed(changed):
    assert _reason(changed(a_delivery())) is RefusalReason.BAD_SIGNATURE


def test_one_right_signature_among_several_is_enough():
    delivery = a_delivery(webhook_signature=(f"v1a,AAAA v1,AAAA {SIGNATURE} v2,x",))

    assert isinstance(authenticate(delivery, [WEBHOOK_SECRET], NOW), Authenticated)


def test_both_secrets_of_a_ring_count_while_they_overlap_and_a_third_never():
    by_old = a_delivery(secret=OTHER_SECRET)

    assert authenticate(by_old, [WEBHOOK_SECRET, OTHER_SECRET], NOW) == Authenticated("msg_1", 1)
    assert _reason(by_old, [WEBHOOK_SECRET]) is RefusalReason.BAD_SIGNATURE
    assert _reason(by_old, [WEBHOOK_SECRET] * 2 + [OTHER_SECRET]) is RefusalReason.BAD_SIGNATURE


BAD_SECRETS = ["", "whsec_", "whsec_AAAA", "whsec_" + "A" * 30, "whsec_é" + "A" * 40, "A" * 44]


@pytest.mark.parametrize("secret", BAD_SECRETS)
def test_an_unusable_secret_verifies_nothing_and_locks_out_no_other(secret):
    assert _reason(a_delivery(), [secret]) is RefusalReason.NO_SECRET
    assert authenticate(a_delivery(), [secret, WEBHOOK_SECRET], NOW) == Authenticated("msg_1", 1)


@pytest.mark.parametrize("secret", BAD_SECRETS)
def test_an_unusable_secret_is_named_an_error_without_being_quoted(secret):
    with pytest.raises(ValueError, match="webhook secret") as refused:
        decode_secret(secret)

    assert len(secret) < 8 or secret not in str(refused.value)


def test_a_source_without_secrets_is_never_believed():
    assert _reason(a_delivery(), []) is RefusalReason.NO_SECRET


def test_a_secret_that_could_be_guessed_is_not_given_out():
    with pytest.raises(ValueError, match="at least 24 bytes, not 23"):
        format_secret(bytes(23))


def test_an_id_that_would_be_refused_is_not_signed():
    with pytest.raises(ValueError, match="without a full stop"):
        sign(WEBHOOK_SECRET, "msg.1", 0, b"")


@given(
    headers=st.dictionaries(st.sampled_from(HEADERS), st.lists(st.text(), max_size=2).map(tuple)),
    body=st.binary(),
    secrets=st.lists(st.text(), max_size=3),
)
def test_no_header_body_or_secret_makes_it_raise(headers, body, secrets):
    assert isinstance(authenticate(Delivery(headers, body), secrets, NOW), Refusal)
