"""Our cookies: three of them, unreadable for scripts, each sent to this very host only."""

import re
from datetime import timedelta
from typing import Final

from flask import Request, Response

from pdp.settings import Settings

BROWSER: Final = "browser"
SESSION: Final = "session"
DEVICE: Final = "device"

#: An enrolled browser stays enrolled; browsers keep no cookie longer than 400 days.
_LIVES: Final = {DEVICE: timedelta(days=400)}
_VALUE: Final = re.compile(r"[A-Za-z0-9_.~-]{1,512}\Z")


def name(settings: Settings, cookie: str) -> str:
    """Return the name on the wire: `__Host-` binds it to https, this host and every path.

    Over plain http on loopback, where browsers take no such cookie, it has no prefix.
    """
    return f"pdp-{cookie}" if settings.dev else f"__Host-pdp-{cookie}"


def get(request: Request, settings: Settings, cookie: str) -> str | None:
    """Return the cookie's value, or None if it is missing, sent twice or not of our making."""
    values = request.cookies.getlist(name(settings, cookie))
    if len(values) != 1 or not _VALUE.match(values[0]):
        return None
    return values[0]


def put(response: Response, settings: Settings, cookie: str, value: str) -> None:
    """Set a cookie; it ends with the browser, the device's after 400 days."""
    response.set_cookie(
        name(settings, cookie),
        value,
        max_age=_LIVES.get(cookie),
        path="/",
        secure=not settings.dev,
        httponly=True,
        samesite="Lax",
    )


def drop(response: Response, settings: Settings, cookie: str) -> None:
    """Take a cookie back."""
    response.delete_cookie(
        name(settings, cookie), path="/", secure=not settings.dev, httponly=True, samesite="Lax"
    )
