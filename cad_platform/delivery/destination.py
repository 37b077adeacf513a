"""Where a webhook may lead: to the hosts that the operator allows, and nowhere that a name was bent to meanwhile."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Destination:
    """An address that is allowed, taken apart."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"


class NotAllowed(Exception):
    """The address may not be called; the message says why."""


def destination_of(url: str) -> Destination:
    """The address that a webhook's URL names.

    Raises
    ------
    NotAllowed
        It is no address of an allowed host, over the scheme that is allowed for it.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise NotAllowed(_("This is not an address.")) from None
    if (
        parts.scheme not in _PORTS
        or not host
        or parts.username is not None
        or not url.isprintable()
        or " " in url
    ):
        raise NotAllowed(_("This is not an address of the form https://host/path."))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or not host.isascii():
        raise NotAllowed(_("This is not an address of the form https://host/path."))
    found = Destination(parts.scheme, host, port or _PORTS[parts.scheme], path)
    if (found.scheme, found.host, found.port) not in allowed_hosts():
        raise NotAllowed(
            _("%(host)s is not one of the hosts that the operator allows (CAD_WEBHOOK_ALLOWED_HOSTS).")
            % {"host": f"{found.scheme}://{found.host_header}"}
        )
    return found


def allowed_hosts() -> set[tuple[str, str, int]]:
    """(scheme, host, port) of each that the setting names. `host[:port]` is https; http has to be written out."""
    found = set()
    for entry in settings.WEBHOOK_ALLOWED_HOSTS:
        parts = urlsplit(entry if "://" in entry else f"https://{entry}")
        if parts.scheme in _PORTS and parts.hostname:
            found.add((parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]))
    return found


def resolve(destination: Destination) -> str:
    """The one IP address to connect to: looked up once, checked, and used as it is.

    Raises
    ------
    NotAllowed
        There is none, or the name leads to this machine or to the network's own addresses, which no name may.
    """
    try:
        found = socket.getaddrinfo(destination.host, destination.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotAllowed(_("The host's name leads nowhere.")) from None
    literal = _address(destination.host)
    for *_rest, where in found:
        address = _address(str(where[0]).partition("%")[0])
        if address is None:
            continue
        if literal is None and (
            address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
        ):
            raise NotAllowed(_("The host's name leads to an address that is not allowed."))
        return str(address)
    raise NotAllowed(_("The host's name leads nowhere."))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
