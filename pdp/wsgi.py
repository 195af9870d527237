"""The application object for WSGI servers: `granian --interface wsgi pdp.wsgi:application`."""

from pdp.app import create_app

application = create_app()
