"""The application object for WSGI servers: `granian --interface wsgi pdp.wsgi:application`."""

from pdp.app import create_app
from pdp.web.door import Door

application = Door(create_app())
