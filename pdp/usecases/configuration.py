"""What decides, kept in memory: clients, keys, sources, policies and rules of one generation.

A process asks the generation counter in each transaction and reloads when it moved, so that a
change counts on every process with its next request. A document that does not parse never
replaces one that does: the last good one stays, and readiness and metrics say so.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from pdp.domain.client import Client, Resource
from pdp.domain.errors import DomainError
from pdp.domain.ids import ClientId, SourceId
from pdp.jose.keys import KeyRing, SigningKey
from pdp.policy.document import parse_policies
from pdp.policy.errors import MalformedPolicy
from pdp.policy.policy import Bundle
from pdp.policy.rules import Rules
from pdp.policy.rules_document import parse_rules
from pdp.store import clients, documents, generations, signing_keys, sources
from pdp.store.database import Transaction
from pdp.store.documents import DocumentKind
from pdp.store.envelope import Envelope
from pdp.store.sources import ConfiguredSource


class NotInitialised(DomainError):
    """The database holds no policies, rules or keys yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything of one generation. `problem` tells why a newer document was not taken."""

    generation: int
    clients: Mapping[ClientId, Client]
    resources: tuple[Resource, ...]
    keys: KeyRing
    sources: Mapping[SourceId, ConfiguredSource]
    bundle: Bundle
    rules: Rules
    problem: str | None = None

    def resources_for(self, scopes: frozenset[str]) -> tuple[Resource, ...]:
        """Return the resources that any of `scopes` belongs to."""
        return tuple(resource for resource in self.resources if resource.scopes & scopes)

    def audiences_of(self, client_id: ClientId) -> frozenset[str]:
        """Return the identifiers of the resources for which this client asks."""
        return frozenset(
            resource.identifier for resource in self.resources if resource.client == client_id
        )


class Configurations:
    """Holds the newest configuration that this process has seen."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._lock = threading.Lock()
        self._latest: Configuration | None = None

    @property
    def latest(self) -> Configuration:
        """The newest one seen; NotInitialised before the first."""
        if self._latest is None:
            raise NotInitialised("no configuration was loaded yet")
        return self._latest

    def at_hand(self, tx: Transaction) -> Configuration:
        """Return the newest one seen; its user finds out whether it is still in force."""
        return self._latest or self.current(tx)

    def current(self, tx: Transaction) -> Configuration:
        """Return the configuration of the database's present generation.

        Raises NotInitialised on an empty database, and MalformedPolicy when the documents do
        not parse and no earlier ones are at hand: without policies nothing may be decided.
        """
        generation = generations.read(tx)
        latest = self._latest
        if latest is not None and latest.generation == generation:
            return latest
        # Another thread may be loading it, for as long as a thousand policies take.
        tx.may_take_long()
        with self._lock:
            if self._latest is None or self._latest.generation != generation:
                self._latest = self._load(tx, generation, self._latest)
            return self._latest

    def _load(
        self, tx: Transaction, generation: int, previous: Configuration | None
    ) -> Configuration:
        try:
            bundle, rules = _load_documents(tx, previous)
            problem = None
        except MalformedPolicy as malformed:
            if previous is None:
                raise
            bundle, rules, problem = previous.bundle, previous.rules, str(malformed)
        return Configuration(
            generation=generation,
            clients=clients.load_all(tx),
            resources=clients.load_resources(tx),
            keys=_load_keys(tx, self._envelope, previous),
            sources=sources.load_all(tx, self._envelope),
            bundle=bundle,
            rules=rules,
            problem=problem,
        )


def _load_documents(tx: Transaction, previous: Configuration | None) -> tuple[Bundle, Rules]:
    policies = documents.active(tx, DocumentKind.POLICIES)
    compliance = documents.active(tx, DocumentKind.COMPLIANCE)
    if policies is None or compliance is None:
        raise NotInitialised("the database holds no policies: run `pdp init`")
    if (
        previous is not None
        and previous.bundle.version == policies[0]
        and previous.rules.version == compliance[0]
    ):
        # Parsing and indexing a thousand policies takes a while: not for a new client's sake.
        return previous.bundle, previous.rules
    return (
        replace(_policies_of(policies[1]), version=policies[0]),
        replace(_rules_of(compliance[1]), version=compliance[0]),
    )


# What was in force before is what a rollback, or a canary taken back, puts in force again.
@lru_cache(maxsize=2)
def _policies_of(text: str) -> Bundle:
    return parse_policies(text, file="policies in force")


@lru_cache(maxsize=2)
def _rules_of(text: str) -> Rules:
    return parse_rules(text, file="compliance rules in force")


def _load_keys(tx: Transaction, envelope: Envelope, previous: Configuration | None) -> KeyRing:
    # A private key costs milliseconds to parse: once for each key, not for each generation.
    parsed = {} if previous is None else {key.kid: key for key in previous.keys.keys}
    stored = signing_keys.load_all(tx, envelope)
    if not stored:
        raise NotInitialised("the database holds no signing keys: run `pdp init`")
    return KeyRing(
        tuple(
            parsed.get(key.kid)
            or SigningKey.from_private(
                key.private, kid=key.kid, alg=key.alg, signs_from=key.signs_from
            )
            for key in stored
        )
    )
