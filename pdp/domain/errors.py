"""The closed set of broken promises that travel inside; `web.errors` alone gives them a status."""


class DomainError(Exception):
    """A promise between layers was broken: never a refusal, which is a value."""


class NotFound(DomainError):
    """No such thing, or not one that this caller may know of."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"no {kind} {key!r}")
        self.kind = kind
        self.key = key


class Conflict(DomainError):
    """The thing exists already, or changed under the caller's hands."""


class InvalidTransition(DomainError):
    """A state change that the thing's present state does not allow."""


class Unavailable(DomainError):
    """A dependency that the answer needs is down: try again later, nothing was changed."""


class OutcomeUnknown(Unavailable):
    """The database went away while it committed: the change is kept or undone, nobody heard."""
