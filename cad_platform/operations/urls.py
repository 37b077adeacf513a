from django.urls import include, path

from cad_platform.operations import metrics, views

urlpatterns = [
    path("livez", views.livez, name="livez"),
    path("readyz", views.readyz, name="readyz"),
    path("readyz/web", views.web_ready, name="web-ready"),
    path("metrics", metrics.metrics, name="metrics"),
    path("audit/", include("cad_platform.operations.audit_log.urls")),
]
