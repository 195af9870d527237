"""What a fresh database needs before anything can be decided: documents and signing keys."""

from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from typing import Final

from pdp.jose.keys import SigningKey
from pdp.policy.defaults import POLICIES_FILE, RULES_FILE
from pdp.store import documents, signing_keys
from pdp.store.database import Transaction
from pdp.store.documents import DocumentKind
from pdp.store.envelope import Envelope
from pdp.usecases.publish_document import publish
from pdp.usecases.rotate_keys import add_key

#: ID tokens are RS256 unless a client asks for another, access tokens ES256.
FIRST_ALGORITHMS: Final = ("RS256", "ES256")

_SHIPPED: Final[Mapping[DocumentKind, str]] = {
    DocumentKind.POLICIES: POLICIES_FILE,
    DocumentKind.COMPLIANCE: RULES_FILE,
}


def missing_algorithms(tx: Transaction, envelope: Envelope) -> tuple[str, ...]:
    """Return the algorithms of the first keys for which there is no key yet."""
    present = {key.alg for key in signing_keys.load_all(tx, envelope)}
    return tuple(alg for alg in FIRST_ALGORITHMS if alg not in present)


def add_first_keys(
    tx: Transaction,
    envelope: Envelope,
    keys: tuple[SigningKey, ...],
    *,
    actor: str,
    now: datetime,
) -> tuple[SigningKey, ...]:
    """Keep those of `keys`, made beforehand, whose algorithm has no key yet; return them."""
    missing = missing_algorithms(tx, envelope)
    added = tuple(key for key in keys if key.alg in missing)
    for key in added:
        add_key(tx, envelope, key, actor=actor, now=now)
    return added


def publish_defaults(tx: Transaction, *, actor: str, now: datetime) -> tuple[DocumentKind, ...]:
    """Put the shipped documents in force where none is; return of which kinds."""
    missing = tuple(kind for kind in _SHIPPED if documents.active(tx, kind) is None)
    for kind in missing:
        # The text as shipped, not what it parses to: its comments explain it.
        text = files("pdp.policy").joinpath(_SHIPPED[kind]).read_text(encoding="utf-8")
        publish(tx, kind, text, file=_SHIPPED[kind], actor=actor, now=now)
    return missing
