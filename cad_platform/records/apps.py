from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import ADMINISTRATION, PATIENTS, Loop, NavigationEntry, PlatformApp


class RecordsConfig(PlatformApp):
    name = "cad_platform.records"
    label = "records"
    navigation = (
        NavigationEntry("patient-merges", _("Merged records"), "patient.merge", position=22, group=PATIENTS),
        NavigationEntry("retention", _("Retention"), "patient.erase", position=24, group=PATIENTS),
        NavigationEntry(
            "retention-policies", _("Retention"), "retention.manage", position=66, group=ADMINISTRATION
        ),
    )
    audit_actions = {
        "erasure.ask": _("Asked for a patient's erasure"),
        "erasure.carry_out": _("Erased a patient's images and identity"),
        "erasure.decide": _("Decided on a patient's erasure"),
        "erasure.files_removed": _("Removed an erased patient's files"),
        "erasure.refuse": _("Refused a patient's erasure"),
        "erasure.list": _("Looked at requests for erasure"),
        "erasure.view": _("Looked at a request for erasure"),
        "hold.lift": _("Lifted a hold on a patient's record"),
        "hold.list": _("Looked at holds"),
        "hold.place": _("Placed a hold on a patient's record"),
        "retention.change_policy": _("Changed how long records are kept"),
        "retention.list": _("Looked at what falls due"),
        "patient.compare": _("Compared two records of patients"),
        "patient.list_merges": _("Looked at merged records"),
        "patient.merge": _("Merged two records of a patient"),
        "patient.unmerge": _("Took a merge of records back"),
        "patient.view_merge": _("Looked at a merge of two records"),
    }

    def loops(self) -> Iterable[Loop]:
        from cad_platform.records import erasing

        return (Loop("erasures", erasing.take_turn, every=30.0),)
