from django.urls import path

from cad_platform.analysis import agreement_views, bulk_views, views

urlpatterns = [
    path(
        "agreement/<int:version_id>/<int:against_id>/",
        agreement_views.agreement,
        name="model-agreement",
    ),
    path("", views.jobs, name="jobs"),
    path("many/<str:kind>", bulk_views.ask, name="jobs-many"),
    path("many/<uuid:action_id>/", bulk_views.action, name="jobs-action"),
    path("many/<uuid:action_id>/progress", bulk_views.progress, name="jobs-action-progress"),
    path("<uuid:job_id>/cancel", views.cancel, name="job-cancel"),
    path("<uuid:job_id>/", views.job, name="job"),
    path("<uuid:job_id>/retry", views.retry, name="job-retry"),
    path("<uuid:job_id>/analyse-again", views.analyse_again, name="job-analyse-again"),
]
