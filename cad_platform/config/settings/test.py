"""Tests: the same code as everywhere on a private PostgreSQL and Valkey; only password hashing is quicker."""

from cad_platform.config.settings.base import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# A web server that a test starts for a browser serves what was built last.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
