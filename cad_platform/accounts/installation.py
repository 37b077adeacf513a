"""The first site and the first administrator of a new installation, made together and once."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, transaction
from django.utils.translation import gettext as _

from cad_platform.accounts import one_time, services
from cad_platform.accounts.models import Role, Site, User
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict

#: Of the advisory lock that makes a second installation wait for the first.
_LOCK = 0x696E7374


@dataclass(frozen=True)
class Installation:
    """What was made; the password is told here and nowhere else."""

    site: Site
    administrator: User
    password: str


def is_installed() -> bool:
    """Whether somebody administers this installation."""
    return User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).exists()


@transaction.atomic
def install(
    actor: Actor, *, site_code: str, site_name: str, username: str, time_zone: str = "", language: str = ""
) -> Installation:
    """Make the first site and an administrator with a one-time password.

    Raises
    ------
    Conflict
        There is an administrator already, who makes the others.
    Invalid
        With the field at fault; nothing is made.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    if is_installed():
        raise Conflict(_("This installation has an administrator already: further people are made by them."))
    site = Site.objects.filter(code=site_code).first()
    if site is None:
        site = services.create_site(actor, code=site_code, name=site_name, time_zone=time_zone)
    password = one_time.made_up()
    administrator = services.create_user(
        actor,
        username=username,
        password=password,
        role=Role.ADMINISTRATOR,
        site=None,
        language=language,
        is_one_time=True,
    )
    return Installation(site, administrator, password)
