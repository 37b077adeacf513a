from django.urls import path

from cad_platform.quality import views

urlpatterns = [
    path("", views.figures, name="quality"),
    path("alerts/", views.alerts, name="alerts"),
    path("alerts/<uuid:alert_id>/", views.alert, name="alert"),
    path("known-cases/<int:version_id>/", views.known_from_pathology, name="known-from-pathology"),
    path("rules/", views.rules, name="alert-rules"),
    path("rules/<slug:measure>/", views.rule, name="alert-rule"),
]
