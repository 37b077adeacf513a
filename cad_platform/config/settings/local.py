"""The demo and development on one machine: loopback only, plain HTTP."""

from cad_platform.config.settings.base import *  # noqa: F403
