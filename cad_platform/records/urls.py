from django.urls import path

from cad_platform.records import retention_views, views

urlpatterns = [
    path("merges/", views.merges, name="patient-merges"),
    path("merges/compare", views.compare, name="patient-compare"),
    path("merges/<uuid:merge_id>/", views.merge, name="patient-merge"),
    path("retention/", retention_views.due, name="retention"),
    path("retention/ask", retention_views.ask_of_due, name="erasure-of-due"),
    path("holds/", retention_views.holds, name="holds"),
    path("holds/<uuid:hold_id>/lift", retention_views.lift, name="hold-lift"),
    path("erasures/", retention_views.erasures, name="erasures"),
    path("erasures/<uuid:request_id>/", retention_views.erasure, name="erasure"),
    path("policies/", retention_views.policies, name="retention-policies"),
]
