from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import NavigationEntry, PlatformApp


class RecordsConfig(PlatformApp):
    name = "cad_platform.records"
    label = "records"
    navigation = (NavigationEntry("patient-merges", _("Merged records"), "patient.merge", position=22),)
    audit_actions = {
        "patient.compare": _("Compared two records of patients"),
        "patient.list_merges": _("Looked at merged records"),
        "patient.merge": _("Merged two records of a patient"),
        "patient.unmerge": _("Took a merge of records back"),
    }
