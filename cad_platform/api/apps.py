from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "cad_platform.api"
    label = "api"
