from django.urls import path
from django.views.i18n import set_language

from cad_platform.core import views

urlpatterns = [
    path("", views.home, name="home"),
    path("livez", views.livez, name="livez"),
    path("readyz", views.readyz, name="readyz"),
    path("language/", set_language, name="set_language"),
]
