"""The device's own endpoints: nonce, enrolment by key, and the answer to a page's code."""

from flask import Blueprint, Response, jsonify, request

from pdp.identification.device_assertion import identify
from pdp.identification.evidence import AssertionClaim, RequestEvidence
from pdp.jose.device_enrolment import token_digest, verify_enrolment_proof
from pdp.jose.device_proof import ProofRefusal
from pdp.sources.errors import MalformedSignal
from pdp.sources.strict_json import parse_strictly
from pdp.store import parked, single_use
from pdp.store.single_use import Kind
from pdp.usecases.device_nonce import issue_nonce
from pdp.usecases.enrol_device import Credential, EnrolmentRefused, enrol_device
from pdp.usecases.identify_device import Verifier, verify_assertion
from pdp.web.context import runtime
from pdp.web.errors import problem

blueprint = Blueprint("device", __name__, url_prefix="/device")

#: One text for every cause: a stranger learns nothing of devices and tokens.
_NOT_VERIFIED = (
    "The device could not be verified: check the device's clock, ask for a nonce and try again."
)
_NOT_ENROLLED = (
    "The enrolment token or the proof is not valid: check the device's clock, or ask for a new"
    " token."
)
_LONGEST_NAME = 256
_PLATFORMS = frozenset({"macos", "windows", "linux", "ios", "android", "chromeos"})


@blueprint.post("/nonce")
def nonce() -> Response:
    """Give a nonce for one device assertion."""
    here = runtime()
    lifetime = here.settings.lifetimes.device_assertion
    return jsonify(
        nonce=issue_nonce(here.envelope, now=here.clock()),
        expires_in=int(lifetime.total_seconds()),
    )


@blueprint.post("/enrol")
def enrol() -> Response:
    """Enrol the key that signs `proof`, for the person whose `token` it is, once."""
    here = runtime()
    fields = _object()
    if fields is None:
        return problem(400, "Send a JSON object with `token` and `proof`.")
    token, proof = fields.get("token"), fields.get("proof")
    if not isinstance(token, str) or not isinstance(proof, str):
        return problem(400, "`token` and `proof` must be strings.")
    name, platform = fields.get("name", ""), fields.get("platform")
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not name.isprintable():
        return problem(400, f"`name` must be at most {_LONGEST_NAME} printable characters.")
    if platform is not None and not (isinstance(platform, str) and platform in _PLATFORMS):
        return problem(400, f"`platform` must be one of {', '.join(sorted(_PLATFORMS))}.")
    now = here.clock()
    proved = verify_enrolment_proof(
        proof, enrolment_token=token, issuer=here.settings.issuer, now=now
    )
    if isinstance(proved, ProofRefusal):
        return _not_enrolled()
    with here.database.write() as tx:
        configuration = here.configurations.current(tx)
        if not single_use.spend(
            tx, Kind.DEVICE_ENROLMENT, proved.jti, expires_at=proved.expires_at
        ):
            return _not_enrolled()
        enrolled = enrol_device(
            tx,
            token_digest(token),
            Credential(method=AssertionClaim.method, key=proved.thumbprint, jwk=dict(proved.jwk)),
            configuration.rules,
            display_name=name,
            platform=platform,
            now=now,
        )
    if isinstance(enrolled, EnrolmentRefused):
        return _not_enrolled()
    return jsonify(device_id=enrolled.device)


@blueprint.post("/assert")
def assert_for_browser() -> Response:
    """Bind the proven device to the browser whose page shows `code`."""
    here = runtime()
    fields = _object()
    code = None if fields is None else fields.get("code")
    if not isinstance(code, str):
        return problem(400, "Send a JSON object with the `code` that the page shows.")
    evidence = RequestEvidence(
        device_assertion_headers=tuple(request.headers.getlist("Device-Assertion"))
    )
    claim = identify(evidence)
    if not isinstance(claim, AssertionClaim):
        return problem(401, "Send one signed `Device-Assertion` header.")
    now = here.clock()
    verifier = Verifier(
        envelope=here.envelope, issuer=here.settings.issuer, lifetimes=here.settings.lifetimes
    )
    with here.database.write() as tx:
        device = verify_assertion(tx, claim, verifier, now=now)
        if device is None:
            return problem(401, _NOT_VERIFIED)
        bound = parked.bind_device(
            tx, parked.code_digest(code), device=device.id, strength=device.strength, now=now
        )
    if not bound:
        return problem(404, "No page waits for this code: read it from the page again.")
    return Response(status=204)


def _object() -> dict[str, object] | None:
    """Return the JSON object that was sent, with one reading only; None if there is none."""
    if request.mimetype != "application/json":
        return None
    try:
        sent = parse_strictly(request.get_data(cache=False))
    except MalformedSignal:
        return None
    return sent if isinstance(sent, dict) else None


def _not_enrolled() -> Response:
    """Say one thing for every cause: a stranger learns nothing of tokens."""
    return problem(403, _NOT_ENROLLED)
