"""Every address of the platform. Pages belong to their apps, the composed REST answers to `api`."""

from django.urls import include, path

urlpatterns = [
    path("", include("cad_platform.web.urls")),
    path("", include("cad_platform.operations.urls")),
    path("accounts/", include("cad_platform.accounts.urls")),
    path("patients/", include("cad_platform.patients.urls")),
    path("records/", include("cad_platform.records.urls")),
    path("models/", include("cad_platform.registry.urls")),
    path("fleet/", include("cad_platform.modelserver.urls")),
    path("learning/", include("cad_platform.learning.urls")),
    path("quality/", include("cad_platform.quality.urls")),
    path("jobs/", include("cad_platform.analysis.urls")),
    path("", include("cad_platform.reading.urls")),
    path("reports/", include("cad_platform.reporting.urls")),
    path("webhooks/", include("cad_platform.delivery.urls")),
    path("api/", include("cad_platform.api.urls")),
]

handler400 = "cad_platform.web.views.bad_request"
handler403 = "cad_platform.web.views.permission_denied"
handler404 = "cad_platform.web.views.page_not_found"
handler500 = "cad_platform.web.views.server_error"
