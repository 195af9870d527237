"""Payroll: a small relying party, to see Pratique from the side of an application.

Sign-in with code, PKCE and nonce, refresh, UserInfo, sign-out, and back-channel logout, on
Authlib's Flask client. Sessions are in memory: enough for an example, and gone with the process.

    PAYROLL_ISSUER=http://localhost:8080 PAYROLL_CLIENT_ID=payroll PAYROLL_CLIENT_SECRET=… \
      python examples/relying_party/app.py
"""

import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from authlib.integrations.flask_client import OAuth, OAuthError
from flask import Flask, redirect, render_template, request, session, url_for
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from werkzeug.wrappers import Response

LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
#: What the client is registered for; never what a token says of itself.
SIGNED_WITH: Final = "RS256"
CLOCK_SKEW: Final = 60
LONGEST_SESSION: Final = 12 * 3600
RENEW_BEFORE_END: Final = 10

Claims = Mapping[str, Any]


def now() -> float:
    """Return the present instant, in seconds since 1970."""
    return time.time()  # noqa: TID251  an application of its own, with a clock of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the server is, who we are there, and where people reach us."""

    issuer: str
    client_id: str
    client_secret: str
    url: str = "http://127.0.0.1:9090"
    scope: str = "openid profile email payroll:read payroll:write"

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the `PAYROLL_…` variables; SystemExit names those that are missing."""
        needed = ("PAYROLL_ISSUER", "PAYROLL_CLIENT_ID", "PAYROLL_CLIENT_SECRET")
        missing = [name for name in needed if not os.environ.get(name)]
        if missing:
            raise SystemExit(
                f"{', '.join(missing)}: set it first, as examples/README.md shows"
                " (`pdp client add` prints id and secret)"
            )
        given = {
            name: value
            for name in ("url", "scope")
            if (value := os.environ.get(f"PAYROLL_{name.upper()}"))
        }
        return cls(
            issuer=os.environ["PAYROLL_ISSUER"],
            client_id=os.environ["PAYROLL_CLIENT_ID"],
            client_secret=os.environ["PAYROLL_CLIENT_SECRET"],
            **given,
        )


@dataclass(slots=True)
class LocalSession:
    """One browser that is signed in here: who it is, and the tokens we hold for them."""

    claims: Claims
    profile: Claims
    tokens: dict[str, Any]
    created_at: float
    ended: bool = False
    refreshing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def scopes(self) -> list[str]:
        """What the access token may be used for now: less than asked for while restricted."""
        return sorted(str(self.tokens.get("scope", "")).split())

    @property
    def expires_at(self) -> int:
        """When the access token runs out, in seconds since 1970."""
        return int(self.tokens["expires_at"])

    def end(self) -> None:
        """Forget the tokens; what stays is only that there was a session."""
        self.ended = True
        self.tokens = {}


class Sessions:
    """The sessions by their secret id, and the logout tokens that were used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, LocalSession] = {}
        self._used: dict[str, float] = {}

    def add(self, local: LocalSession) -> str:
        """Keep a session; return the id for its cookie. Old ones make room."""
        name = secrets.token_urlsafe(32)
        with self._lock:
            oldest = now() - LONGEST_SESSION
            self._sessions = {
                known: held for known, held in self._sessions.items() if held.created_at > oldest
            }
            self._sessions[name] = local
        return name

    def find(self, name: str | None) -> LocalSession | None:
        """Return the session of a cookie, ended or not."""
        local = self._sessions.get(name or "")
        if local is None or local.created_at < now() - LONGEST_SESSION:
            return None
        return local

    def forget(self, name: str | None) -> LocalSession | None:
        """Take a session away."""
        with self._lock:
            return self._sessions.pop(name or "", None)

    def end(self, *, sid: str | None, sub: str | None) -> int:
        """End the session `sid`, or without one all sessions of the person; return how many."""
        with self._lock:
            meant = [
                local
                for local in self._sessions.values()
                if not local.ended
                and (local.claims.get("sid") == sid if sid else local.claims["sub"] == sub)
            ]
            for local in meant:
                local.end()
        return len(meant)

    def spend(self, jti: str, until: float) -> bool:
        """Use up the id of a logout token; False if it was used before."""
        with self._lock:
            self._used = {known: end for known, end in self._used.items() if end > now()}
            if jti in self._used:
                return False
            self._used[jti] = until
            return True


class RefusedLogoutToken(ValueError):
    """A logout token that must not end anything; the text says what is wrong with it."""


def verify_logout_token(token: str, keys: KeySet, settings: Settings) -> Claims:
    """Return the claims of a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6).

    Raises RefusedLogoutToken, and InvalidKeyIdError for a key that is not in `keys`. That it is
    used once is the caller's to see to.
    """
    try:
        decoded = jwt.decode(token, keys, algorithms=[SIGNED_WITH])
    except InvalidKeyIdError:
        raise
    except (JoseError, ValueError) as error:
        raise RefusedLogoutToken("the signature does not verify") from error
    claims = decoded.claims
    audience = claims.get("aud")
    events = claims.get("events")
    rules = {
        "typ is not logout+jwt": decoded.header.get("typ") == "logout+jwt",
        "another issuer": claims.get("iss") == settings.issuer,
        "for somebody else": settings.client_id in (audience, *_listed(audience)),
        "no logout event": isinstance(events, dict) and isinstance(events.get(LOGOUT_EVENT), dict),
        "out of time": _is_in_time(claims.get("iat"), claims.get("exp")),
        "names neither session nor person": _is_text(claims.get("sid"))
        or _is_text(claims.get("sub")),
        "no jti": _is_text(claims.get("jti")),
        # An ID token must never pass for a logout token: that is what the missing nonce tells.
        "has a nonce": "nonce" not in claims,
    }
    broken = [problem for problem, holds in rules.items() if not holds]
    if broken:
        raise RefusedLogoutToken(broken[0])
    return claims


def _listed(audience: object) -> list[object]:
    return audience if isinstance(audience, list) else []


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_in_time(issued: object, expires: object) -> bool:
    if not (isinstance(issued, int | float) and isinstance(expires, int | float)):
        return False
    return issued - CLOCK_SKEW <= now() < expires + CLOCK_SKEW


class Provider:
    """The authorization server as this application sees it."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self.settings = settings
        self._keys_read_at = 0.0
        self.client: Any = OAuth(app).register(  # type: ignore[no-untyped-call]
            "pratique",
            server_metadata_url=f"{settings.issuer}/.well-known/openid-configuration",
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            client_kwargs={
                "scope": settings.scope,
                "code_challenge_method": "S256",
                "default_timeout": 10,
            },
        )

    def finish_sign_in(self) -> LocalSession:
        """Redeem the code of this request; OAuthError if anything about it is not as it should be.

        Authlib compares state and nonce, sends the PKCE verifier and verifies the ID token.
        """
        # RFC 9207: an answer that another server made must not be redeemed at ours.
        if request.args.get("iss") != self.settings.issuer:
            raise OAuthError("wrong_issuer", "The answer is not from our server.")
        tokens = self.client.authorize_access_token()
        if "userinfo" not in tokens:
            raise OAuthError("no_id_token", "The server said nothing of who signed in.")
        claims = tokens["userinfo"]
        profile = self.client.userinfo(token=tokens)
        if profile.get("sub") != claims["sub"]:
            raise OAuthError("wrong_person", "UserInfo speaks of somebody else.")
        return LocalSession(claims, profile, tokens, created_at=now())

    def refresh(self, local: LocalSession) -> bool:
        """Get new tokens; on a refusal end the session and return False."""
        with local.refreshing:
            if local.ended:
                return False
            try:
                tokens = self.client.fetch_access_token(
                    grant_type="refresh_token", refresh_token=local.tokens["refresh_token"]
                )
                claims = self.client.parse_id_token(tokens, nonce=None)
            except (OAuthError, JoseError):
                local.end()
                return False
            # OpenID Connect Core §12.2: the new ID token is about the same person.
            if claims is None or claims["sub"] != local.claims["sub"] or local.ended:
                local.end()
                return False
            local.claims, local.tokens = claims, tokens
        return True

    def claims_of_logout(self, token: str) -> Claims:
        """Verify a logout token; keys that we do not know yet are read, at most every 10 s."""
        try:
            return verify_logout_token(token, self._keys(), self.settings)
        except InvalidKeyIdError as error:
            if now() < self._keys_read_at + 10:
                raise RefusedLogoutToken("signed with an unknown key") from error
        self._keys_read_at = now()
        try:
            return verify_logout_token(token, self._keys(force=True), self.settings)
        except InvalidKeyIdError as error:
            raise RefusedLogoutToken("signed with an unknown key") from error

    def _keys(self, *, force: bool = False) -> KeySet:
        return KeySet.import_key_set(self.client.fetch_jwk_set(force=force))


def create_app(settings: Settings, sessions: Sessions) -> Flask:
    """Build the application over its sessions."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=secrets.token_bytes(32),
        SESSION_COOKIE_NAME="payroll",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.url.startswith("https://"),
        MAX_CONTENT_LENGTH=64 * 1024,
    )
    provider = Provider(app, settings)
    _add_pages(app, sessions, provider)
    _add_sign_in(app, sessions, provider)
    _add_backchannel_logout(app, sessions, provider)

    # The form that signs out leads to the server: browsers hold redirects to this list too.
    where = urlsplit(settings.issuer)
    policy = (
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
        f"frame-ancestors 'none'; form-action 'self' {where.scheme}://{where.netloc}"
    )

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        return response

    @app.template_filter()
    def clock(seconds: float) -> str:
        return time.strftime("%H:%M:%S UTC", time.gmtime(seconds))

    return app


def _add_pages(app: Flask, sessions: Sessions, provider: Provider) -> None:
    @app.get("/")
    def home() -> str:
        local = sessions.find(session.get("id"))
        if local is None:
            return render_template("home.html")
        # Each load asks again: a session that was ended elsewhere ends here, at once.
        if not local.ended and local.expires_at < now() + RENEW_BEFORE_END:
            provider.refresh(local)
        if local.ended:
            return render_template("signed_out.html")
        return render_template("payroll.html", local=local)

    @app.post("/refresh")
    def refresh() -> Response:
        local = sessions.find(session.get("id"))
        if local is not None and not local.ended:
            provider.refresh(local)
        return redirect(url_for("home"))


def _add_sign_in(app: Flask, sessions: Sessions, provider: Provider) -> None:
    # A literal address, never the Host header of a request.
    callback_url = f"{provider.settings.url}/callback"

    @app.get("/login")
    def login() -> Response:
        answer: Response = provider.client.authorize_redirect(callback_url)
        return answer

    @app.get("/callback")
    def callback() -> Response | tuple[str, int]:
        try:
            local = provider.finish_sign_in()
        except (OAuthError, JoseError) as problem:
            return render_template("refused.html", problem=problem), 403
        sessions.forget(session.get("id"))
        session.clear()
        session["id"] = sessions.add(local)
        return redirect(url_for("home"))

    @app.post("/logout")
    def logout() -> Response:
        local = sessions.forget(session.pop("id", None))
        if local is None or local.ended:
            return redirect(url_for("home"))
        answer: Response = provider.client.logout_redirect(
            post_logout_redirect_uri=f"{provider.settings.url}/",
            id_token_hint=local.tokens["id_token"],
        )
        return answer

    @app.errorhandler(requests.RequestException)
    def unreachable(_error: requests.RequestException) -> tuple[str, int]:
        return render_template("refused.html", problem=None), 503


def _add_backchannel_logout(app: Flask, sessions: Sessions, provider: Provider) -> None:
    @app.post("/backchannel-logout")
    def backchannel_logout() -> tuple[dict[str, str], int]:
        try:
            claims = provider.claims_of_logout(request.form.get("logout_token", ""))
        except RefusedLogoutToken as refused:
            return {"error": "invalid_request", "error_description": str(refused)}, 400
        # A repeated delivery is no error, but must not end what began after the first one.
        if sessions.spend(claims["jti"], until=claims["exp"] + CLOCK_SKEW):
            sessions.end(sid=claims.get("sid"), sub=claims.get("sub"))
        return {}, 200


def main() -> None:
    """Serve on the address that people reach us under."""
    settings = Settings.from_environment()
    where = urlsplit(settings.url)
    create_app(settings, Sessions()).run(host=where.hostname, port=where.port, threaded=True)


if __name__ == "__main__":
    main()
