from django.urls import path

from cad_platform.reporting import views

urlpatterns = [
    path("study/<str:uid>/editor", views.editor, name="report-editor"),
    path("study/<str:uid>/start", views.start, name="report-start"),
    path("study/<str:uid>/addendum", views.start_addendum, name="report-addendum"),
    path("study/<str:uid>/trail", views.trail, name="report-trail"),
    path("study/<str:uid>/<uuid:report_id>/discard", views.discard, name="report-discard"),
    path("<uuid:report_id>/draft", views.save, name="report-save"),
    path("<uuid:report_id>/presence", views.presence, name="report-presence"),
    path("<uuid:report_id>/readiness", views.readiness, name="report-readiness"),
    path("<uuid:report_id>/sign", views.sign, name="report-sign"),
    path("<uuid:report_id>/pdf", views.pdf, name="report-pdf"),
    path("<uuid:report_id>/key-images/<slug:sha256>", views.key_image, name="report-key-image"),
]
