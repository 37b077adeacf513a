"""The web server's entry: Django behind the guard against bodies too large, too slow or beyond the disk."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cad_platform.config.settings.local")
# Its threads come and go: with a connection each they would use up the server's.
os.environ.setdefault("CAD_DATABASE_POOL", "1")
django.setup(set_prefix=False)

from cad_platform.core import tracing  # noqa: E402  (needs configured settings)
from cad_platform.web.asgi_guard import BodyGuard  # noqa: E402  (needs configured settings)
from cad_platform.web.asgi_streaming import StreamingASGIHandler  # noqa: E402
from imaging import sandbox  # noqa: E402

tracing.start("web")
sandbox.start()  # so that the first post does not wait for the decoders' imports
application = BodyGuard(StreamingASGIHandler())
