from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "cad_platform.demo"
    label = "demo"
