"""A person at a command line: what needs a person's name asks for that person's password."""

from __future__ import annotations

import getpass

from django.contrib.auth import authenticate
from django.core.management.base import CommandError

from cad_platform.core.actor import Actor


def person(username: str) -> Actor:
    """Who they are, by their password, which is asked for. Raises `CommandError` where it is another's."""
    user = authenticate(None, username=username, password=getpass.getpass(f"Password of {username}: "))
    if user is None:
        raise CommandError("There is no such person, or the password is another.")
    return Actor.of_user(user)
