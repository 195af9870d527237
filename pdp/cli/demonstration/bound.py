"""Runs a command that ends with whoever started it: `python -m …bound PARENT COMMAND ...`.

What the kernel was asked for stays with the process while it becomes another program; so it works
for programs that know nothing of it, as the example application.
"""

import os
import sys

from pdp.cli.processes import die_with


def bound(*command: str) -> list[str]:
    """Return the command line that runs `command` until this process ends."""
    return [sys.executable, "-m", __name__, str(os.getpid()), *command]


def main(parent: str, program: str, *arguments: str) -> None:
    """Become `program`, which gets SIGTERM once the process `parent` is dead."""
    die_with(int(parent))
    os.execv(program, [program, *arguments])  # noqa: S606  the demo's own programs


if __name__ == "__main__":
    main(*sys.argv[1:])
