from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import ADMINISTRATION, Loop, NavigationEntry, PlatformApp


class DeliveryConfig(PlatformApp):
    name = "cad_platform.delivery"
    label = "delivery"
    navigation = (
        NavigationEntry("webhooks", _("Webhooks"), "webhook.manage", position=68, group=ADMINISTRATION),
    )
    audit_actions = {
        "webhook.create": _("Added a webhook"),
        "webhook.pause": _("Paused a webhook"),
        "webhook.remove": _("Removed a webhook"),
        "webhook.replay": _("Sent webhook events again"),
        "webhook.resume": _("Resumed a webhook"),
    }

    def ready(self) -> None:
        from cad_platform.core import outbox

        outbox.subscribe("analysis.ended", "delivery.study_analysed")
        outbox.subscribe("report.signed", "delivery.report_signed")
        outbox.subscribe("study.corrected", "delivery.study_corrected")
        outbox.subscribe("quality.alert", "delivery.alert_raised")

    def loops(self) -> Iterable[Loop]:
        from cad_platform.delivery import sending

        return (Loop("webhooks", sending.send_due, every=1.0),)
