"""`pdp device enrol-certificate`: a device is known by the certificate that its company gave it."""

import ssl
from pathlib import Path

import click

from pdp.cli.context import pass_runtime
from pdp.cli.failures import Failed
from pdp.cli.invocation import actor
from pdp.cli.output import say, show
from pdp.cli.parameters import FILE
from pdp.domain.errors import NotFound
from pdp.domain.ids import DeviceId
from pdp.domain.subject import normalise_username
from pdp.identification.client_certificate import claim_of
from pdp.identification.evidence import CertificateClaim
from pdp.runtime import Runtime
from pdp.store import subjects
from pdp.store.device_keys import Enrolment
from pdp.usecases.enrol_device import Credential, EnrolmentRefused, enrol_for
from pdp.usecases.offer_enrolment import check_enrolment

_PEM_STARTS = b"-----BEGIN"


@click.command("enrol-certificate")
@click.argument("username", metavar="USER")
@click.argument("path", metavar="FILE", type=FILE)
@click.option("--device", "device_id", help="Bind this record, instead of making a new one.")
@click.option("--name", "display_name", default="", help="What people call the device.")
@pass_runtime
def enrol_certificate(
    runtime: Runtime, username: str, path: Path, device_id: str | None, display_name: str
) -> None:
    """Know a device of USER by the client certificate in FILE (PEM or DER).

    Whoever proves its key to a proxy in server.trusted_proxies is this device from then on. A
    renewed certificate is enrolled the same way, with --device.
    """
    claim = _read(path)
    now = runtime.clock()
    if now > claim.not_after:
        raise Failed(f"{path}: the certificate was over at {claim.not_after.isoformat()}")
    with runtime.database.write() as tx:
        subject = subjects.find(tx, normalise_username(username))
        if subject is None:
            raise NotFound("user", username)
        enrolment = Enrolment(
            subject=subject.id, device=None if device_id is None else DeviceId(device_id)
        )
        check_enrolment(tx, enrolment)
        enrolled = enrol_for(
            tx,
            enrolment,
            Credential(method=CertificateClaim.method, key=claim.key),
            runtime.configurations.current(tx).rules,
            display_name=display_name,
            actor=actor(),
            now=now,
        )
        if isinstance(enrolled, EnrolmentRefused):
            raise Failed(f"{device_id} is somebody else's device, and not shared")
    show(
        {
            "device": enrolled.device,
            "user": subject.username,
            "certificate": claim.key,
            "valid_until": claim.not_after,
        }
    )
    if not runtime.settings.server.trusted_proxies:
        say(
            "no proxy may tell us of certificates: set server.trusted_proxies"
            " to the addresses of the one that verifies them"
        )


def _read(path: Path) -> CertificateClaim:
    content = path.read_bytes()
    try:
        if content.lstrip().startswith(_PEM_STARTS):
            # Of a chain the first one is the device's own.
            first = content.decode("ascii").partition(ssl.PEM_FOOTER)[0] + ssl.PEM_FOOTER
            content = ssl.PEM_cert_to_DER_cert(first.strip())
        return claim_of(content)
    except ValueError as error:
        raise Failed(f"{path} holds no X.509 certificate, neither as PEM nor as DER") from error
