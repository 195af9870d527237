"""Sets a demo up, or takes up the one that is there, and lets its devices report."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from pdp.cli.demonstration.browser import direct_session
from pdp.cli.demonstration.cast import CONFIDENTIAL, DEVICES, PEOPLE
from pdp.cli.demonstration.folder import DemoFolder, Notes, free_port, new_notes
from pdp.cli.demonstration.programs import POLICIES, run_pdp, running
from pdp.cli.demonstration.seed import enrolment_links, seed
from pdp.cli.demonstration.stage import send_signal
from pdp.cli.failures import Failed
from pdp.sources.signatures import format_secret

_WEBHOOK_SECRET_BYTES: Final = 32
_HEALTHY: Final[Mapping[str, object]] = {
    "risk": "low",
    "posture": {"disk_encrypted": True, "firewall_enabled": True, "agent_running": True},
}


def set_up(folder: DemoFolder, port: int) -> Notes:
    """Begin a demo in an empty folder, its server on the first free port from `port` on.

    Any free port for 0.
    """
    notes = new_notes(
        port=port,
        webhook_secret=format_secret(secrets.token_bytes(_WEBHOOK_SECRET_BYTES)),
        people=tuple(person.username for person in PEOPLE),
        clients=CONFIDENTIAL,
    )
    folder.write(notes)
    run_pdp(folder, "init")
    with folder.opened_runtime() as runtime:
        seed(runtime, notes, POLICIES)
    return notes


def reopen(folder: DemoFolder, port: int | None) -> Notes:
    """Take up the demo that is in the folder; its server moves if its port is in use by now.

    Failed if Payroll's port is: its address is registered.
    """
    notes = folder.read_notes()
    if free_port(notes.payroll_port) != notes.payroll_port:
        raise Failed(
            f"port {notes.payroll_port} of Payroll is in use, by a demo in another folder or by"
            " another program: stop what listens there, or start with --fresh"
        )
    server = free_port(port or notes.port, taken=(notes.payroll_port,))
    management = free_port(notes.management_port, taken=(server, notes.payroll_port))
    notes = notes.moved_to(port=server, management_port=management)
    folder.write(notes)
    run_pdp(folder, "db", "upgrade")
    return notes


@contextmanager
def deployed(folder: DemoFolder, notes: Notes) -> Iterator[None]:
    """Run the demo until the block ends; its devices have reported when it begins."""
    with running(folder, notes):
        with direct_session() as calls:
            for device in DEVICES:
                said = {"platform": device.platform, "os_version": device.os_version}
                send_signal(calls, notes, device, {**said, **_HEALTHY})
        yield


def new_links(folder: DemoFolder, notes: Notes) -> Mapping[str, str]:
    """Return a one-time enrolment link for each device, by its name."""
    with folder.opened_runtime() as runtime:
        return enrolment_links(runtime, notes)
