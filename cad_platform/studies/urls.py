"""Studies are read through the apps above; here is only the web process's own readiness."""

from django.urls import path

from cad_platform.studies import views

urlpatterns = [path("readyz/web", views.web_ready, name="web-ready")]
