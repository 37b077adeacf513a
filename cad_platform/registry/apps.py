from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import MODELS, Check, NavigationEntry, PlatformApp


class RegistryConfig(PlatformApp):
    name = "cad_platform.registry"
    label = "registry"
    navigation = (NavigationEntry("models", _("Models"), "model.manage", position=40, group=MODELS),)
    audit_actions = {
        "model.describe": _("Corrected a model's card or figures"),
        "model.make_default": _("Changed the default model"),
        "model.register": _("Registered a model"),
    }

    def probes(self) -> Mapping[str, Check]:
        from cad_platform.registry import health

        return health.checks()

    def standby_probes(self) -> Mapping[str, Check]:
        from cad_platform.registry import health

        return health.standby_checks()
