from __future__ import annotations

from collections.abc import Iterable

from cad_platform.core.declarations import Loop, PlatformApp


class AuditConfig(PlatformApp):
    name = "cad_platform.audit"
    label = "audit"

    def loops(self) -> Iterable[Loop]:
        from cad_platform.audit import chain

        return (Loop("audit sealer", chain.take_turn),)
