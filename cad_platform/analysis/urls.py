from django.urls import path

from cad_platform.analysis import views

urlpatterns = [
    path("", views.jobs, name="jobs"),
    path("<uuid:job_id>/", views.job, name="job"),
    path("<uuid:job_id>/retry", views.retry, name="job-retry"),
    path("<uuid:job_id>/analyse-again", views.analyse_again, name="job-analyse-again"),
]
