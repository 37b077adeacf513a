from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import NavigationEntry, PlatformApp


class PatientsConfig(PlatformApp):
    name = "cad_platform.patients"
    label = "patients"
    navigation = (
        NavigationEntry(
            "demographics-reviews", _("Demographics"), "patient.review_demographics", position=20
        ),
    )
