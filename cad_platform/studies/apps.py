from django.apps import AppConfig


class StudiesConfig(AppConfig):
    name = "cad_platform.studies"
    label = "studies"

    def ready(self) -> None:
        from cad_platform.core import outbox

        outbox.subscribe("study.complete", "studies.prepare_images")
