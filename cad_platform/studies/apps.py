from django.core import checks

from cad_platform.core.declarations import PlatformApp


class StudiesConfig(PlatformApp):
    name = "cad_platform.studies"
    label = "studies"

    def ready(self) -> None:
        from cad_platform.core import outbox
        from cad_platform.studies.checks import no_study_has_lost_its_modality

        checks.register(no_study_has_lost_its_modality, checks.Tags.database)

        # Once the models have spoken: before that the workers are theirs.
        outbox.subscribe("analysis.ended", "studies.prepare_images")
