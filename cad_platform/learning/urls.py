from django.urls import path

from cad_platform.learning import views

urlpatterns = [
    path("", views.datasets, name="datasets"),
    path("consents/", views.consents, name="consents"),
    path("datasets/<uuid:version_id>/", views.dataset, name="dataset"),
    path("datasets/<uuid:version_id>/trainings/", views.train, name="dataset-train"),
    path("trainings/<uuid:training_id>/", views.change_training, name="dataset-training"),
]
