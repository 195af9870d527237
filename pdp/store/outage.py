"""What an operator learns of a database that is away: what it said itself, else what kept us off.

For commands, log lines and the management address, never for a stranger. The URL is not repeated,
nor the host in it: where a password is written into a URL unescaped, half of it is the host's name.
"""

import re
import sqlite3
from typing import Final

import psycopg
import sqlalchemy as sa

#: While it connects, psycopg hands on no fields of the refusal but the line that libpq prints.
_REFUSAL: Final = re.compile(r"\bFATAL:\s+(.+)")
#: What libpq, psycopg and the system say where no database spoke, and our words for it.
_SILENCE: Final = (
    ("failed to resolve host", "host not found"),
    ("Connection refused", "connection refused"),
    ("timeout expired", "no answer in time"),
    ("did not answer in time", "no answer in time"),
    ("No such file or directory", "no such socket"),
    ("No route to host", "no route to its host"),
    ("Network is unreachable", "no route to its host"),
    ("no password supplied", "it asks for a password, and database.url has none"),
    ("SSL", "TLS could not be agreed on"),
)


def outage(error: BaseException) -> str:
    """Return what is known of an outage: it never holds a password or a URL."""
    if (said := _said(error)) is not None:
        return f"the database says: {said}"
    text = str(_cause(error))
    for pattern, words in _SILENCE:
        if pattern in text:
            return f"the database does not answer ({words})"
    return "the database does not answer"


def cure(error: BaseException) -> str:
    """Return what to do about an outage; one that speaks runs already."""
    if _said(error) is None:
        return "start it, or mend database.url"
    return "mend what it says, or database.url"


def _said(error: BaseException) -> str | None:
    """Return the database's own words; None if it did not speak."""
    match _cause(error):
        case sqlite3.Error() as cause:
            return str(cause) or None
        case psycopg.Error() as cause:
            refusals = _REFUSAL.findall(str(cause))
            return cause.diag.message_primary or (refusals[-1].strip() if refusals else None)
        case _:
            return None


def _cause(error: BaseException) -> BaseException:
    wrapped = error.orig if isinstance(error, sa.exc.DBAPIError) else None
    return wrapped or error
