"""Strict JSON: one reading, bounded cost."""

import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.sources.errors import MalformedSignal
from pdp.sources.strict_json import MOST_BYTES, parse_strictly

MIB = 1024 * 1024
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_what_has_one_reading_is_read(value):
    assert parse_strictly(json.dumps(value).encode()) == value
    assert parse_strictly(json.dumps(value, ensure_ascii=False, indent=1).encode()) == value


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"[]]", "closes what it never opened"),
        (b"[1,]", "not JSON"),
        (b"[1] [2]", "not JSON"),
        (b'"a\nb"', "not JSON"),
        (b'"\\', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON: it begins with a byte order mark"),
        (b'"\xff"', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\uDFFF": 1}', "surrogate"),
        (b'{"risk": "low", "risk": "high"}', "'risk' appears twice"),
        (b'[{"a": {"b": 1, "\\u0062": 1}}]', "'b' appears twice"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"1e999", "beyond a double"),
        (b"9223372036854775808", "beyond 64 bits"),
        (b"-" + b"9" * 5000, "beyond 64 bits"),
        (b"[" * 33 + b"]" * 33, "more than 32 levels"),
        (b'{"a":' * 1000 + b"1" + b"}" * 1000, "more than 32 levels"),
        (b"[" + b"1," * 10_000 + b"1]", "more than 10000 values"),
        (b" " * (MOST_BYTES + 1), "at most 1048576"),
    ],
)
def test_what_has_two_readings_or_none_is_refused_with_a_reason(body, problem):
    with pytest.raises(MalformedSignal, match=problem):
        parse_strictly(body)


def test_what_looks_like_structure_within_a_string_is_none():
    text = '[{,"' * 20_000

    assert parse_strictly(json.dumps(text).encode()) == text
    assert parse_strictly(b'"\\ud83d\\ude00"') == "😀"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * MIB, id="depth"),
        pytest.param(b"[]" * (MIB // 2), id="width"),
        pytest.param(b'"' + b'\\"' * (MIB // 2 - 1), id="unterminated string"),
        pytest.param(b'"' * MIB, id="empty strings"),
        pytest.param(b"9" * MIB, id="one number"),
        pytest.param(b"1e" + b"9" * (MIB - 2), id="one exponent"),
        pytest.param(b"\\" * MIB, id="backslashes"),
        pytest.param(b"}" * MIB, id="closing only"),
        pytest.param(
            b"{" + b",".join(b'"%d":1' % n for n in range(9_999)) + b',"0":1}', id="late duplicate"
        ),
    ],
)
def test_hostile_input_costs_less_than_a_second(body):
    started = time.process_time()

    with pytest.raises(MalformedSignal):
        parse_strictly(body)

    assert time.process_time() - started < 1


def test_the_largest_body_costs_less_than_20_mib_of_memory():
    values = b"[" + b",".join(b'"%d"' % number for number in range(9_999)) + b"]"
    largest = values + b" " * (MIB - len(values))
    tracemalloc.start()
    try:
        parse_strictly(largest)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 20 * MIB
