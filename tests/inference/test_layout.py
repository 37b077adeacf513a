"""The laboratory's tests stand where what they test stands."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
PACKAGES = HERE.parents[1] / "inference"


def test_a_folder_of_tests_is_a_package_and_each_package_has_its_tests() -> None:
    tested = {folder.name for folder in HERE.iterdir() if any(folder.glob("test_*.py"))}
    packages = {folder.name for folder in PACKAGES.iterdir() if (folder / "__init__.py").is_file()}
    assert tested == packages
