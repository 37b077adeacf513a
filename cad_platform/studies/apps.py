from cad_platform.core.declarations import PlatformApp


class StudiesConfig(PlatformApp):
    name = "cad_platform.studies"
    label = "studies"

    def ready(self) -> None:
        from cad_platform.core import outbox

        # Once the models have spoken: before that the workers are theirs.
        outbox.subscribe("analysis.ended", "studies.prepare_images")
