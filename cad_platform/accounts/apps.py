from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "cad_platform.accounts"
    label = "accounts"

    def ready(self) -> None:
        from cad_platform.accounts import sign_ins

        sign_ins.connect()
