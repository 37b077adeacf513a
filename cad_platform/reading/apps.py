from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import NavigationEntry, PlatformApp


class ReadingConfig(PlatformApp):
    name = "cad_platform.reading"
    label = "reading"
    navigation = (
        NavigationEntry("worklist", _("Worklist"), "study.view", position=10),
        NavigationEntry("reanalyses", _("Analyse again"), "study.reanalyse", position=50),
    )
    audit_actions = {
        "annotation.bring_back": _("Brought a measurement back"),
        "annotation.change": _("Changed a measurement"),
        "annotation.draw": _("Measured in an image"),
        "annotation.remove": _("Deleted a measurement"),
        "annotation.report": _("Put a measurement into the report"),
        "annotation.unreport": _("Took a measurement out of the report"),
        "finding.add": _("Drew a finding"),
        "finding.decide": _("Decided on a finding"),
        "study.list": _("Looked at the worklist"),
        "study.results": _("Was shown a result that arrived"),
        "study.search": _("Searched for studies"),
        "study.view": _("Opened the case"),
    }
