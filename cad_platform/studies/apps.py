from __future__ import annotations

from collections.abc import Iterable

from django.core import checks
from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import Loop, PlatformApp


class StudiesConfig(PlatformApp):
    name = "cad_platform.studies"
    label = "studies"
    audit_actions = {
        "image.confirm_side": _("Confirmed the side of an image"),
        "image.download": _("Downloaded an image file"),
        "image.view": _("Looked at an image"),
        "study.add": _("Received more of the study"),
        "study.bring_back": _("Brought the study back"),
        "study.complete": _("Said that the study is complete"),
        "study.correct": _("Corrected the study"),
        "study.move": _("Moved the study to another record of its patient"),
        "study.quarantine": _("Set a file of the study aside"),
        "study.receive": _("Received the study"),
        "study.receive_again": _("Received the same study again"),
        "study.withdraw": _("Withdrew the study"),
    }

    def ready(self) -> None:
        from cad_platform.core import outbox
        from cad_platform.studies.checks import no_study_has_lost_its_modality

        checks.register(no_study_has_lost_its_modality, checks.Tags.database)

        # Once the models have spoken: before that the workers are theirs.
        outbox.subscribe("analysis.ended", "studies.prepare_images")

    def loops(self) -> Iterable[Loop]:
        from cad_platform.studies import services

        return (Loop("studies that are still arriving", services.take_turn),)
