"""What the platform needs of a model server, whichever it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from inference.contract import (
    AnalysisError,
    AnalysisRequest,
    AnalysisResult,
    ModelManifest,
    ModelServerUnavailable,
)

if TYPE_CHECKING:
    from inference.runtime.forward import Save
    from inference.runtime.resumable import Keeping


class DeadlineExceeded(AnalysisError):
    """The attempt used up its time. Another one may find the machine less busy."""

    retryable = True


class Abandoned(AnalysisError):
    """The attempt is no longer ours: somebody else has taken the job over, or it was withdrawn."""

    retryable = True


class VersionNotServed(AnalysisError):
    """No model server has this version. It stays so until a person loads it, or has studies analysed with another
    version: asking again in a while is of no use."""

    def __init__(self, why: str) -> None:
        super().__init__(f"not served here: {why}")


class OnlyWrongAnswers(ModelServerUnavailable):
    """Every server that has this version answers its known case otherwise than its network did: none gets work."""

    def __init__(self, version: object) -> None:
        super().__init__(f"every model server that has {version} answers its known case wrongly")


class Deadline:
    """A moment on the monotonic clock, and whether the work has been given up before it.

    Parameters
    ----------
    seconds
        From now.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._abandoned = ""

    def abandon(self, reason: str) -> None:
        """Stop at the next look at the clock; may be called from another thread."""
        self._abandoned = reason

    def remaining(self) -> float:
        """Seconds left, above zero.

        Raises
        ------
        DeadlineExceeded
            When none is left.
        Abandoned
            After `abandon`.
        """
        if self._abandoned:
            raise Abandoned(self._abandoned)
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the analysis did not end within its time limit")
        return left


@dataclass(frozen=True)
class WorkerStatus:
    """How many of a model's worker processes are ready, as the server itself says."""

    ready: int
    workers: int


class ModelServer(Protocol):
    """Runs networks. Implementations are safe to call from several threads."""

    def analyse(
        self,
        request: AnalysisRequest,
        manifest: ModelManifest,
        save: Save,
        deadline: Deadline,
        keeping: Keeping | None = None,
    ) -> AnalysisResult:
        """Analyse a study. `save(name, png)` keeps masks and heat maps and returns their references; `keeping` holds
        what there is of a slide so far, and says when it shall give way.

        Raises
        ------
        inference.contract.NotApplicable, inference.contract.ImageUnreadable
            The study gives no result; asking again gives none either.
        inference.contract.ModelServerUnavailable
            No server answered, or none of those that did has this version while another is away;
            `OnlyWrongAnswers` where none may be believed.
        VersionNotServed
            Every server answered that it does not have this version.
        inference.contract.GaveWay
            `keeping` asked for it, and has what there is so far.
        DeadlineExceeded, Abandoned
            See `Deadline`.
        """
        ...

    def prove(self, manifest: ModelManifest, deadline: Deadline, *, lightly: bool = False) -> bool:
        """Make a real, small prediction with exactly this version.

        `lightly`: for what is asked again and again. Where its network has lately computed, that a worker answers, or
        has just done work, is enough. Returns whether a network computed.

        Raises
        ------
        inference.contract.AnalysisError
            The model gives no prediction; the sentence says why. `VersionNotServed` as for `analyse`.
        """
        ...

    def workers(self, manifest: ModelManifest) -> WorkerStatus | None:
        """The model's workers, or None where the server cannot be asked."""
        ...
