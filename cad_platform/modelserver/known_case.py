"""The known case of a version: inputs that anybody can make again, and what its network said to them.

It stands in the model store as `answer.json`. A host says the same within the tolerance that is written there, or it
gets no work for this version.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cad_platform.modelserver.asking import predict
from cad_platform.modelserver.hosts import Host, Version
from cad_platform.modelserver.messages import decoded, encoded, joined
from inference.contract import AnalysisError, ModelManifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference.runtime.answer import RecordedAnswer
    from inference.runtime.forward import ForwardOutput

logger = logging.getLogger(__name__)

#: A store that had no case for a version is looked at again after so long.
_LOOK_AGAIN_SECONDS = 60.0


class AnswersWrongly(Exception):
    """The host answered, and otherwise than the version's network did; the sentence says by how much."""


class KnownCases:
    """The known cases of a model store, read once a version.

    Parameters
    ----------
    store
        The model store's folder.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._read: dict[Version, tuple[RecordedAnswer | None, float]] = {}

    def of(self, manifest: ModelManifest) -> RecordedAnswer | None:
        """The version's case; None where the store has none here, or none that this machine can repeat."""
        version = Version.of(manifest)
        with self._lock:
            case, read_at = self._read.get(version, (None, float("-inf")))
            if case is None and time.monotonic() - read_at >= _LOOK_AGAIN_SECONDS:
                case = self._found(manifest)
                self._read[version] = case, time.monotonic()
            return case

    def _found(self, manifest: ModelManifest) -> RecordedAnswer | None:
        from inference.runtime.answer import read_answer
        from inference.runtime.store import StoreError

        try:
            case = read_answer(manifest, self._store)
        except StoreError as error:
            logger.warning("answers are not compared: %s", error)
            return None
        if not case.is_repeatable():
            logger.warning("answers of %s are not compared: this numpy draws other numbers", manifest.name)
            return None
        return case


def compare(host: Host, version: Version, case: RecordedAnswer, seconds: float) -> bytes:
    """Ask a host the version's known case; its last answer. `seconds` are for each row of it.

    Raises
    ------
    AnswersWrongly
        It says something else, refuses the input, or says nothing that can be read.
    calls.HostAway, calls.NotLoaded, calls.TooLarge
        As for `calls.predict`.
    """
    from inference.runtime.store import StoreError

    answer = b""

    def forward(tensor: NDArray[Any], /) -> ForwardOutput:
        nonlocal answer
        said = []
        # Row by row: two mammograms at once would take more memory, and time, than work ever does.
        for row in tensor:
            answer = predict(host, version, encoded(row[None]), seconds)
            said.append(decoded(answer))
        return joined(said)

    try:
        by, output = case.deviation(forward)
    except (StoreError, AnalysisError) as error:
        raise AnswersWrongly(str(error)) from error
    if not by <= case.tolerance:
        raise AnswersWrongly(f"{output} deviates by {by:.4g}, allowed are {case.tolerance:g}")
    return answer
