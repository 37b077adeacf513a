"""The web server's entry: Django behind the guard that refuses bodies too large, too slow or too much for the disk."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cad_platform.config.settings.local")

_django = get_asgi_application()

from cad_platform.core.asgi_guard import BodyGuard  # noqa: E402  (needs configured settings)

application = BodyGuard(_django)
