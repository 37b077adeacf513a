"""`python -m inference predict`: any image or folder, one JSON line an image, without the platform."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from inference.contract import AnalysisError, AnalysisRequest, ImageReference, ModelManifest
from inference.serving.forward import Forward
from inference.serving.onnx_session import OnnxForward
from inference.serving.pipeline import analyse
from inference.serving.store import read_manifest, verified_weights


def files_of(paths: Sequence[Path]) -> Iterator[Path]:
    """The paths themselves; of folders every file below, hidden ones left out, in order of their names."""
    for path in paths:
        if path.is_dir():
            yield from sorted(
                file
                for file in path.rglob("*")
                if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
            )
        else:
            yield path


def predict(model: str, paths: Sequence[Path], out: Path, store: Path, um_per_px: float | None) -> int:
    """Write one line an image to `out`; masks and heat maps go to the folder `<out>.maps`.

    Each line is the contract's `ImageResult` with `path` before it, or `path` and `error`.

    Returns:
        0, or 2 when no file could be analysed.
    """
    manifest = read_manifest(model, store)
    forward = OnnxForward(verified_weights(manifest, store))
    maps = out.with_name(f"{out.name}.maps")
    maps.mkdir(parents=True, exist_ok=True)
    analysed = 0
    with out.open("w", encoding="utf-8") as lines:
        for number, path in enumerate(files_of(paths)):
            analysed += _line(lines, manifest, forward, path, maps / f"{number:06d}", um_per_px)
    return 0 if analysed else 2


def _line(
    lines: TextIO, manifest: ModelManifest, forward: Forward, path: Path, stem: Path, um_per_px: float | None
) -> bool:
    def save(name: str, png: bytes) -> str:
        # "image-0.mask.png" → "000007.mask.png": every path is a study of its own here
        target = stem.with_name(f"{stem.name}.{name.split('.', 1)[1]}")
        target.write_bytes(png)
        return str(target)

    image = ImageReference(
        image_id=str(path), path=str(path), laterality=None, view=None, pixel_spacing_um=um_per_px
    )
    request = AnalysisRequest(
        request_id=str(path),
        model=manifest.name,
        model_version=manifest.version,
        modality=manifest.input.modality,
        images=(image,),
    )
    entry: dict[str, object] = {"path": str(path)}
    try:
        result = analyse(request, manifest, forward, save).images[0]
        entry |= result.model_dump(mode="json")
    except AnalysisError as error:
        entry["error"] = str(error)
    lines.write(json.dumps(entry, ensure_ascii=False) + "\n")
    lines.flush()
    return "error" not in entry
