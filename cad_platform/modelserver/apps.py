from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import MODELS, Check, Loop, NavigationEntry, PlatformApp


class ModelserverConfig(PlatformApp):
    name = "cad_platform.modelserver"
    label = "modelserver"
    navigation = (NavigationEntry("fleet", _("Fleet"), "model.manage", position=45, group=MODELS),)
    audit_actions = {
        "host.add": _("Added a model server"),
        "host.answer_right": _("A model server answered its known case rightly again"),
        "host.answer_wrong": _("A model server answered its known case wrongly"),
        "host.drain": _("Had a model server drained"),
        "host.make_default": _("Changed a model server's default version"),
        "host.register": _("Had a model server load a version"),
        "host.remove": _("Removed a model server"),
        "host.restart": _("Had a model server's workers started again"),
        "host.resume": _("Gave a model server work again"),
        "host.scale": _("Changed the number of a model server's workers"),
        "host.unregister": _("Had a model server forget a version"),
    }

    audit_attempts = {
        "host.make_default": _("Tried to change a model server's default version"),
        "host.register": _("Tried to have a model server load a version"),
        "host.restart": _("Tried to have a model server's workers started again"),
        "host.scale": _("Tried to change the number of a model server's workers"),
        "host.unregister": _("Tried to have a model server forget a version"),
    }

    def loops(self) -> Iterable[Loop]:
        from cad_platform.modelserver import configured, rounds

        return (
            (Loop("model servers", rounds.look_after, rounds.ROUND_SECONDS),)
            if configured.has_fleet()
            else ()
        )

    def redundant_probes(self) -> Mapping[str, Check]:
        from cad_platform.modelserver import rounds

        # Read here, so that no check reads them in a thread, and over a connection, of its own.
        return {rounds.component_of(host.name): partial(rounds.check, host.key) for host in rounds.hosts()}
