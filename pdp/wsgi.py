"""The application object for WSGI servers: `granian --interface wsgi pdp.wsgi:application`."""

import atexit

from pdp.app import create_app
from pdp.cli.settings_report import read_settings
from pdp.runtime import Runtime
from pdp.web.door import Door
from pdp.web.gate import Gate, slow_slots

# Whatever starts this reads settings as strictly as `pdp serve` does.
_app = create_app(read_settings())
_runtime: Runtime = _app.extensions["pdp"]
# Records that wait are written when the process ends.
atexit.register(_runtime.decision_log.close)
application = Gate(Door(_app), slots=slow_slots(_runtime.settings.server.threads))
