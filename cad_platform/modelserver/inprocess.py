"""The networks in this very process: for a single machine without a model server, and for tests."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from cad_platform.modelserver.hosts import COMPARE_SECONDS
from cad_platform.modelserver.port import Deadline, VersionNotServed, WorkerStatus
from inference.contract import AnalysisError, AnalysisRequest, AnalysisResult, ModelIdentity, ModelManifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference.runtime.forward import ForwardOutput, Save
    from inference.runtime.onnx_session import OnnxForward
    from inference.runtime.resumable import Keeping


class InProcessModelServer:
    """One ONNX session a version, loaded at first use after the weights' hash was compared. A version that has
    left the store is served no longer.

    Parameters
    ----------
    store
        The model store's folder.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._sessions: dict[ModelIdentity, OnnxForward] = {}
        self._loading = threading.Lock()
        self._proven_at: WeakKeyDictionary[OnnxForward, float] = WeakKeyDictionary()

    def analyse(
        self,
        request: AnalysisRequest,
        manifest: ModelManifest,
        save: Save,
        deadline: Deadline,
        keeping: Keeping | None = None,
    ) -> AnalysisResult:
        """See `port.ModelServer`."""
        from inference.runtime.analyse import analyse
        from inference.runtime.resumable import resumable

        session = self._session(manifest)

        def forward(tensor: NDArray[Any], /) -> ForwardOutput:
            deadline.remaining()
            return session(tensor)

        return analyse(request, manifest, resumable(forward, manifest, keeping), save)

    def prove(self, manifest: ModelManifest, deadline: Deadline, *, lightly: bool = False) -> bool:
        """See `port.ModelServer`."""
        from inference.runtime.analyse import probe_tensor

        deadline.remaining()
        session = self._session(manifest)
        if lightly and time.monotonic() - self._proven_at.get(session, float("-inf")) < COMPARE_SECONDS:
            return False
        try:
            session(probe_tensor(manifest))
        except ValueError as error:
            raise AnalysisError(f"the network refuses its own input: {error}") from error
        self._proven_at[session] = time.monotonic()
        return True

    def workers(self, manifest: ModelManifest) -> WorkerStatus | None:
        """This process is the only worker."""
        return WorkerStatus(ready=1, workers=1)

    def _session(self, manifest: ModelManifest) -> OnnxForward:
        from inference.runtime.onnx_session import OnnxForward
        from inference.runtime.store import StoreError, verified_weights, version_folder

        key = manifest.identity
        with self._loading:
            if not (version_folder(manifest, self._store) / manifest.weights.file).is_file():
                self._sessions.pop(key, None)
            if key not in self._sessions:
                try:
                    weights = verified_weights(manifest, self._store)
                except StoreError as error:
                    raise VersionNotServed(str(error)) from error
                try:
                    self._sessions[key] = OnnxForward(weights)
                except Exception as error:  # ONNX Runtime's have no base of their own
                    wanted = f"{manifest.name} {manifest.version}"
                    raise AnalysisError(f"the network of {wanted} cannot be loaded") from error
            return self._sessions[key]
