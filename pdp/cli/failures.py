"""Exit codes, and what a domain error becomes on the command line.

0 done, 1 unexpected, 2 usage or configuration, 3 a policy does not compile, 4 policy tests
failed, 5 denied, 130 interrupted.
"""

from typing import IO, Any, ClassVar, Final

import click
import structlog

from pdp import logs
from pdp.cli.invocation import Output, current
from pdp.domain.errors import DomainError, NotFound, OutcomeUnknown, Unavailable
from pdp.policy.errors import MalformedPolicy

_log: Final = structlog.get_logger(__name__)

#: What lists the things that can be named, by their kind.
_LISTED_BY: Final = {
    "client": "pdp client list",
    "decision": "pdp decision list",
    "device": "pdp device list",
    "device or help code": "pdp device list",
    "job": "pdp job list",
    "key": "pdp keys list",
    "session": "pdp session list",
    "source": "pdp source list",
    "user": "pdp user list",
}


class Failed(click.ClickException):
    """What was asked for, or how this is set up, is wrong; the message names cause and cure."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str) -> None:
        super().__init__(message)
        # It is shown when the command, and what it was told, is gone.
        self._is_for_programs = current().output is Output.JSON

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message: for programs in the form of a log line."""
        if self._is_for_programs:
            logs.configure("error")
            _log.error("command.run.refused", problem=self.message, exit_code=self.exit_code)
        else:
            super().show(file)


class Unexpected(Failed):
    """Something outside failed: a database, a network, another server."""

    exit_code: ClassVar[int] = 1


class NotCompiled(Failed):
    """A policy or rules document does not compile."""

    exit_code: ClassVar[int] = 3


class Denied(Failed):
    """The server understood, and said no."""

    exit_code: ClassVar[int] = 5


class Interrupted(Failed):
    """Somebody pressed Ctrl-C; shells say it by this code, too."""

    exit_code: ClassVar[int] = 130


def failure_of(error: DomainError) -> Failed:
    """Return the message and the exit code of a broken promise.

    Most are about what was asked for or how this is set up, which the caller can mend: 2.
    """
    if isinstance(error, MalformedPolicy):
        return NotCompiled(str(error))
    if isinstance(error, OutcomeUnknown):
        return Unexpected(f"{error}: look whether it was done before you try again")
    if isinstance(error, Unavailable):
        return Unexpected(f"{error}: nothing was changed, try again")
    if isinstance(error, NotFound) and error.kind in _LISTED_BY:
        return Failed(f"{error}: see `{_LISTED_BY[error.kind]}`")
    return Failed(str(error))
