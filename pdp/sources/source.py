"""What an adapter of a signal source is: two plain functions under a name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pdp.domain.ids import SourceId
from pdp.domain.signal import Signal
from pdp.sources.signatures import Authenticated, Delivery, Refusal

Authenticate = Callable[[Delivery, Sequence[str], datetime], Authenticated | Refusal]
Parse = Callable[[bytes, SourceId, datetime], tuple[Signal, ...]]


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of adapter: who may speak, and how what is said is read.

    `authenticate(delivery, secrets, now)` returns who spoke or why nobody is believed, and never
    raises. `parse(body, source_id, now)` returns what an authentic body says, or raises
    MalformedSignal; it raises nothing else, whatever the bytes.
    """

    name: str
    authenticate: Authenticate
    parse: Parse
