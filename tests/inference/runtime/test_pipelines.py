"""A manifest says which pipeline serves its weights, and serving imports no training."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from inference.contract import AnalysisError
from inference.runtime import pipelines
from inference.runtime.store import read_manifest

INFERENCE = Path(pipelines.__file__).parents[1]
#: Codes of modalities; a file whose data set writes a DICOM header needs one.
CODES = {"MG", "US", "SM"}
WRITES_HEADERS = INFERENCE / "datasets" / "generated" / "pictures.py"


def test_the_models_own_name_is_its_pipeline_unless_the_manifest_says_another() -> None:
    manifest = read_manifest("ultrasound")
    served = pipelines.pipeline_of(manifest)
    renamed = manifest.model_copy(update={"name": "another_model"})
    with pytest.raises(
        AnalysisError, match=r"another_model .* needs the pipeline another_model, which is not"
    ):
        pipelines.pipeline_of(renamed)
    assert pipelines.pipeline_of(renamed.model_copy(update={"pipeline": "ultrasound"})) is served


def test_a_manifest_that_names_no_pipeline_is_written_as_before() -> None:
    manifest = read_manifest("ultrasound")
    assert "pipeline" not in manifest.model_dump(mode="json")
    named = manifest.model_copy(update={"pipeline": "ultrasound"})
    assert named.model_dump(mode="json")["pipeline"] == "ultrasound"


def test_serving_on_a_processor_imports_no_training_library() -> None:
    """All of `runtime` but the program that writes a graph in torch, which the set-up alone imports."""
    program = (
        "import pkgutil, sys\n"
        "from importlib import import_module\n"
        "from inference import runtime\n"
        "for module in pkgutil.walk_packages(runtime.__path__, 'inference.runtime.'):\n"
        "    if not module.name.startswith('inference.runtime.onnx_to_torch.'):\n"
        "        import_module(module.name)\n"
        "print(*sorted({'torch', 'sklearn', 'onnx', 'scipy', 'skimage', 'xgboost', 'captum'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        (sys.executable, "-c", program), cwd=INFERENCE.parent, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == []


def named_modalities(source: str) -> list[str]:
    return [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in CODES
    ]


def test_a_planted_modality_is_noticed() -> None:
    assert named_modalities('if manifest.input.modality == "MG":\n    pass\n') == ["MG"]


@pytest.mark.parametrize("path", sorted(INFERENCE.rglob("*.py")), ids=lambda p: str(p.relative_to(INFERENCE)))
def test_nothing_in_the_laboratory_names_a_modality_by_its_code(path: Path) -> None:
    if path != WRITES_HEADERS:
        assert named_modalities(path.read_text(encoding="utf-8")) == []


def test_a_pipeline_neither_opens_images_nor_chooses_their_frames() -> None:
    """Which frames are read, and which speaks for its image, is said once (`runtime/image_by_image.py`); a slide has
    no frames and is read in strips."""
    for path in INFERENCE.glob("runtime/*/pipeline.py"):
        imported = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert not imported & {"Frames", "OpenedImage", "open_image", "frames_to_read"}, path.parent.name
