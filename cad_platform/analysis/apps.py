from django.apps import AppConfig


class AnalysisConfig(AppConfig):
    name = "cad_platform.analysis"
    label = "analysis"
