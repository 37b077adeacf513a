"""The model's answer about each study, by the same function as on the platform, by one ONNX session in this process."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Sequence
from functools import cached_property

from edge.keeping import Box, Kept, Result, sync_folder
from edge.settings import Settings
from inference.contract import AnalysisError, ImageReference, ModelManifest
from inference.runtime.analyse import analyse
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.signing import verify_version
from inference.runtime.store import read_manifest, verified_weights, version_folder

logger = logging.getLogger(__name__)

#: So many studies are looked at for work; older ones have had their answer.
_LATEST = 500


class Analyst:
    """One version of one model. A study is analysed as a whole, when nothing of it has come for a while, and again when
    more comes."""

    def __init__(self, box: Box, settings: Settings) -> None:
        self._box, self._settings = box, settings
        self.manifest: ModelManifest = read_manifest(settings.model, settings.store, settings.version)
        if settings.trust is not None:
            verify_version(version_folder(self.manifest, settings.store), settings.trust)

    @cached_property
    def _forward(self) -> OnnxForward:
        return OnnxForward(verified_weights(self.manifest, self._settings.store))

    def work(self) -> int:
        """Analyse every study that waits for it; how many those were."""
        done = 0
        for study in self._box.studies(_LATEST):
            images = self.images_of(study)
            if images and is_quiet(images, self._settings.quiet_seconds) and self.result(study) is None:
                self._box.keep(self._analysed(study, images))
                done += 1
        return done

    def images_of(self, study: str) -> list[Kept]:
        """What the model reads of a study: the first file of each object that is an image of its modality."""
        found: dict[str, Kept] = {}
        for file in self._box.files_of(study):
            if file.is_image and file.modality == self.manifest.input.modality:
                found.setdefault(file.sop_instance_uid, file)
        return list(found.values())

    def result(self, study: str) -> Result | None:
        """What this version said of the study as it is now."""
        content = content_of(self.images_of(study))
        return next(
            (
                result
                for result in self._box.results_of(study)
                if (result.content, result.model, result.version)
                == (content, self.manifest.name, self.manifest.version)
            ),
            None,
        )

    def _analysed(self, study: str, images: Sequence[Kept]) -> Result:
        began, content = time.perf_counter(), content_of(images)
        answer, error = None, ""
        pictures = self._box.pictures(content)
        shutil.rmtree(pictures, ignore_errors=True)
        pictures.mkdir(mode=0o700)

        def save(name: str, png: bytes, /) -> str:
            (pictures / name).write_bytes(png)
            return name

        try:
            if any(file.removed_at for file in images):
                raise AnalysisError(
                    "Earlier images of this study have left the box. The hospital analyses all of them."
                )
            references = [
                ImageReference(
                    image_id=file.sop_instance_uid, path=str(self._box.path(file.sha256)), sha256=file.sha256
                )
                for file in images
            ]
            request = self.manifest.request(study, *references)
            answer = analyse(request, self.manifest, self._forward, save).model_dump(mode="json")
            sync_folder(pictures)
        except AnalysisError as failure:
            if failure.retryable:
                raise
            error = str(failure)
        seconds = time.perf_counter() - began
        # Neither the study nor its patient is named in a log.
        logger.info(
            "%d image(s) analysed in %.2f s%s", len(images), seconds, ", without a result" if error else ""
        )
        return Result(
            study, content, self.manifest.name, self.manifest.version, time.time(), seconds, answer, error
        )


def content_of(files: Sequence[Kept]) -> str:
    """One digest over the bytes of all files, whatever their order."""
    return hashlib.sha256("\n".join(sorted(file.sha256 for file in files)).encode()).hexdigest()


def is_quiet(files: Sequence[Kept], seconds: float) -> bool:
    """Whether nothing of a study has come for so long. A clock that was set back counts as quiet."""
    since = time.time() - max(file.received_at for file in files)
    return not 0 <= since < seconds
