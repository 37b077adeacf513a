"""Which hosts there are: those of the settings, those behind a DNS name of the settings, and those that somebody added.
Asked again every few seconds, so that hosts come and go without a restart."""

from __future__ import annotations

import logging
import socket
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, transaction

from cad_platform.modelserver.models import ModelHost

logger = logging.getLogger(__name__)

_BY_NAME = "dns+"


@dataclass(frozen=True)
class HostSpec:
    """What the settings say of a host; the fields are those of its row."""

    name: str
    url: str
    management_url: str
    metrics_url: str
    key_file: str
    ca_file: str
    server_name: str
    source: str


class NameAway(Exception):
    """A DNS name leads nowhere now. That is no word about the hosts behind it."""


def check_settings() -> None:
    """Raises `ImproperlyConfigured` where the settings name what is no address; asks no name server."""
    for url in settings.TORCHSERVE_URLS:
        _check(url.removeprefix(_BY_NAME))


def reconcile() -> None:
    """Make the rows those of the settings; hosts that an administrator added stay. Idempotent.

    A name that cannot be resolved now takes no host away: a model server must not stop because a name server does.
    """
    wanted: dict[str, HostSpec] = {}
    gone_may_go = [ModelHost.Source.LISTED, ModelHost.Source.NAMED]
    for number, url in enumerate(settings.TORCHSERVE_URLS):
        management_url = _nth(settings.TORCHSERVE_MANAGEMENT_URLS, number)
        metrics_url = _nth(settings.TORCHSERVE_METRICS_URLS, number)
        key_file = _nth(settings.TORCHSERVE_KEY_FILES, number)
        try:
            specs = _specs(url.rstrip("/"), management_url.rstrip("/"), metrics_url.rstrip("/"), key_file)
        except NameAway as error:
            logger.warning("model servers are not looked up: %s", error)
            gone_may_go = [ModelHost.Source.LISTED]
        else:
            wanted |= {spec.url: spec for spec in specs}
    rows = {row.url: row for row in ModelHost.objects.all()}
    for spec in wanted.values():
        _keep(rows.get(spec.url), spec)
    gone = [row.pk for row in rows.values() if row.source in gone_may_go and row.url not in wanted]
    if gone:
        ModelHost.objects.filter(pk__in=gone, source__in=gone_may_go).delete()


def _keep(row: ModelHost | None, spec: HostSpec) -> None:
    values = asdict(spec)
    if row is None:
        try:
            with transaction.atomic():
                ModelHost.objects.create(**values)
        except IntegrityError:
            # Another process was quicker, or somebody gave this name to another address.
            logger.info("%s is known already", spec.name)
        return
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    if changed:
        ModelHost.objects.filter(pk=row.pk).update(**changed)


def _specs(url: str, management_url: str, metrics_url: str, key_file: str) -> list[HostSpec]:
    if not url.startswith(_BY_NAME):
        return [_spec(url, management_url, metrics_url, key_file, ModelHost.Source.LISTED)]
    url, management_url, metrics_url = (
        each.removeprefix(_BY_NAME) for each in (url, management_url, metrics_url)
    )
    _check(url)
    name = urlsplit(url).hostname or ""
    return [
        _spec(
            _at(url, address),
            _at(management_url, address),
            _at(metrics_url, address),
            key_file,
            ModelHost.Source.NAMED,
            server_name=name,
        )
        for address in _addresses(name)
    ]


def _spec(
    url: str, management_url: str, metrics_url: str, key_file: str, source: str, *, server_name: str = ""
) -> HostSpec:
    _check(url)
    parts = urlsplit(url)
    host = parts.hostname or ""
    return HostSpec(
        name=f"{parts.netloc}{parts.path}",
        url=url,
        management_url=management_url,
        metrics_url=metrics_url,
        key_file=key_file.replace("{host}", host),
        ca_file=settings.TORCHSERVE_CA_FILE,
        server_name=server_name,
        source=source,
    )


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise ImproperlyConfigured(f"CAD_TORCHSERVE_URL names {url}, which is no address.")


def _addresses(name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NameAway(f"{name} ({error})") from error
    return sorted({str(entry[4][0]) for entry in found})


def _at(url: str, address: str) -> str:
    """The URL with a number in the place of its host's name; empty for none."""
    if not url:
        return ""
    parts = urlsplit(url)
    number = f"[{address}]" if ":" in address else address
    return parts._replace(netloc=number if parts.port is None else f"{number}:{parts.port}").geturl()


def _nth(values: list[str], number: int) -> str:
    """The entry that belongs to the address of that number. The only entry belongs to all where it may: a file of
    several hosts' tokens, one that `{host}` tells apart."""
    if len(values) == 1:
        return values[0] if number == 0 or _is_for_all(values[0]) else ""
    return values[number] if number < len(values) else ""


def _is_for_all(value: str) -> bool:
    return "://" not in value
