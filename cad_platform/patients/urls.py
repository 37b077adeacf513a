from django.urls import path

from cad_platform.patients import views

urlpatterns = [
    path("reviews/", views.reviews, name="demographics-reviews"),
    path("reviews/<uuid:review_id>/decision", views.decide, name="decide-review"),
]
