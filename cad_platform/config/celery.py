"""The Celery application. Delivery is at least once: tasks are idempotent and acknowledge late."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cad_platform.config.settings.local")

app = Celery("cad_platform")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
