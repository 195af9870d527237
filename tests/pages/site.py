"""A tiny site that serves the real templates under the strict policy of production."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flask import Flask, Response, jsonify, render_template, request
from jinja2 import StrictUndefined
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.pages.cases import CASES
from tests.pages.contexts import EVERYWHERE, Case

WEB: Final = Path(__file__).resolve().parents[2] / "pdp" / "web"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_QR: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 3 3">'
    '<path d="M0 0h1v1H0zM2 1h1v2H2z"/></svg>'
)

Answer = tuple[int, dict[str, str]]


@dataclass(slots=True)
class Backstage:
    """What the site answers to polls, and what it was sent."""

    status: Callable[[], Answer] = lambda: (200, {"state": "waiting", "version": "v1"})
    polls: int = 0
    sent: list[dict[str, str]] = field(default_factory=list)
    version: str = "v1"


@dataclass(frozen=True, slots=True)
class Site:
    """A running site."""

    url: str
    backstage: Backstage

    def page(self, case: str) -> str:
        """Return the address of a case."""
        return f"{self.url}/pages/{case}"


def render(case: Case, **changes: object) -> str:
    """Return the HTML of a case; a name that the context lacks is an error."""
    app = build(Backstage())
    with app.test_request_context():
        return render_template(case.template, **{**case.context, **changes})


def build(backstage: Backstage) -> Flask:
    """Return an application with every case below /pages/."""
    app = Flask(__name__, template_folder=str(WEB / "templates"), static_folder=str(WEB / "static"))
    app.jinja_env.undefined = StrictUndefined
    app.context_processor(lambda: dict(EVERYWHERE))

    @app.get("/pages/<name>")
    def page(name: str) -> str:
        case = CASES[name]
        changed = {key: value for key, value in request.args.items() if key in ("lang", "dir")}
        shown = {"version": backstage.version} if "version" in case.context else {}
        return render_template(case.template, **{**case.context, **shown, **changed})

    @app.get("/status")
    def status() -> tuple[Response, int]:
        backstage.polls += 1
        code, body = backstage.status()
        return jsonify(body), code

    @app.post("/sent")
    def sent() -> str:
        backstage.sent.append(request.form.to_dict())
        return "<!doctype html><html lang=en><title>Sent</title><h1>Sent</h1>"

    @app.get("/resume")
    def resume() -> str:
        return "<!doctype html><html lang=en><title>Payroll</title><h1>Payroll</h1>"

    @app.get("/qr")
    def qr() -> Response:
        return Response(_QR, mimetype="image/svg+xml")

    @app.after_request
    def strict(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return app


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  werkzeug's name
        """Say nothing: a test run is no access log."""


@contextmanager
def running() -> Iterator[Site]:
    """Serve the site on a free loopback port until the block ends."""
    backstage = Backstage()
    server = make_server("127.0.0.1", 0, build(backstage), threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Site(f"http://127.0.0.1:{server.server_port}", backstage)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
