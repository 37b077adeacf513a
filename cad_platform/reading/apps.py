from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import NavigationEntry, PlatformApp


class ReadingConfig(PlatformApp):
    name = "cad_platform.reading"
    label = "reading"
    navigation = (
        NavigationEntry("worklist", _("Worklist"), "study.view", position=10),
        NavigationEntry("reanalyses", _("Analyse again"), "study.reanalyse", position=50),
    )
