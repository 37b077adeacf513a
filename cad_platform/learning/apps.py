from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import MODELS, PATIENTS, NavigationEntry, PlatformApp


class LearningConfig(PlatformApp):
    name = "cad_platform.learning"
    label = "learning"
    navigation = (
        NavigationEntry("consents", _("Consent"), "consent.record", position=23, group=PATIENTS),
        NavigationEntry("datasets", _("Learning"), "dataset.view", position=48, group=MODELS),
    )
    audit_actions = {
        "consent.list": _("Looked at consents"),
        "consent.record": _("Recorded a patient's consent"),
        "dataset.export": _("Exported a data set's version"),
        "dataset.make": _("Made a version of a data set"),
    }
