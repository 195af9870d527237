"""Microsoft Defender for Endpoint: its machines and alerts, as signals."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pdp.domain.signal import DeviceName, Finding, NameKind, RiskLevel
from pdp.sources.defender import parse
from pdp.sources.errors import MalformedSignal
from tests.builders import NOW, SOURCE

VECTORS = Path(__file__).parents[1] / "vectors" / "defender"
MACHINE_ID = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07"


def _recorded(name):
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def _parse(document):
    return parse(json.dumps(document).encode(), SOURCE, NOW)


def _parse_one(recorded, **members):
    [signal] = _parse({**_recorded(recorded), **members})
    return signal


def _refusal(document):
    with pytest.raises(MalformedSignal) as refused:
        _parse(document)
    return str(refused.value)


def test_a_machine_says_its_names_risk_and_sensor():
    signal = _parse_one("machine.json")

    assert signal.device == (
        DeviceName(NameKind.EDR_ID, MACHINE_ID),
        DeviceName(NameKind.ENTRA_ID, "80fe8ff8-2624-418e-9591-41f0491218f9"),
        DeviceName(NameKind.HOSTNAME, "pc1.contoso.com"),
    )
    assert signal.event_time == datetime(2026, 3, 2, 9, 55, 3, 779_185, tzinfo=UTC)
    assert signal.risk is RiskLevel.HIGH
    assert signal.posture == {"sensor_active": True, "onboarded": True}
    assert (signal.platform, signal.os_version) == ("windows", None)


@pytest.mark.parametrize("word", ["", None])
def test_a_machine_that_says_nothing_of_its_sensor_has_no_posture(word):
    assert _parse_one("machine.json", healthStatus=word, onboardingStatus=word).posture == {}


def test_a_page_of_machines_gives_a_signal_each_and_null_says_nothing():
    windows, mac = _parse(_recorded("machines-page.json"))

    assert windows.risk is RiskLevel.LOW
    assert mac.risk is None
    assert [name.kind for name in mac.device] == [NameKind.EDR_ID]
    assert mac.posture == {"sensor_active": False, "onboarded": True}
    assert (mac.platform, mac.os_version) == ("macos", "15.3.1")


@pytest.mark.parametrize(
    ("word", "risk"),
    [
        ("None", RiskLevel.LOW),
        ("Informational", RiskLevel.LOW),
        ("Low", RiskLevel.LOW),
        ("Medium", RiskLevel.MEDIUM),
        ("High", RiskLevel.HIGH),
        (None, None),
    ],
)
def test_each_risk_score_has_its_level(word, risk):
    assert _parse_one("machine.json", riskScore=word).risk is risk


@pytest.mark.parametrize(
    "word", ["Inactive", "ImpairedCommunication", "NoSensorData", "Unknown", "SomethingNew"]
)
def test_a_sensor_that_is_not_active_is_not_active_whatever_the_word(word):
    assert _parse_one("machine.json", healthStatus=word).posture["sensor_active"] is False


@pytest.mark.parametrize(
    ("stated", "platform"),
    [
        ("Windows10", "windows"),
        ("WindowsServer2022", "windows"),
        ("macOS", "macos"),
        ("Ubuntu", "linux"),
        ("RedHatEnterpriseLinux", "linux"),
        ("iOS", "ios"),
        ("Android", "android"),
        ("Plan9", None),
        ("", None),
        (None, None),
    ],
)
def test_the_platform_is_one_of_ours_or_left_open(stated, platform):
    assert _parse_one("machine.json", osPlatform=stated).platform == platform


@pytest.mark.parametrize("version", ["Other", "", None])
def test_a_version_that_is_no_number_is_left_open(version):
    assert _parse_one("machine.json", osPlatform="macOS", version=version).os_version is None


def test_an_alert_is_a_finding_and_an_attack_at_work_is_an_active_threat():
    signal = _parse_one("alert.json")

    assert signal.device == (
        DeviceName(NameKind.EDR_ID, MACHINE_ID),
        DeviceName(NameKind.HOSTNAME, "pc1.contoso.com"),
    )
    assert signal.event_time == datetime(2026, 3, 2, 9, 51, 36, 200_000, tzinfo=UTC)
    assert signal.risk is None
    assert signal.findings == (
        Finding(
            id="da637472900382838869_1364969609",
            title="Suspicious access to LSASS service",
            severity=RiskLevel.HIGH,
            category="active-threat",
        ),
    )


def test_a_resolved_alert_resolves_the_same_finding():
    [opened] = _parse_one("alert.json").findings
    [resolved] = _parse_one("alert-resolved.json").findings

    assert resolved.id == opened.id
    assert resolved.resolved
    assert resolved.category == "credential-access"


@pytest.mark.parametrize(
    ("members", "severity", "category"),
    [
        ({"severity": "Medium"}, RiskLevel.MEDIUM, "credential-access"),
        ({"severity": "UnSpecified"}, RiskLevel.MEDIUM, "credential-access"),
        ({"severity": "Informational"}, RiskLevel.LOW, "credential-access"),
        ({"category": "UnwantedSoftware"}, RiskLevel.HIGH, "unwanted-software"),
        ({"category": "Ransomware"}, RiskLevel.HIGH, "active-threat"),
        ({"category": "Ransomware", "status": "InProgress"}, RiskLevel.HIGH, "active-threat"),
        ({"category": None}, RiskLevel.HIGH, ""),
    ],
)
def test_severity_and_category_of_an_alert_are_read(members, severity, category):
    [finding] = _parse_one("alert.json", **members).findings

    assert (finding.severity, finding.category) == (severity, category)


@pytest.mark.parametrize(
    ("members", "time"),
    [
        ({"lastUpdateTime": None, "resolvedTime": "2026-03-02T09:50:00Z"}, (9, 50, 0)),
        ({"lastUpdateTime": None}, (9, 49, 2)),
    ],
)
def test_an_alert_is_as_old_as_its_last_change(members, time):
    event_time = _parse_one("alert.json", **members).event_time

    assert (event_time.hour, event_time.minute, event_time.second) == time


@pytest.mark.parametrize("machine", [None, ""])
def test_an_alert_about_no_machine_gives_no_signal_and_spoils_no_other(machine):
    alert = _recorded("alert.json")

    assert len(_parse([{**alert, "machineId": machine}, alert])) == 1


def test_an_empty_page_says_nothing():
    assert _parse({"value": []}) == ()


def test_the_same_object_has_the_same_id_and_a_changed_one_another():
    assert _parse_one("machine.json").id == _parse_one("machine.json").id
    assert _parse_one("machine.json").id != _parse_one("machine.json", riskScore="Low").id
    assert len(_parse_one("machine.json", id="x" * 256).id) <= 256


MALFORMED = [
    ({}, "is neither a machine (it has no lastSeen) nor an alert (it has no machineId)"),
    ([7], "[0]: must be an object, not a number"),
    ("x", "must be an object, not a string"),
    ({"value": {}}, "value: must be an array, not an object"),
    ({"value": [_recorded("machine.json")] * 101}, "value: has 101 items; at most 100"),
    ({**_recorded("machine.json"), "riskScore": "Critical"}, "riskScore: must be one of None, Inf"),
    ({**_recorded("machine.json"), "riskScore": "high"}, "not 'high'"),
    ({**_recorded("machine.json"), "id": None}, "id: is missing"),
    ({**_recorded("machine.json"), "lastSeen": None}, "lastSeen: is missing"),
    ({**_recorded("machine.json"), "lastSeen": "2026-03-02T11:00:00Z"}, "is in the future"),
    ({**_recorded("machine.json"), "aadDeviceId": 7}, "aadDeviceId: must be a string"),
    ({**_recorded("alert.json"), "severity": None}, "severity: is missing"),
    ({**_recorded("alert.json"), "severity": "Extreme"}, "severity: must be one of UnSpecified"),
    ({**_recorded("alert.json"), "status": "resolved"}, "status: must be one of Unknown, New"),
    ({**_recorded("alert.json"), "title": None}, "title: is missing"),
]


@pytest.mark.parametrize(("document", "problem"), MALFORMED, ids=[p for _, p in MALFORMED])
def test_what_the_vendor_does_not_document_is_refused(document, problem):
    assert problem in _refusal(document)
