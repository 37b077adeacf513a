"""What a box says of itself: for its page, and as JSON for whoever watches it."""

from __future__ import annotations

import time
from typing import Any

from edge.analysing import Analyst
from edge.keeping import DECLINED, DELIVERED, Box, Kept, Result
from edge.sending import Sender
from edge.settings import Settings
from edge.taking import Intake

_SHOWN = 50


class State:
    """Asked anew each time; changes nothing."""

    def __init__(
        self, box: Box, settings: Settings, intake: Intake, analyst: Analyst, sender: Sender
    ) -> None:
        self._box, self._settings = box, settings
        self._intake, self._analyst, self._sender = intake, analyst, sender

    def health(self) -> dict[str, Any]:
        """Numbers alone: who may ask for this need not be known."""
        counts = self._box.counts()
        return {
            "waiting": counts.get("waiting", 0),
            "delivered": sum(counts.get(outcome, 0) for outcome in DELIVERED),
            "declined": sum(counts.get(outcome, 0) for outcome in DECLINED),
            "has_room": self._intake.has_room(),
        }

    def whole(self) -> dict[str, Any]:
        """Everything that the page shows."""
        manifest, sender = self._analyst.manifest, self._sender
        return self.health() | {
            "model": {
                "name": manifest.name, "version": manifest.version, "weights_sha256": manifest.weights.sha256,
                "positive_class": manifest.positive_class,
            },
            "hospital": {
                "is_set": bool(self._settings.platform), "trouble": sender.trouble, "reached_at": sender.reached_at,
                "next_try_seconds": round(max(0.0, sender.next_try - time.monotonic())) if sender.trouble else 0,
            },
            "free_mb": self._intake.free_bytes() >> 20,
            "studies": [self.study(uid) for uid in self._box.studies(_SHOWN)],
        }  # fmt: skip

    def study(self, uid: str) -> dict[str, Any]:
        """One study as it is now."""
        files, images = self._box.files_of(uid), self._analyst.images_of(uid)
        result = self._analyst.result(uid) if images else None
        return {
            "study_instance_uid": uid,
            "patient_id": files[0].patient_id,
            "accession_number": files[0].accession_number,
            "received_at": files[-1].received_at,
            "files": len(files),
            "delivered": sum(file.outcome in DELIVERED for file in files),
            "declined": _reasons(files),
            "images_read": len(images),
            "result": None if result is None else self._brief(result),
        }

    def results(self, uid: str) -> list[Result]:
        """Every result of a study that was made here, the latest first."""
        return self._box.results_of(uid)

    def _brief(self, result: Result) -> dict[str, Any]:
        positive, answer = self._analyst.manifest.positive_class, result.answer
        told: dict[str, Any] = {
            "model": f"{result.model} {result.version}", "content": result.content, "seconds": round(result.seconds, 3),
            "error": result.error, "score": None, "level": "", "thresholds": {}, "is_partial": False, "heatmaps": [],
        }  # fmt: skip
        if answer is None:
            return told
        told["thresholds"] = answer["thresholds"]
        told["heatmaps"] = [image["heatmap"] for image in answer["images"] if image["heatmap"]]
        if answer["judged_images"]:
            told["score"] = score = answer["probabilities"][positive]
            told["is_partial"] = len(answer["judged_images"]) < len(answer["images"])
            told["level"] = level_of(score, answer["thresholds"])
        return told


def level_of(score: float, thresholds: dict[str, float]) -> str:
    """The words for a score by the points that the version ships."""
    for point, words in (
        ("high_specificity", "highly suspicious"),
        ("balanced", "suspicious"),
        ("high_sensitivity", "possibly suspicious"),
    ):
        if score >= thresholds[point]:
            return words
    return "not suspicious"


def _reasons(files: list[Kept]) -> list[str]:
    return sorted({file.reason or file.outcome for file in files if file.outcome in DECLINED})
