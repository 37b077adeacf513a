"""Whoever collects what apps say of themselves asks all of the platform's own, and only these."""

from __future__ import annotations

from django.apps import apps

from cad_platform.core.declarations import PlatformApp, platform_apps


def test_every_app_of_the_platform_is_asked() -> None:
    """An AppConfig of Django's own would be passed over in silence: no navigation, no loops, no rights."""
    ours = [config for config in apps.get_app_configs() if config.name.startswith("cad_platform.")]
    assert ours == list(platform_apps())
    assert all(type(config) is not PlatformApp for config in ours)


def test_no_two_apps_declare_the_same_table_of_others() -> None:
    tables = [table for app in platform_apps() for table in app.tables_of_others]
    assert sorted(tables) == sorted(set(tables))
