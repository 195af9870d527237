"""The conditions that policies can name: one module each, one table."""

from collections.abc import Callable, Mapping
from typing import Final

from pdp.policy.condition import Condition
from pdp.policy.conditions import (
    authentication,
    channel,
    client,
    device_compliance,
    device_platform,
    device_risk,
    grant_type,
    group,
    identification_strength,
    network,
    scope,
    subject,
    time_window,
)
from pdp.policy.reader import Field

ConditionParser = Callable[[Field], Condition]

#: Name in documents -> parser.
CONDITIONS: Final[Mapping[str, ConditionParser]] = {
    "client": client.parse,
    "scope": scope.parse,
    "subject": subject.parse,
    "group": group.parse,
    "grant_type": grant_type.parse,
    "channel": channel.parse,
    "device_compliance": device_compliance.parse,
    "device_risk": device_risk.parse,
    "device_platform": device_platform.parse,
    "identification_strength": identification_strength.parse,
    "acr_at_least": authentication.parse_acr_at_least,
    "amr": authentication.parse_amr,
    "signed_in_within": authentication.parse_signed_in_within,
    "network": network.parse,
    "time_window": time_window.parse,
}
