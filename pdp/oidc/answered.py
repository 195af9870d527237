"""Introspections that were answered yes, told again to the same question while nothing has moved.

A resource asks about a token in the same words for as long as it lives: the same bytes with the
same credentials. Reading them, proving the caller and verifying the token anew could only come to
what they came to before, until one of these runs out. What the database says is asked anew each
time: with other marks, the question is answered from the beginning.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from pdp.domain.ids import ClientId, GrantId
from pdp.lately import Lately
from pdp.oidc.remembered import Remembered
from pdp.usecases.configuration import Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer, the decision behind it, and when (UTC) question and answer fit together."""

    body: str
    client: ClientId
    jti: str
    grant: GrantId | None
    decision: Remembered
    configuration: Configuration
    since: datetime
    until: datetime


class AnsweredChecks:
    """The last answers, by question; may be used from threads."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        self._answers: Lately[bytes, Answered] = Lately()

    def find(self, question: bytes, now: datetime) -> Answered | None:
        """Return what was answered, if caller and token are still good for it."""
        known = self._answers.find(question)
        return known if known is not None and known.since <= now < known.until else None

    def keep(self, question: bytes, answered: Answered) -> None:
        """Remember an answer."""
        self._answers.keep(question, answered)


def question_of(authorization: str | None, content_type: str, body: bytes) -> bytes:
    """Return a digest of all that a question says: secrets and tokens are not kept for this."""
    digest = hashlib.sha256(b"-" if authorization is None else b"+")
    for part in (authorization or "", content_type):
        head = part.encode("utf-8", "surrogatepass")
        digest.update(len(head).to_bytes(4) + head)
    digest.update(body)
    return digest.digest()
