"""Every adapter: any bytes in, signals or MalformedSignal out; the schema says what is read."""

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdp.domain.signal import Signal
from pdp.sources import SOURCES, signatures
from pdp.sources import generic as generic_source
from pdp.sources.errors import MalformedSignal
from tests.builders import NOW, SOURCE, a_signal_document

VECTORS = Path(__file__).parents[1] / "vectors"
RECORDED = [(name, path) for name in SOURCES for path in sorted((VECTORS / name).glob("*.json"))]
SCHEMA = json.loads(
    Path(generic_source.__file__).with_name("signal.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

# JSON that is shaped like what sources send, with the members and words that parsers look for.
_names = st.sampled_from(
    [
        *("id", "event_time", "device", "risk", "category", "compliant", "posture", "findings"),
        *("platform", "os_version", "signals", "specversion", "type", "source", "data", "time"),
        *("value", "machineId", "lastSeen", "riskScore", "severity", "status", "title", "serial"),
        *("aadDeviceId", "computerDnsName", "healthStatus", "osPlatform", "version", "resolved"),
    ]
)
_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        [
            *("low", "critical", "High", "None", "New", "Resolved", "macos", "Windows11", "1.0"),
            *("2026-03-02T09:59:30Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"),
            *("io.pratique.signal.v1", "active-threat", "\ud800", "\0"),
        ]
    )
)
_documents = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_names | st.text(max_size=4), inner, max_size=12)
    ),
    max_leaves=40,
)
_recorded_documents = [json.loads(path.read_text(encoding="utf-8")) for _, path in RECORDED]


@st.composite
def _altered(draw):
    """Return a recorded body in which one member, somewhere, is replaced, added or gone."""
    document = json.loads(json.dumps(draw(st.sampled_from(_recorded_documents))))
    node = document
    while True:
        key = draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], (dict, list)) or not node[key] or draw(st.booleans()):
            break
        node = node[key]
    match draw(st.sampled_from(["replace", "add", "remove"])):
        case "replace":
            node[key] = draw(_documents)
        case "add" if isinstance(node, dict):
            node[draw(_names)] = draw(_documents)
        case _:
            del node[key]
    return document


def _is_read(name, body):
    """Tell whether the body is read as signals; any exception but MalformedSignal is a failure."""
    try:
        signals = SOURCES[name].parse(body, SOURCE, NOW)
    except MalformedSignal:
        return False
    assert {type(signal) for signal in signals} <= {Signal}
    assert {signal.source for signal in signals} <= {SOURCE}
    assert len({signal.id for signal in signals}) == len(signals)
    return True


def test_every_adapter_is_listed_under_its_own_name_and_checks_signatures():
    assert all(source.name == name for name, source in SOURCES.items())
    assert {source.authenticate for source in SOURCES.values()} == {signatures.authenticate}


@pytest.mark.parametrize(("name", "path"), RECORDED, ids=[path.stem for _, path in RECORDED])
def test_every_recorded_body_is_read(name, path):
    assert _is_read(name, path.read_bytes())


@pytest.mark.parametrize("name", SOURCES)
@given(body=st.binary())
def test_any_bytes_are_signals_or_malformed(name, body):
    _is_read(name, body)


@pytest.mark.parametrize("name", SOURCES)
@given(document=_documents | _altered())
def test_any_json_is_signals_or_malformed(name, document):
    _is_read(name, json.dumps(document).encode())


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@given(document=_documents | _altered())
@example(document=a_signal_document(category="x"))
@example(document={"signals": [], "specversion": "1.0"})
def test_whatever_the_parser_reads_the_schema_allows(document):
    body = json.dumps(document).encode()

    assert not _is_read("generic", body) or VALIDATOR.is_valid(document)


@pytest.mark.parametrize(
    "members",
    [
        {"id": ""},
        {"id": "x" * 257},
        {"id": "a\0"},
        {"event_time": "2026-03-02"},
        {"device": {}},
        {"device": {"mac": "x"}},
        {"risk": "unknown"},
        {"risc": "high"},
        {"category": "phishing"},
        {"risk": "low", "category": "Bad"},
        {"compliant": 1},
        {"posture": {"Disk": True}},
        {"posture": {"disk": None}},
        {"posture": {"disk": ""}},
        {"findings": [{"id": "f"}]},
        {"platform": "beos"},
        {"os_version": ""},
    ],
    ids=str,
)
def test_what_the_parser_refuses_for_its_form_the_schema_refuses(members):
    document = a_signal_document(**members)
    event = {
        "specversion": "1.0",
        "type": "io.pratique.signal.v1",
        "source": "s",
        "id": "e",
        "data": document,
    }

    for form in (document, {"signals": [document]}, event):
        assert not _is_read("generic", json.dumps(form).encode())
        assert not VALIDATOR.is_valid(form)
