from django.apps import AppConfig


class ReportingConfig(AppConfig):
    name = "cad_platform.reporting"
    label = "reporting"
