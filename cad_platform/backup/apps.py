from django.apps import AppConfig


class BackupConfig(AppConfig):
    name = "cad_platform.backup"
    label = "backup"
