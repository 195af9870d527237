"""What is stored of a device comes back as the same value, whatever a source said."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.domain.compliance import Cause, Compliance
from pdp.domain.device import Block, Override, Reading, Statement
from pdp.domain.ids import SourceId
from pdp.domain.signal import Finding, RiskLevel
from pdp.store.readings import (
    Unreadable,
    read_block,
    read_causes,
    read_override,
    read_readings,
    write_block,
    write_causes,
    write_override,
    write_readings,
    write_signal,
)
from tests.builders import NOW
from tests.deployment import a_signal

_texts = st.text(st.characters(codec="utf-8"), max_size=20)
_instants = st.datetimes(timezones=st.just(UTC))
_levels = st.sampled_from(RiskLevel)
_findings = st.builds(
    Finding, id=_texts, title=_texts, severity=_levels, category=_texts, resolved=st.booleans()
)
_scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
_values = _scalars | _texts | _levels | _findings
_statements = st.builds(Statement, _values, _instants, _texts)
_readings = st.dictionaries(
    _texts.map(SourceId), st.dictionaries(_texts, _statements, max_size=5).map(Reading), max_size=3
)
_causes = st.lists(
    st.builds(
        Cause,
        rule=_texts,
        status=st.sampled_from(Compliance),
        source=st.none() | _texts.map(SourceId),
        attribute=_texts,
        title=_texts,
        category=_texts,
        since=st.none() | _instants,
        grace_until=st.none() | _instants,
    ),
    max_size=4,
).map(tuple)


def _kinds(readings):
    return [
        (source, attribute, type(statement.value))
        for source, reading in readings.items()
        for attribute, statement in reading.statements.items()
    ]


@given(_readings)
def test_readings_come_back_equal_and_of_the_same_types(readings):
    again = read_readings(write_readings(readings))

    assert again == readings
    # 1, 1.0 and true are equal in Python, and three different statements.
    assert sorted(map(repr, _kinds(again))) == sorted(map(repr, _kinds(readings)))


@given(_causes)
def test_causes_come_back_equal_and_in_order(causes):
    assert read_causes(write_causes(causes)) == causes


@given(_instants, _texts, _texts)
def test_an_administrators_word_comes_back_equal(instant, reason, by):
    block = Block(since=instant, reason=reason, by=by)
    override = Override(until=instant, reason=reason, by=by)

    assert read_block(write_block(block)) == block
    assert read_override(write_override(override)) == override


def test_no_word_is_no_word():
    assert read_block(write_block(None)) is None
    assert read_override(write_override(None)) is None


@pytest.mark.parametrize(
    "value", ["null", "[]", '{"risk":"none"}', '{"else":1}'], ids=["null", "list", "level", "kind"]
)
def test_a_value_that_cannot_be_read_is_an_error_and_never_a_healthy_one(value):
    with pytest.raises(Unreadable, match=r"reading holds|RiskLevel"):
        read_readings('{"edr":{"risk":[' + value + ',0,"evt-1"]}}')


def test_equal_signals_are_written_equally_whatever_the_order_of_their_members():
    one = a_signal(posture={"a": 1, "b": True})
    other = a_signal(posture={"b": True, "a": 1})

    assert write_signal(one) == write_signal(other)


def test_signals_that_say_different_things_are_written_differently():
    spoken = [{"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}]

    assert len({write_signal(a_signal(posture=posture)) for posture in spoken}) == len(spoken)
    assert write_signal(a_signal(at=NOW)) != write_signal(
        a_signal(at=datetime(2026, 1, 1, tzinfo=UTC))
    )
