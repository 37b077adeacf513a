from django.apps import AppConfig


class ReadingConfig(AppConfig):
    name = "cad_platform.reading"
    label = "reading"
