"""What is said of a box in its environment. `docs/edge.md` lists the names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from inference.runtime.store import DEFAULT_STORE

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MB = 1024 * 1024


class SettingsError(Exception):
    """A box that is described like this is not started; the sentence says why."""


@dataclass(frozen=True)
class Settings:
    """One box.

    Attributes
    ----------
    platform
        The hospital's address, without a slash at its end; empty where the box only keeps.
    reserve_bytes
        What of the disk stays free: a box that can write nothing could not even say so.
    keep_seconds
        For how long images stay at the box after the hospital has them.
    """

    state: Path
    inbox: Path
    platform: str = ""
    token_file: Path | None = None
    authority: Path | None = None
    address: str = "127.0.0.1"
    port: int = 8085
    certificate: Path | None = None
    certificate_key: Path | None = None
    store: Path = DEFAULT_STORE
    model: str = "ultrasound"
    version: str | None = None
    trust: Path | None = None
    quiet_seconds: float = 10.0
    keep_seconds: float = 7 * 86400.0
    reserve_bytes: int = 1024 * _MB
    largest_bytes: int = 1024 * _MB

    @property
    def images_url(self) -> str:
        return f"{self.platform}/api/v1/studies"


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this environment.

    Raises
    ------
    SettingsError
        A value is none, or would send patients' images over a line that anybody can read.
    """

    def path(name: str) -> Path | None:
        return Path(environment[name]).absolute() if environment.get(name) else None

    def number(name: str, default: float) -> float:
        try:
            value = float(environment.get(name) or default)
        except ValueError:
            value = -1.0
        if not 0 <= value < 1e9:
            raise SettingsError(f"{name} is {environment[name]!r}: a number from 0 on is wanted.")
        return value

    state = path("CAD_EDGE_STATE") or Path(".local-edge").absolute()
    platform = (environment.get("CAD_EDGE_PLATFORM") or "").rstrip("/")
    address = environment.get("CAD_EDGE_ADDRESS") or "127.0.0.1"
    certificate, token = path("CAD_EDGE_CERTIFICATE"), path("CAD_EDGE_TOKEN_FILE")
    if platform:
        _check_platform(platform)
        if token is None:
            raise SettingsError(
                "CAD_EDGE_PLATFORM is set without CAD_EDGE_TOKEN_FILE: the hospital asks for a token."
            )
    if address not in _LOOPBACK and certificate is None:
        raise SettingsError(
            f"CAD_EDGE_ADDRESS is {address}, which others can reach: CAD_EDGE_CERTIFICATE and "
            "CAD_EDGE_CERTIFICATE_KEY are wanted then."
        )
    return Settings(
        state=state,
        inbox=path("CAD_EDGE_INBOX") or state / "inbox",
        platform=platform,
        token_file=token,
        authority=path("CAD_EDGE_CA"),
        address=address,
        port=int(number("CAD_EDGE_PORT", 8085)),
        certificate=certificate,
        certificate_key=path("CAD_EDGE_CERTIFICATE_KEY"),
        store=path("CAD_MODEL_STORE") or DEFAULT_STORE,
        model=environment.get("CAD_EDGE_MODEL") or "ultrasound",
        version=environment.get("CAD_EDGE_MODEL_VERSION") or None,
        trust=path("CAD_MODEL_TRUST"),
        quiet_seconds=number("CAD_EDGE_QUIET_SECONDS", 10),
        keep_seconds=number("CAD_EDGE_KEEP_DAYS", 7) * 86400,
        reserve_bytes=int(number("CAD_EDGE_RESERVE_MB", 1024) * _MB),
        largest_bytes=int(number("CAD_EDGE_LARGEST_MB", 1024) * _MB),
    )


def _check_platform(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            f"CAD_EDGE_PLATFORM is {address!r}: an address such as https://cad.hospital.example is wanted."
        )
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise SettingsError(
            "CAD_EDGE_PLATFORM begins with http: images and token would travel unencrypted; use https."
        )
