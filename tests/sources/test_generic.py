"""Our own JSON format: what may be said, and how a slip of the sender is answered."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pdp.domain.ids import DeviceId
from pdp.domain.signal import DeviceName, Finding, NameKind, RiskLevel, Signal
from pdp.sources.errors import MalformedSignal
from pdp.sources.generic import parse
from tests.builders import NOW, SOURCE, a_signal_document

VECTORS = Path(__file__).parents[1] / "vectors" / "generic"


def _parse(document):
    return parse(json.dumps(document).encode(), SOURCE, NOW)


def _parse_one(**members):
    [signal] = _parse(a_signal_document(**members))
    return signal


def _refusal(document):
    with pytest.raises(MalformedSignal) as refused:
        _parse(document)
    return str(refused.value)


def test_a_full_signal_is_read_member_by_member():
    [signal] = parse((VECTORS / "signal.json").read_bytes(), SOURCE, NOW)

    assert signal == Signal(
        id="evt-7f3a",
        source=SOURCE,
        device=(
            DeviceName(NameKind.SERIAL, "C02XK1ABCDEF"),
            DeviceName(NameKind.HOSTNAME, "ada-laptop.example.com"),
        ),
        event_time=datetime(2026, 3, 2, 9, 59, 30, tzinfo=UTC),
        risk=RiskLevel.HIGH,
        category="phishing",
        compliant=False,
        posture={
            "disk_encrypted": True,
            "firewall_enabled": False,
            "screen_lock_minutes": 5,
            "agent_version": "7.2.1",
        },
        findings=(
            Finding(
                id="f-1",
                title="Credential phishing page visited",
                severity=RiskLevel.HIGH,
                category="active-threat",
            ),
            Finding(
                id="f-0",
                title="Firewall off",
                severity=RiskLevel.LOW,
                category="configuration",
                resolved=True,
            ),
        ),
        platform="macos",
        os_version="15.3.1",
    )


def test_a_signal_says_only_what_it_says():
    [signal] = parse((VECTORS / "heartbeat.json").read_bytes(), SOURCE, NOW)

    assert signal == Signal(
        id="beat-1",
        source=SOURCE,
        device=(DeviceName(NameKind.ID, DeviceId("dev_1")),),
        event_time=datetime(2026, 3, 2, 9, 0, 0, 250_000, tzinfo=UTC),
    )


def test_a_batch_is_read_in_its_order():
    signals = parse((VECTORS / "batch.json").read_bytes(), SOURCE, NOW)

    assert [signal.id for signal in signals] == ["b-1", "b-2"]


def test_a_cloudevent_lends_its_signal_id_source_and_time():
    [signal] = parse((VECTORS / "cloudevent.json").read_bytes(), SOURCE, NOW)

    assert signal.id == "https://edr.example.com/tenants/7 A234-1234-1234"
    assert signal.event_time == datetime(2026, 3, 2, 9, 59, 30, tzinfo=UTC)
    assert signal.risk is RiskLevel.MEDIUM


def an_event(**attributes):
    """Return a CloudEvents envelope around a signal that states everything itself."""
    return {
        "specversion": "1.0",
        "type": "io.pratique.signal.v1",
        "source": "/edr",
        "id": "e-1",
        "data": a_signal_document(),
        **attributes,
    }


def test_a_signal_in_a_cloudevent_keeps_its_own_id_and_time():
    [signal] = _parse(an_event(time="2026-03-02T08:00:00Z", traceparent="00-ab"))

    assert signal.id == "evt-1"
    assert signal.event_time == datetime(2026, 3, 2, 9, 59, 30, tzinfo=UTC)


def test_critical_is_high_and_an_active_threat_whatever_category_is_given():
    signal = _parse_one(risk="critical", category="phishing")

    assert (signal.risk, signal.category) == (RiskLevel.HIGH, "active-threat")


@pytest.mark.parametrize(
    ("name", "stated", "known_as"),
    [
        ("serial", "c02xk1", "C02XK1"),
        ("entra_id", "80FE8FF8-2624", "80fe8ff8-2624"),
        ("edr_id", "1E5BC9", "1e5bc9"),
        ("hostname", "PC1.Contoso.com", "pc1.contoso.com"),
        ("id", "dev_aB", "dev_aB"),
    ],
)
def test_names_have_one_spelling_so_that_case_hides_no_device(name, stated, known_as):
    assert _parse_one(device={name: stated}).device == (DeviceName(NameKind(name), known_as),)


def test_a_repetition_within_a_batch_counts_once():
    document = a_signal_document(risk="low")

    assert len(_parse({"signals": [document, dict(document)]})) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"risk": "low"}, {"risk": "high"}, id="risk"),
        pytest.param({"posture": {"a": True}}, {"posture": {"a": 1}}, id="true and 1"),
    ],
)
def test_one_id_cannot_say_two_things(first, second):
    batch = {"signals": [a_signal_document(**first), a_signal_document(**second)]}

    assert "'evt-1' is used for two different signals" in _refusal(batch)


@pytest.mark.parametrize(
    ("ahead", "accepted"), [(timedelta(seconds=60), True), (timedelta(seconds=61), False)]
)
def test_an_event_may_be_60_s_ahead_of_our_clock_and_no_more(ahead, accepted):
    document = a_signal_document(event_time=(NOW + ahead).isoformat())

    assert accepted or "is in the future" in _refusal(document)
    assert not accepted or _parse(document)


@pytest.mark.parametrize(
    "stated",
    [
        "2026-03-02t09:59:30z",
        "2026-03-02T09:59:30.000000001Z",
        "2026-03-02T05:59:30-04:00",
        "1999-12-31T23:59:59Z",
    ],
)
def test_a_time_of_rfc_3339_is_read(stated):
    assert _parse_one(event_time=stated).event_time.tzinfo is UTC


MALFORMED = [
    ([], "must be an object, not an array"),
    (None, "must be an object, not null"),
    ({}, "id: is missing"),
    (a_signal_document(id=7), "id: must be a string, not a number"),
    (a_signal_document(id=""), "id: must have 1 to 256 characters, not 0"),
    (a_signal_document(id="x" * 257), "id: must have 1 to 256 characters, not 257"),
    (a_signal_document(id="a\0b"), "id: must not hold control characters"),
    (a_signal_document(id="a\u009bb"), "id: must not hold control characters"),
    (a_signal_document(event_time=1772445600), "event_time: must be a string"),
    (a_signal_document(event_time="2026-03-02"), "event_time: must be a time like"),
    (a_signal_document(event_time="2026-03-02T09:59:30"), "event_time: must be a time like"),
    (a_signal_document(event_time="2026-03-02 09:59:30Z"), "event_time: must be a time like"),
    (a_signal_document(event_time="2026-02-30T09:59:30Z"), "event_time: no such time"),
    (a_signal_document(event_time="0001-01-01T00:00:00+14:00"), "event_time: no such time"),
    (a_signal_document(event_time="2026-03-02T09:59:30+24:00"), "event_time: no such time"),
    (a_signal_document(device={}), "device: must give at least one name of the device: id, serial"),
    (a_signal_document(device="C02"), "device: must be an object, not a string"),
    (a_signal_document(device={"serail": "C02"}), "did you mean 'serial'?"),
    (a_signal_document(device={"serial": None}), "device.serial: must be a string, not null"),
    (a_signal_document(risc="high"), "'risc': unknown member; did you mean 'risk'?"),
    (a_signal_document(zzz=1), "'zzz': unknown member; known: id, event_time"),
    (a_signal_document(risk="unknown"), "risk: must be one of low, medium, high, critical; not"),
    (a_signal_document(risk="High"), "not 'High'"),
    (a_signal_document(risk=None), "risk: must be one of low, medium, high, critical; not null"),
    (a_signal_document(risk=["high"]), "not an array"),
    (a_signal_document(category="phishing"), "category: says what kind of risk; give the risk"),
    (a_signal_document(risk="low", category="Bad One"), "category: must be lower-case words"),
    (a_signal_document(compliant="yes"), "compliant: must be true or false, not 'yes'"),
    (a_signal_document(compliant=1), "compliant: must be true or false, not a number"),
    (a_signal_document(posture=[]), "posture: must be an object, not an array"),
    (a_signal_document(posture={"Disk": True}), "posture.'Disk': a field's name"),
    (a_signal_document(posture={"disk": None}), "posture.disk: must be true, false, a number"),
    (a_signal_document(posture={"disk": {}}), "posture.disk: must be true, false, a number"),
    (a_signal_document(posture={"os": "x" * 1001}), "posture.os: must have 1 to 1000 characters"),
    (a_signal_document(posture={f"f{n}": n for n in range(101)}), "posture: has 101 fields"),
    (a_signal_document(findings={}), "findings: must be an array, not an object"),
    (a_signal_document(findings=[{"id": "f"}]), "findings[0].severity: is missing"),
    (
        a_signal_document(findings=[{"id": "f", "title": "T", "severity": "low"}] * 2),
        "findings[1].id: is the id of an earlier finding",
    ),
    (
        a_signal_document(findings=[{"id": "f", "severity": "low", "titel": "T"}]),
        "findings[0].'titel': unknown member; did you mean 'title'?",
    ),
    (a_signal_document(findings=[{}] * 101), "findings: has 101 items; at most 100"),
    (a_signal_document(platform="beos"), "platform: must be one of macos, windows"),
    (a_signal_document(os_version="1" * 65), "os_version: must have 1 to 64 characters"),
    ({"signals": []}, "signals: must hold at least one signal"),
    ({"signals": [a_signal_document()] * 101}, "signals: has 101 items; at most 100"),
    ({"signals": [a_signal_document(), 7]}, "signals[1]: must be an object, not a number"),
    ({"signals": [a_signal_document(risk=1)]}, "signals[0].risk: must be one of"),
    ({"signals": [a_signal_document()], "risk": "high"}, "'risk': unknown member"),
    (an_event(specversion="0.3"), "specversion: must be one of 1.0; not '0.3'"),
    (an_event(type="com.example"), "type: must be one of io.pratique.signal.v1"),
    (an_event(data_base64="e30="), "'data_base64': no CloudEvents attribute"),
    (an_event(datacontenttype="text/xml"), "datacontenttype: must be one of application/json"),
    (an_event(data=[]), "data: must be an object, not an array"),
    (an_event(data={"device": {"id": "d"}}), "data.event_time: is missing"),
    (an_event(data={"device": {"id": "d"}}, source="s" * 256), "id: is, with source, longer than"),
    (an_event(id=None), "id: must be a string, not null"),
    (an_event(data=a_signal_document(risk=0)), "data.risk: must be one of"),
]


@pytest.mark.parametrize(("document", "problem"), MALFORMED, ids=[p for _, p in MALFORMED])
def test_a_slip_of_the_sender_is_answered_with_field_and_fix(document, problem):
    assert problem in _refusal(document)


def test_an_error_text_is_short_and_free_of_control_characters_whatever_the_sender_wrote():
    text = _refusal(a_signal_document(**{"\x1b[2J" + "k" * 100_000: "v"}))

    assert len(text) < 400
    assert "\x1b" not in text
