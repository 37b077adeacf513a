from django.urls import path

from cad_platform.operations.audit_log import views

urlpatterns = [
    path("", views.log, name="audit"),
    path("export.csv", views.export, name="audit-export"),
]
