"""Log lines: one JSON object each on stderr, without secrets, whatever is logged.

Event names read `<noun>.<noun>.<past participle>` in lower case. Bodies, tokens, cookies and
passwords are not logged; what slips in by name or by shape is replaced before it is written.
"""

import logging
import re
import sys
import threading
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from contextvars import ContextVar
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import Processor

_log: Final = structlog.get_logger(__name__)

REDACTED: Final = "[redacted]"

#: The id of the request that this thread answers, for its lines.
current_request: Final[ContextVar[str | None]] = ContextVar("current_request", default=None)

#: What came up while this thread answered its request, for the one line about the answer.
_noted: Final[ContextVar[dict[str, str] | None]] = ContextVar("noted", default=None)

#: Libraries that log requests, parameters or whole tokens when they are asked for detail.
_HELD_AT_WARNING: Final = ("authlib", "sqlalchemy", "urllib3", "werkzeug", "alembic")

_SECRET_NAME: Final = re.compile(
    r"authorization|cookie|secret|password|passphrase|assertion|client_cert|csrf|nonce"
    r"|verifier|challenge|api_?key|private|signature|body"
    r"|(?:^|_)(?:token|tokens|code|codes|otp|totp|pin|jwt|key|credential|credentials|session)$",
    re.IGNORECASE,
)
_SECRET_SHAPE: Final = re.compile(
    # A JWT, or what is left of one.
    r"eyJ[\w-]{6,}(?:\.[\w-]*){0,4}"
    # Credentials of a header, and a password inside a URL.
    r"|\b(?i:Bearer|Basic|DPoP)\s+[^\s\"',]+"
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"
    # Our own secrets are 43 characters, of both cases; names in code are not.
    r"|(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{40,}(?![\w-])"
)
_PEM: Final = re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.DOTALL)
_DEEPEST: Final = 6
_SHORTEST_SECRET: Final = 8


class _Lines:
    """Writes lines where somebody may read them; where nobody can, they are lost.

    A terminal that was closed, a pipe without a reader or a full disk must not keep a server from
    what it has to do, ending clean included.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            if not self._stream.closed:
                self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            if not self._stream.closed:
                self._stream.flush()


def configure(level: str, stream: TextIO | None = None) -> None:
    """Write lines of `level` (`debug`, `info`, `warning`, `error`) and above to `stream`.

    The default is stderr. Lines of libraries, made with the standard `logging`, go the same way.
    """
    stream = cast("TextIO", _Lines(stream or sys.stderr))
    least = logging.getLevelNamesMapping()[level.upper()]
    ours: list[Processor] = [
        _with_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*ours, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *ours[:-2]],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(least)
    for name in _HELD_AT_WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)


def take_over() -> None:
    """Make lines of what Python itself would print: warnings, and errors that nobody caught.

    For processes that serve. What the interpreter says when it crashes stays as it is.
    """
    logging.captureWarnings(capture=True)
    sys.excepthook = _tell_uncaught
    threading.excepthook = _tell_uncaught_of_thread
    sys.unraisablehook = _tell_unraisable


def _tell_uncaught(
    _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
) -> None:
    _log.error("process.error.uncaught", exc_info=error)


def _tell_uncaught_of_thread(uncaught: threading.ExceptHookArgs) -> None:
    name = None if uncaught.thread is None else uncaught.thread.name
    _log.error("thread.error.uncaught", thread=name, exc_info=uncaught.exc_value)


def _tell_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    _log.error("object.error.ignored", exc_info=unraisable.exc_value)


def _with_request_id(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Name the request that this line is about, if it is about one."""
    if (request_id := current_request.get()) is not None:
        event.setdefault("request_id", request_id)
    return event


def begin_request(identifier: str) -> None:
    """Give the lines of this thread a request's id, and forget what was noted of another one."""
    current_request.set(identifier)
    _noted.set({})


def note(name: str, value: str) -> None:
    """Remember a value for the line about this request's answer; a later one replaces it.

    Never a stranger's word: what was asked for and is not there is none of ours. Nothing happens
    where no request is answered.
    """
    if (noted := _noted.get()) is not None:
        noted[name] = value


def note_once(name: str, value: str) -> None:
    """Remember a value as `note` does, unless there is one of this name."""
    if (noted := _noted.get()) is not None:
        noted.setdefault(name, value)


def forget(name: str) -> None:
    """Drop what was noted under this name: the request is looked at anew."""
    if (noted := _noted.get()) is not None:
        noted.pop(name, None)


def noted() -> dict[str, str]:
    """Return what was noted of this thread's request."""
    return dict(_noted.get() or {})


def is_debugging() -> bool:
    """Tell whether debug lines are written; asking costs less than making one for nothing."""
    return logging.getLogger().isEnabledFor(logging.DEBUG)


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace values whose name or shape tells of a secret; a processor of structlog."""
    return {name: _redacted(name, value, 0) for name, value in event.items()}


def _redacted(name: str, value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth > _DEEPEST or _tells_of_a_secret(name):
        return REDACTED
    if isinstance(value, str):
        return _without_secrets(value)
    if isinstance(value, Mapping):
        return {str(key): _redacted(str(key), inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", inner, depth + 1) for inner in value]
    if isinstance(value, bytes | bytearray | memoryview):
        # Bytes are bodies or keys; neither belongs here.
        return REDACTED
    return _without_secrets(str(value))


@lru_cache(maxsize=1024)
def _tells_of_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _without_secrets(text: str) -> str:
    # Most values are short words; those that can hide something are searched.
    if len(text) < _SHORTEST_SECRET:
        return text
    if "-----BEGIN" in text:
        text = _PEM.sub(REDACTED, text)
    return _SECRET_SHAPE.sub(REDACTED, text)
