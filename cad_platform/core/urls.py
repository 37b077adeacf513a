from django.urls import path

from cad_platform.core import views

urlpatterns = [
    path("", views.home, name="home"),
]
