from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "cad_platform.registry"
    label = "registry"
