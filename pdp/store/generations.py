"""The counter by which processes learn that clients, keys, sources or documents changed."""

from typing import NoReturn

from pdp.clock import new_step
from pdp.store.database import Statement, Transaction

_READ = Statement("SELECT value FROM generations WHERE name = 'config'")
_RAISE = Statement("UPDATE generations SET value = value + :step WHERE name = 'config'")


def read(tx: Transaction) -> int:
    """Return the present generation of what processes keep in memory."""
    row = tx.one(_READ, {})
    if row is None:
        raise_lost()
    return int(row[0])


def raise_lost() -> NoReturn:
    """Refuse to go on: without the counter nobody knows whether a configuration is in force."""
    raise RuntimeError("the database lost its generation counter: restore it from a backup")


def advance(tx: Transaction) -> None:
    """Tell every process, when this transaction commits, that its memory is out of date."""
    tx.run(_RAISE, {"step": new_step()})
