"""What one process was built from: frozen, made once, passed down."""

from dataclasses import dataclass

from pdp.clock import Clock
from pdp.ephemeral.rate_limit import RateLimiter
from pdp.outbound.client import Outbound
from pdp.settings import Settings
from pdp.store.database import Database
from pdp.store.decision_log import DecisionLog
from pdp.store.envelope import Envelope
from pdp.usecases.configuration import Configurations
from pdp.usecases.passwords import Passwords


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Settings, clock, database, secrets, and what is kept in memory beside them.

    `configurations` holds clients, keys, sources, policies and compliance rules, loaded under
    the generation counter of the database; decisions and device state are never kept.
    """

    settings: Settings
    clock: Clock
    database: Database
    envelope: Envelope
    configurations: Configurations
    decision_log: DecisionLog
    passwords: Passwords
    rate_limiter: RateLimiter
    outbound: Outbound

    def close(self) -> None:
        """Write the records that wait, then close what is open; Unavailable if they cannot be."""
        try:
            self.decision_log.close()
        finally:
            self.outbound.close()
            self.database.close()
