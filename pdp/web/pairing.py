"""The code by which an agent on the same computer answers for a browser.

The page shows it; `pdp device assert --code` proves the device and names it. It is the same for
as long as the request waits, so that a page that reloads itself does not change it under the
person's hands, and it binds once.
"""

import base64
import hmac
from typing import Final

from pdp.store import parked
from pdp.web.context import runtime
from pdp.web.visit import Visit

_LENGTH: Final = 8
_HALF: Final = 4


def show_pairing_code(visit: Visit, request_id: str) -> str:
    """Return the code `XXXX-XXXX` (40 bits) of this waiting request of this browser."""
    key = runtime().envelope.derive("pairing code")
    mac = hmac.digest(key, request_id.encode(), "sha256")
    code = base64.b32encode(mac).decode()[:_LENGTH]
    parked.show_code(visit.tx, request_id, code_digest=parked.code_digest(code))
    return f"{code[:_HALF]}-{code[_HALF:]}"
