from django.urls import path

from cad_platform.records import views

urlpatterns = [
    path("merges/", views.merges, name="patient-merges"),
    path("merges/compare", views.compare, name="patient-compare"),
    path("merges/<uuid:merge_id>/", views.merge, name="patient-merge"),
]
