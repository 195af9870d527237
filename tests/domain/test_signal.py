"""Names of devices: one spelling for what sources and people mean alike, and no name for two."""

import pytest

from pdp.domain.signal import DeviceName, NameKind


@pytest.mark.parametrize(
    ("kind", "told", "spelled"),
    [
        (NameKind.SERIAL, "c02xk1", "serial:C02XK1"),
        (NameKind.ENTRA_ID, "80FE8FF8-2624", "entra_id:80fe8ff8-2624"),
        (NameKind.EDR_ID, "1E5BC9", "edr_id:1e5bc9"),
        (NameKind.HOSTNAME, "PC1.Contoso.com", "hostname:pc1.contoso.com"),
        (NameKind.ID, "dev_aB1", "id:dev_aB1"),
    ],
    ids=lambda value: value if isinstance(value, NameKind) else "",
)
def test_a_name_of_a_device_has_one_spelling(kind: NameKind, told: str, spelled: str):
    name = DeviceName.of(kind, told)

    assert str(name) == spelled
    assert DeviceName.of(kind, name.value) == name
