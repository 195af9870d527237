"""`pdp`, and `python -m pdp`: Ctrl-C ends it without a traceback, while it still loads, too."""

import sys
from typing import Final

#: As shells say it of what SIGINT ended.
_INTERRUPTED: Final = 130


def run() -> None:
    """Load the command line, and run the command that was asked for."""
    try:
        # Here, since loading takes long enough to be interrupted.
        from pdp.cli import main  # noqa: PLC0415

        main()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    run()
