from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "cad_platform.accounts"
    label = "accounts"
