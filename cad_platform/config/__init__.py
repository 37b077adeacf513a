"""How the platform is put together: settings, URLs, ASGI and the Celery application."""

from cad_platform.config.celery import app as celery_app

__all__ = ["celery_app"]
