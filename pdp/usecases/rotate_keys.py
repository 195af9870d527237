"""Signing keys change with an overlap: published first, signing later, verifying until retired."""

from datetime import datetime

from pdp.domain.errors import Conflict, NotFound
from pdp.domain.events import Action, Event
from pdp.jose.keys import SigningKey
from pdp.store import audit, generations, signing_keys
from pdp.store.database import Transaction
from pdp.store.envelope import Envelope
from pdp.store.signing_keys import StoredKey


def add_key(
    tx: Transaction, envelope: Envelope, key: SigningKey, *, actor: str, now: datetime
) -> None:
    """Publish a freshly made key; from `key.signs_from` (UTC) on it signs, and older ones verify.

    Make the key before the transaction begins: an RSA key takes a while.
    """
    is_rotation = any(stored.alg == key.alg for stored in signing_keys.load_all(tx, envelope))
    stored = StoredKey(
        kid=key.kid,
        alg=key.alg,
        private=key.private_text(),
        public=dict(key.public_jwk),
        created_at=now,
        signs_from=key.signs_from,
    )
    signing_keys.add(tx, envelope, stored)
    action = Action.KEY_ROTATED if is_rotation else Action.KEY_CREATED
    detail: dict[str, object] = {"alg": key.alg, "signs_from": key.signs_from.isoformat()}
    _tell(tx, action, key.kid, detail, actor=actor, now=now)


def retire_key(tx: Transaction, envelope: Envelope, kid: str, *, actor: str, now: datetime) -> None:
    """Withdraw a key: what it signed is refused from now on, and its private half is deleted.

    NotFound if there is no such key, Conflict if it is retired, or the only one of its algorithm
    that signs at `now` (UTC).
    """
    # Two who retire the last two keys at once would else both find another one left.
    generations.advance(tx)
    keys = signing_keys.load_all(tx, envelope)
    key = next((stored for stored in keys if stored.kid == kid), None)
    if key is not None:
        others = [
            other
            for other in keys
            if other.kid != kid and other.alg == key.alg and other.signs_from <= now
        ]
        if not others:
            raise Conflict(
                f"{kid} is the only {key.alg} key that signs: first"
                f" `pdp keys rotate --alg {key.alg}`, and wait until the new one does"
            )
    elif not any(kid == row[0] for row in signing_keys.list_all(tx)):
        raise NotFound("key", kid)
    signing_keys.retire(tx, kid, now=now)
    _tell(tx, Action.KEY_RETIRED, kid, {}, actor=actor, now=now)


def _tell(
    tx: Transaction,
    action: Action,
    kid: str,
    detail: dict[str, object],
    *,
    actor: str,
    now: datetime,
) -> None:
    audit.append(
        tx, Event(at=now, actor=actor, action=action, kind="key", object_id=kid, detail=detail)
    )
