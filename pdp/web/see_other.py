"""Send a browser on by GET."""

from flask import Response


def see_other(location: str) -> Response:
    """Redirect with 303: whatever came before, the next request is a GET (RFC 9700 §4.12)."""
    return Response(status=303, headers={"Location": location})
