from django.urls import path

from cad_platform.quality import acceptance_views, reader_study_views, views

urlpatterns = [
    path("", views.figures, name="quality"),
    path("acceptance/", acceptance_views.acceptances, name="acceptances"),
    path("acceptance/pick/", acceptance_views.pick, name="acceptance-pick"),
    path("acceptance/<uuid:acceptance_id>/", acceptance_views.one, name="acceptance"),
    path("acceptance/<uuid:acceptance_id>/progress", acceptance_views.progress, name="acceptance-progress"),
    path(
        "acceptance/<uuid:acceptance_id>/thresholds/<slug:step>",
        acceptance_views.site_thresholds,
        name="acceptance-thresholds",
    ),
    path("alerts/", views.alerts, name="alerts"),
    path("alerts/<uuid:alert_id>/", views.alert, name="alert"),
    path("known-cases/<int:version_id>/", views.known_from_pathology, name="known-from-pathology"),
    path("reader-studies/", reader_study_views.studies, name="reader-studies"),
    path("reader-studies/signed/", reader_study_views.of_signed_reports, name="reader-study-signed"),
    path("reader-studies/<uuid:study_id>/", reader_study_views.one, name="reader-study"),
    path(
        "reader-studies/<uuid:study_id>/report.<slug:kind>",
        reader_study_views.report,
        name="reader-study-report",
    ),
    path("rules/", views.rules, name="alert-rules"),
    path("rules/<slug:measure>/", views.rule, name="alert-rule"),
]
