from __future__ import annotations

from collections.abc import Iterable

from django.apps import apps
from django.core import checks
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import Loop, Metric, NavigationEntry, PlatformApp


class OperationsConfig(PlatformApp):
    name = "cad_platform.operations"
    label = "operations"
    navigation = (NavigationEntry("audit", _("Audit"), "audit.view", position=80),)
    audit_actions = {
        "audit.export": _("Exported the audit log"),
        "audit.view": _("Looked at the audit log"),
        "backup.create": _("Made a backup"),
        "backup.drill": _("Restored a backup for trial"),
        "backup.restore": _("Restored a backup"),
        "backup.verify": _("Read all backups"),
    }
    audit_attempts = {
        "backup.create": _("Tried to make a backup"),
        "backup.drill": _("Tried to restore a backup for trial"),
        "backup.verify": _("Tried to read all backups"),
    }

    def ready(self) -> None:
        from cad_platform.operations import grants

        # An app without models is sent no signal of its own; any other's comes after all tables are there.
        post_migrate.connect(
            grants.grant_application_role,
            sender=apps.get_app_config("core"),
            dispatch_uid="grant_application_role",
        )
        checks.register(grants.check_declarations)

    def metrics(self) -> Iterable[Metric]:
        from cad_platform.operations.backup import watch

        return watch.metrics()

    def loops(self) -> Iterable[Loop]:
        from cad_platform.operations import probes, relay

        return (
            Loop("outbox relay", relay.relay_pending, wait=relay.wait_for_events),
            Loop("probes", probes.probe_all, probes.PROBE_SECONDS),
            Loop("standby probes", probes.probe_standby, probes.STANDBY_SECONDS),
        )
