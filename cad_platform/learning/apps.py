from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import MODELS, PATIENTS, Loop, NavigationEntry, PlatformApp


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
        "training.ask": _("Began a training"),
        "training.cancel": _("Cancelled a training"),
        "training.end": _("A training ended"),
        "training.go_on": _("Went on with a training"),
        "training.lost": _("Nobody was heard of from a training: it waits again"),
    }

    def loops(self) -> Iterable[Loop]:
        from cad_platform.learning import calling, tidying

        return (
            Loop("trainings' images", tidying.take_turn, every=30.0),
            Loop("lost trainings", calling.take_turn, every=30.0),
        )

    def ready(self) -> None:
        from cad_platform.core import outbox
        from cad_platform.core.queues import TRAIN_TASK
        from cad_platform.learning.trainings import TRAIN_TOPIC

        outbox.subscribe(TRAIN_TOPIC, TRAIN_TASK)
