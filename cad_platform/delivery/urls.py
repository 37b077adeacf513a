from django.urls import path

from cad_platform.delivery import views

urlpatterns = [
    path("", views.webhooks, name="webhooks"),
    path("<uuid:webhook_id>/", views.webhook, name="webhook"),
    path("<uuid:webhook_id>/access", views.access, name="webhook-access"),
    path("<uuid:webhook_id>/remove", views.remove, name="webhook-remove"),
    path("<uuid:webhook_id>/replay", views.replay, name="webhook-replay"),
]
