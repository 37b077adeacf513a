"""`python -m inference predict`: any image or folder, one JSON line an image, without the platform."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from imaging import sandbox
from imaging.errors import ImagingError
from inference.contract import AnalysisError, ImageReference, ModelManifest, Spacing
from inference.progress import ProgressLine
from inference.runtime.analyse import analyse
from inference.runtime.forward import Forward, ForwardOutput
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.resumable import KeptInFile, resumable
from inference.runtime.store import read_manifest, verified_weights

logger = logging.getLogger(__name__)


def files_of(paths: Sequence[Path], *, without: Sequence[Path] = ()) -> list[Path]:
    """The paths themselves; of folders every file below, hidden ones and those in `without` (files or folders)
    left out, in order of their names."""
    left_out = {path.resolve() for path in without}
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        found += sorted(
            file
            for file in path.rglob("*")
            if file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
            and not left_out & {file.resolve(), *file.resolve().parents}
        )
    return found


def predict(
    model: str,
    paths: Sequence[Path],
    out: Path,
    store: Path,
    um_per_px: float | None,
    version: str | None = None,
) -> int:
    """Write one line an image to `out`; masks and heat maps go to the folder `<out>.maps`.

    Each line is the contract's `ImageResult` with `path` before it, or `path` and `error`. A slide's forward
    passes are kept in `<out>.maps` until it is done, so that a killed run goes on there when it is repeated.

    Parameters
    ----------
    version
        The newest of the store where None.
    um_per_px
        µm per pixel of plain images, and of DICOM files and slides that do not say it themselves.

    Returns
    -------
    int
        0, or 2 when no file could be analysed.
    """
    manifest = read_manifest(model, store, version)
    forward = OnnxForward(verified_weights(manifest, store))
    maps = out.with_name(f"{out.name}.maps").absolute()
    files = files_of(paths, without=(out, maps))
    maps.mkdir(parents=True, exist_ok=True)  # and with it the folder of `out`
    analysed = 0
    with out.open("w", encoding="utf-8") as lines, ProgressLine() as line:
        progress = _FileProgress(len(files), line)
        run = _Run(manifest, progress.watched(forward), maps, um_per_px)
        for number, path in enumerate(files):
            progress.begin(number)
            entry = run.entry(number, path)
            lines.write(json.dumps(entry, ensure_ascii=False) + "\n")
            lines.flush()
            analysed += "error" not in entry
        line.keep(f"{len(files)} files, {analysed} analysed")
    return 0 if analysed else 2


@dataclass(frozen=True)
class _Run:
    manifest: ModelManifest
    forward: Forward
    maps: Path
    um_per_px: float | None

    def entry(self, number: int, path: Path) -> dict[str, object]:
        """What is written of one file."""
        entry: dict[str, object] = {"path": str(path)}
        try:
            entry |= self._analysed(number, path)
        except AnalysisError as error:
            entry["error"] = str(error)
        except Exception as error:
            # One file must not take the others of a folder with it.
            logger.exception("%s: the analysis failed", path)
            entry["error"] = f"the analysis failed unexpectedly ({type(error).__name__})"
        if "error" in entry and not str(entry["error"]).endswith("."):
            entry["error"] = f"{entry['error']}."
        return entry

    def _analysed(self, number: int, path: Path) -> dict[str, object]:
        def save(name: str, png: bytes, /) -> str:
            # "image-0.mask.png" → "000007.mask.png": every path is a study of its own here
            target = self.maps / f"{number:06d}.{name.split('.', 1)[1]}"
            target.write_bytes(png)
            return str(target)

        image = ImageReference(image_id=str(path), path=str(path), spacing_um=self._spacing_of(path))
        request = self.manifest.request(str(path), image)
        kept = KeptInFile(self.maps / f"{_identity_of(path)}.partial")
        try:
            forward = resumable(self.forward, self.manifest, kept)
            result = analyse(request, self.manifest, forward, save).images[0]
        except AnalysisError as error:
            if not error.retryable:
                kept.forget()
            raise
        kept.forget()
        return result.model_dump(mode="json")

    def _spacing_of(self, path: Path) -> Spacing | None:
        """`--mpp`, unless the file is a slide or DICOM that knows its own; a plain image's dots per inch are
        a scanner's or a camera's guess."""
        if self.um_per_px is None:
            return None
        stated = (self.um_per_px, self.um_per_px)
        try:
            found = sandbox.describe(path.absolute(), prove=False)
        except ImagingError:
            return stated  # the pipeline says what is wrong with it
        own = found.slide.mpp if found.slide is not None else found.facts.regions or found.pixel_spacing_um
        return stated if found.kind == "image" or not own else None


def _identity_of(path: Path) -> str:
    """A name for this file as it is now."""
    try:
        found = path.stat()
    except OSError:
        return "missing"  # the reader says so in its own words
    parts = f"{path.absolute()}\n{found.st_size}\n{found.st_mtime_ns}"
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


class _FileProgress:
    """How many files are done, and how many fields of a slide that takes long."""

    def __init__(self, files: int, line: ProgressLine) -> None:
        self._files, self._line = files, line
        self._at = self._inputs = 0

    def begin(self, number: int) -> None:
        """The file with this number, counted from 0, is looked at next."""
        self._at, self._inputs = number, 0
        self._show()

    def watched(self, forward: Forward) -> Forward:
        """`forward`, showing how far a slide of many fields is."""

        def run(tensor: NDArray[Any], /) -> ForwardOutput:
            output = forward(tensor)
            self._inputs += len(tensor)
            self._show()
            return output

        return run

    def _show(self) -> None:
        within = f", {self._inputs} fields of this one" if self._inputs > 1 else ""
        self._line.show(f"{self._at} of {self._files} files{within}")
