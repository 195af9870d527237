"""Devices: of two statements of one instant the worse stands, whichever comes first."""

import pytest

from pdp.domain.device import Device
from pdp.domain.ids import DeviceId, SourceId
from pdp.domain.signal import DeviceName, NameKind, Scalar, Signal
from tests.builders import NOW


def said(signal_id: str, value: Scalar) -> Signal:
    """Return what a source said of a device's posture just now."""
    return Signal(
        id=signal_id,
        source=SourceId("edr"),
        device=(DeviceName(NameKind.ID, "dev_1"),),
        event_time=NOW,
        posture={"attribute": value},
    )


@pytest.mark.parametrize("signal_ids", [("1", "2"), ("2", "1")], ids=["in order", "in reverse"])
@pytest.mark.parametrize(
    ("milder", "worse"),
    [
        pytest.param(True, False, id="false is worse than true"),
        pytest.param(14, 12, id="less is worse"),
        pytest.param(14.5, 14, id="less is worse across kinds of numbers"),
        pytest.param(0, -1, id="less than nothing is worse"),
    ],
)
def test_of_two_values_of_one_instant_the_worse_stands(
    milder: Scalar, worse: Scalar, signal_ids: tuple[str, str]
):
    one, other = (said(*each) for each in zip(signal_ids, (milder, worse), strict=True))

    for order in ((one, other), (other, one)):
        device = Device(id=DeviceId("dev_1"))
        for signal in order:
            device = device.with_signal(signal)
        (reading,) = device.readings.values()
        assert reading.statements["posture.attribute"].value == worse
