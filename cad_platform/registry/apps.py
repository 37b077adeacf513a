from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "cad_platform.registry"
    label = "registry"

    def ready(self) -> None:
        from cad_platform.core import probes
        from cad_platform.registry import health

        probes.register(health.checks, standby=health.standby_checks)
