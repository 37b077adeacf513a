from __future__ import annotations

from cad_platform.core.declarations import DatabaseRights, PlatformApp


class CoreConfig(PlatformApp):
    name = "cad_platform.core"
    label = "core"
    #: Django's own, and who made the history rows of one request.
    tables_of_others = {
        "django_content_type": DatabaseRights.UPDATABLE,
        "django_migrations": DatabaseRights.APPEND_ONLY,
        "pghistory_context": DatabaseRights.UPDATABLE,
    }
