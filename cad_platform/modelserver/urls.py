from django.urls import path

from cad_platform.modelserver import views

urlpatterns = [
    path("", views.fleet, name="fleet"),
    path("rows", views.fleet_rows, name="fleet-rows"),
    path("<int:host_id>/", views.host, name="fleet-host"),
    path("<int:host_id>/drain", views.drain, name="fleet-drain"),
    path("<int:host_id>/resume", views.resume, name="fleet-resume"),
    path("<int:host_id>/remove", views.remove, name="fleet-remove"),
    path("<int:host_id>/load", views.load, name="fleet-load"),
    path("<int:host_id>/versions/<int:version_id>/scale", views.scale, name="fleet-scale"),
    path("<int:host_id>/versions/<int:version_id>/default", views.make_default, name="fleet-default"),
    path("<int:host_id>/versions/<int:version_id>/restart", views.restart, name="fleet-restart"),
    path("<int:host_id>/versions/<int:version_id>/unload", views.unload, name="fleet-unload"),
]
