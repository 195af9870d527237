"""What comes in and goes out at protocol endpoints, independent of any web framework."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import InvalidClientError, OAuth2Payload, OAuth2Request

from pdp.domain.client import Client
from pdp.oidc.changes import Changes, Moved
from pdp.oidc.client import OidcClient
from pdp.store.database import Transaction
from pdp.usecases.configuration import Configuration

#: How answers of programs' endpoints begin.
JSON_HEADERS = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
_MOST_PARAMETERS = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LAYOUT = str.maketrans("", "", "\t\r\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP request, as far as the endpoints of programs look at it."""

    body: bytes
    content_type: str
    authorization: str | None
    address: str | None


@dataclass(slots=True)
class Answer:
    """An HTTP answer: status, body and headers. Authlib's extensions set its `location`."""

    status: int
    body: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def location(self) -> str | None:
        """Where the answer redirects to, if it does."""
        return next((value for name, value in self.headers if name == "Location"), None)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Form or query parameters: each once, none empty; `repeated` names those that came twice.

    RFC 6749 §3.1, §3.2: parameters without a value are treated as omitted, and none may be
    included more than once.
    """

    values: Mapping[str, str]
    repeated: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """How many bytes names and values have together, as UTF-8."""
        return sum(len(text.encode()) for pair in self.values.items() for text in pair)

    @classmethod
    def parse(cls, encoded: str) -> "Parameters":
        """Read `application/x-www-form-urlencoded` text.

        ValueError if it has too many fields, or control characters, which no parameter of ours
        has: RFC 6749 appendix A. In `claims` JSON may be laid out in lines.
        """
        values: dict[str, str] = {}
        repeated = set()
        for name, value in parse_qsl(encoded, max_num_fields=_MOST_PARAMETERS, errors="replace"):
            if _CONTROL.search(name) or _CONTROL.search(_unlaid(name, value)):
                raise ValueError("a parameter has a control character")
            if name in values:
                repeated.add(name)
            values[name] = value
        return cls(values, frozenset(repeated))


def _unlaid(name: str, value: str) -> str:
    return value.translate(_LAYOUT) if name == "claims" else value


class OidcPayload(OAuth2Payload):
    """The parameters of one request, in the shape that Authlib reads them."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    @property
    def data(self) -> Mapping[str, str]:
        """Each parameter once."""
        return self._parameters.values

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        """Each parameter as a list, as long as it came often."""
        lists: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in self._parameters.values.items():
            lists[name] = [value, value] if name in self._parameters.repeated else [value]
        return lists


class OidcRequest(OAuth2Request):
    """A request with all that answering it needs: transaction, configuration, instant.

    At token endpoints the transaction only reads; what the answer writes is added to `changes`.
    """

    def __init__(
        self,
        method: str,
        parameters: Parameters,
        *,
        authorization: str | None = None,
        address: str | None = None,
        tx: Transaction,
        configuration: Configuration,
        now: datetime,
    ) -> None:
        # Authlib's constructor checks that the URL is https. That is the settings' business
        # here: the issuer is https, or on loopback in the development profile.
        self.method = method
        self.uri = ""
        self.headers: dict[str, str] = {}
        self.authorization = authorization
        self.payload = OidcPayload(parameters)
        self.parameters = parameters
        self.client: OidcClient | None = None
        self.auth_method: str | None = None
        self.user: Any = None
        self.authorization_code: Any = None
        self.refresh_token: Any = None
        self.credential = None
        self._scope = None
        self._body = None
        self.address = address
        self.tx = tx
        self.configuration = configuration
        self.now = now
        self.changes = Changes()
        #: Whether the database said that this configuration is the one in force.
        self.is_confirmed = False

    def confirm(self, generation: int) -> None:
        """Go on if the configuration at hand is that of `generation`; raises Moved if not."""
        if generation != self.configuration.generation:
            raise Moved
        self.is_confirmed = True

    @property
    def registered(self) -> Client:
        """The client that Authlib has found or authenticated; nothing asks before it has."""
        if self.client is None:
            raise InvalidClientError(description="No client was identified.")
        return self.client.registered

    @property
    def form(self) -> Mapping[str, str]:
        """The parameters; at token endpoints they come in the body only."""
        return self.parameters.values

    @property
    def args(self) -> Mapping[str, str]:
        """The parameters, as Authlib's authorization endpoint names them."""
        return self.parameters.values
