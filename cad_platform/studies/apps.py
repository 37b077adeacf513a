from django.apps import AppConfig


class StudiesConfig(AppConfig):
    name = "cad_platform.studies"
    label = "studies"
