"""Who really calls: `X-Forwarded-*` headers are believed from the configured reverse proxies and from nobody else.

Everything below (audit, limits, redirects to TLS) reads `REMOTE_ADDR` and the headers that are left. The web server
itself is started with `--no-proxy-headers`, or it would believe anybody on this machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_FORWARDED = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_REAL_IP",
    "HTTP_FORWARDED",
)


class ClientAddressMiddleware:
    """Puts the caller's own address into `REMOTE_ADDR`. The first of all: others read it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        proxies = _networks(tuple(settings.TRUSTED_PROXIES))
        peer = _address(request.META.get("REMOTE_ADDR", ""))
        if peer is not None and _is_within(peer, proxies):
            forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
            request.META["REMOTE_ADDR"] = str(client_of(peer, forwarded, proxies))
        else:
            for name in _FORWARDED:
                request.META.pop(name, None)
        return self.get_response(request)


def client_of(peer: Address, forwarded: str, proxies: Iterable[Network]) -> Address:
    """The nearest address that is no proxy of ours: each proxy adds, on the right, who called it. What stands further
    left was sent by the caller, who may write anything."""
    client = peer
    for entry in reversed(forwarded.split(",")):
        if (address := _address(entry.strip())) is None:
            break
        client = address
        if not _is_within(client, proxies):
            break
    return client


def _address(text: str) -> Address | None:
    """An address, with or without a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _is_within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


@lru_cache(maxsize=8)
def _networks(entries: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(entry, strict=False) for entry in entries)
