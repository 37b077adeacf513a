from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import ADMINISTRATION, DatabaseRights, NavigationEntry, PlatformApp


class AccountsConfig(PlatformApp):
    name = "cad_platform.accounts"
    label = "accounts"
    navigation = (
        NavigationEntry("users", _("Users"), "user.manage", position=60, group=ADMINISTRATION),
        NavigationEntry("roles", _("Roles"), "user.manage", position=62, group=ADMINISTRATION),
        NavigationEntry("sites", _("Sites"), "user.manage", position=65, group=ADMINISTRATION),
        NavigationEntry("tokens", _("Tokens"), "token.manage", position=70, group=ADMINISTRATION),
    )
    audit_actions = {
        "site.create": _("Created a site"),
        "site.update": _("Changed a site"),
        "site.activate": _("Activated a site"),
        "site.deactivate": _("Deactivated a site"),
        "token.issue": _("Issued a token"),
        "token.revoke": _("Revoked a token"),
        "user.change_password": _("Changed their password"),
        "user.lock": _("Locked a workplace"),
        "user.release_signing": _("Let a user sign again after a reset"),
        "user.unlock_session": _("Unlocked a workplace"),
        "user.activate": _("Activated a user"),
        "user.change_role": _("Gave a role"),
        "user.take_role": _("Took a role away"),
        "user.create": _("Created a user"),
        "user.deactivate": _("Deactivated a user"),
        "user.keyboard": _("Changed their keys"),
        "user.set_password": _("Set a password"),
        "user.sign_in": _("Signed in"),
        "user.sign_out": _("Signed out"),
        "user.unlock": _("Unlocked a user"),
        "user.update": _("Changed a user"),
    }
    audit_attempts = {
        "user.sign_in": _("Tried to sign in"),
        "user.unlock_session": _("Tried to unlock a workplace"),
    }
    #: Of Django's accounts and sessions, and of allauth.
    tables_of_others = {
        "auth_group": DatabaseRights.UPDATABLE,
        "auth_group_permissions": DatabaseRights.UPDATABLE,
        "auth_permission": DatabaseRights.UPDATABLE,
        "account_emailaddress": DatabaseRights.UPDATABLE,
        "account_emailconfirmation": DatabaseRights.UPDATABLE,
        "django_session": DatabaseRights.DELETABLE,
    }

    def ready(self) -> None:
        from cad_platform.accounts import sign_ins

        sign_ins.connect()
