from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "cad_platform.audit"
    label = "audit"

    def ready(self) -> None:
        from cad_platform.audit.chain import seal_pending
        from cad_platform.core.housekeeping import register_loop

        register_loop("audit sealer", seal_pending, every=1.0)
