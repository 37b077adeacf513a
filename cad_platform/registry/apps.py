from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import MODELS, Check, Loop, NavigationEntry, PlatformApp


class RegistryConfig(PlatformApp):
    name = "cad_platform.registry"
    label = "registry"
    navigation = (
        NavigationEntry("models", _("Models"), "model.view", position=40, group=MODELS),
        NavigationEntry("leaderboard", _("Leaderboard"), "model.view", position=41, group=MODELS),
    )
    audit_actions = {
        "model.approve": _("Approved a model version"),
        "model.describe": _("Corrected a model's card or figures"),
        "model.end_route": _("Ended a model version's route"),
        "model.make_default": _("Changed the default model"),
        "model.register": _("Registered a model"),
        "model.retire": _("Retired a model version"),
        "model.route": _("Had a model version analyse studies"),
        "model.upload": _("Uploaded a model version"),
        "model.verify": _("Had a model version verified"),
        "thresholds.propose": _("Proposed a site's own thresholds"),
        "thresholds.sign": _("Put a site's own thresholds in force"),
        "thresholds.withdraw": _("Withdrew a site's own thresholds"),
    }

    def ready(self) -> None:
        from cad_platform.core import outbox

        outbox.subscribe("model.verify", "registry.verify")

    def loops(self) -> Iterable[Loop]:
        from cad_platform.registry import importing

        return (Loop("uploads of versions that were abandoned", importing.forget_abandoned, every=3600.0),)

    def probes(self) -> Mapping[str, Check]:
        from cad_platform.registry import health

        return health.checks()

    def standby_probes(self) -> Mapping[str, Check]:
        from cad_platform.registry import health

        return health.standby_checks()
