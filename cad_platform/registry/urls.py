from django.urls import path

from cad_platform.registry import views

urlpatterns = [
    path("", views.models, name="models"),
    path("register", views.register, name="models-register"),
    path("<int:version_id>/", views.model, name="model"),
    path("<int:version_id>/plots/<slug:name>.svg", views.plot, name="model-plot"),
    path("<int:version_id>/default", views.make_default, name="model-make-default"),
]
