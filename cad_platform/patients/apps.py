from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import PATIENTS, NavigationEntry, PlatformApp


class PatientsConfig(PlatformApp):
    name = "cad_platform.patients"
    label = "patients"
    navigation = (
        NavigationEntry(
            "demographics-reviews",
            _("Demographics"),
            "patient.review_demographics",
            position=20,
            group=PATIENTS,
        ),
    )
    audit_actions = {
        "patient.create": _("Met a new patient"),
        "patient.list_reviews": _("Looked at differing demographics"),
        "patient.update": _("Completed a patient's demographics"),
        "patient.correct": _("Corrected a patient's demographics"),
        "review.decide": _("Decided on differing demographics"),
        "review.open": _("Found differing demographics"),
    }
