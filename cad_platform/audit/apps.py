from __future__ import annotations

from collections.abc import Iterable, Mapping

from cad_platform.core.declarations import Check, Loop, PlatformApp


class AuditConfig(PlatformApp):
    name = "cad_platform.audit"
    label = "audit"

    def loops(self) -> Iterable[Loop]:
        from cad_platform.audit import chain, months

        return (
            Loop("audit sealer", chain.take_turn),
            Loop("audit months", months.make_ahead, every=60.0),
        )

    def redundant_probes(self) -> Mapping[str, Check]:
        from cad_platform.audit import months

        return {"audit months": months.check_ahead}
