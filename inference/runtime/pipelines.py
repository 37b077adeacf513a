"""The pipelines that there are: one folder `runtime/<name>/` each, with a module `pipeline`.

A manifest says which one serves its weights: its `pipeline`, or the model's own name. Nothing is registered anywhere
else; a new folder is found because it is there.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from inference.contract import AnalysisError, AnalysisRequest, ModelManifest
from inference.runtime.forward import Forward, Save
from inference.runtime.study import Clock, StudyFinding

#: The pipeline of plain image classifiers, which serves the networks of recipes.
WHOLE_IMAGE = "whole_image"


class Pipeline(Protocol):
    """What the module `runtime/<name>/pipeline.py` defines."""

    def input_shape(self, manifest: ModelManifest, /) -> tuple[int, ...]:
        """Of one input of the network, the batch first; uint8."""

    def analyse(
        self, request: AnalysisRequest, manifest: ModelManifest, forward: Forward, save: Save, clock: Clock
    ) -> StudyFinding:
        """Everything between the files and the finding. See `inference.runtime.analyse.analyse`."""


@cache
def names() -> tuple[str, ...]:
    """The pipelines of this installation, sorted."""
    return tuple(sorted(file.parent.name for file in Path(__file__).parent.glob("*/pipeline.py")))


def pipeline_of(manifest: ModelManifest) -> Pipeline:
    """The pipeline that serves the manifest's weights; its module is imported the first time.

    Raises
    ------
    AnalysisError
        This installation has none of that name.
    """
    name = manifest.served_by
    if name not in names():
        raise AnalysisError(
            f"{manifest.name} {manifest.version} needs the pipeline {name}, which is not installed here "
            f"({', '.join(names())})"
        )
    return cast(Pipeline, import_module(f"inference.runtime.{name}.pipeline"))


def load_pipelines() -> None:
    """Import all of them now, so that a process that forks shares their memory."""
    for name in names():
        import_module(f"inference.runtime.{name}.pipeline")
