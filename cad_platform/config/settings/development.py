"""bin/dev: as the demo, but templates and static files are read anew for every page.

Vite builds into the state folder, so that what bin/demo and bin/test serve stays theirs.
"""

from cad_platform.config.settings.local import *  # noqa: F403
from cad_platform.config.settings.local import STATE_DIR, STORAGES, TEMPLATES

_page_templates = TEMPLATES[0]
_page_templates["APP_DIRS"] = False
_page_templates["OPTIONS"]["loaders"] = [
    "django.template.loaders.filesystem.Loader",
    "django.template.loaders.app_directories.Loader",
]

STATICFILES_DIRS = [STATE_DIR / "dist"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
WHITENOISE_MAX_AGE = 0
