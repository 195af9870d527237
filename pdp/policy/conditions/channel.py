"""Where the decision is asked for: `channel: [sign-in, refresh]`."""

from collections.abc import Collection
from typing import Final

from pdp.domain.access import Channel, Facts, Reason
from pdp.policy.membership import Attribute, Membership, parse_words
from pdp.policy.reader import Field


def _read(facts: Facts) -> Collection[str]:
    return (facts.channel,)


CHANNEL: Final = Attribute("channel", Reason.CHANNEL, _read)


def parse(field: Field) -> Membership:
    """Read channels."""
    return parse_words(field, CHANNEL, tuple(channel.value for channel in Channel))
