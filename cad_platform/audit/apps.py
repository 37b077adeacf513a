from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "cad_platform.audit"
    label = "audit"
