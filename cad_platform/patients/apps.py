from django.apps import AppConfig


class PatientsConfig(AppConfig):
    name = "cad_platform.patients"
    label = "patients"
