from django.apps import AppConfig


class ModelserverConfig(AppConfig):
    name = "cad_platform.modelserver"
    label = "modelserver"
