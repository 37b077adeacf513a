from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import Check, Loop, PlatformApp


class ModelserverConfig(PlatformApp):
    name = "cad_platform.modelserver"
    label = "modelserver"
    audit_actions = {
        "host.add": _("Added a model server"),
        "host.answer_right": _("A model server answered its known case rightly again"),
        "host.answer_wrong": _("A model server answered its known case wrongly"),
        "host.drain": _("Had a model server drained"),
        "host.remove": _("Removed a model server"),
        "host.resume": _("Gave a model server work again"),
    }

    def loops(self) -> Iterable[Loop]:
        from cad_platform.modelserver import configured, rounds

        return (
            (Loop("model servers", rounds.look_after, rounds.ROUND_SECONDS),)
            if configured.has_fleet()
            else ()
        )

    def redundant_probes(self) -> Mapping[str, Check]:
        from cad_platform.modelserver import configured, rounds
        from cad_platform.modelserver.models import ModelHost

        if not configured.has_fleet():
            return {}
        return {rounds.component_of(host): partial(rounds.check, host.pk) for host in ModelHost.objects.all()}
