from django.apps import AppConfig
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    name = "cad_platform.core"
    label = "core"

    def ready(self) -> None:
        from cad_platform.core import housekeeping, probes
        from cad_platform.core.grants import grant_application_role

        housekeeping.register_loop("probes", probes.probe_all, probes.PROBE_SECONDS)
        housekeeping.register_loop("standby probes", probes.probe_standby, probes.STANDBY_SECONDS)
        post_migrate.connect(grant_application_role, sender=self, dispatch_uid="grant_application_role")
