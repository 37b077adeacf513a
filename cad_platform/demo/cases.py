"""What a demo case is: what to post, and what is true of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Names the demo's UIDs under 2.25, so that a case has the same UID wherever and whenever it is loaded.
NAMESPACE = uuid.UUID("0d1f7bb5-27fb-4d0e-9b8e-4a6b1f0c9d11")


@dataclass(frozen=True)
class CaseImage:
    """One file and what the study part says of it. It is posted as `file_name`: a data set's own file name
    may hold the answer."""

    path: Path
    file_name: str
    laterality: str | None = None
    view: str | None = None
    pixel_spacing_um: float | None = None
    truth: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One study to post. `images(folder)` writes or finds the files when their turn has come; `is_slow` where its
    analysis takes longest."""

    key: str
    modality: str
    patient_id: str
    patient_name: str
    birth_date: str | None
    procedure: str
    images: Callable[[Path], list[CaseImage]]
    priority: str = "routine"
    is_slow: bool = False
    truth: dict[str, Any] = field(default_factory=dict)

    @property
    def study_instance_uid(self) -> str:
        return f"2.25.{uuid.uuid5(NAMESPACE, self.key).int}"

    def study_part(self, images: list[CaseImage]) -> dict[str, Any]:
        """The JSON of the post's `study` part."""
        patient: dict[str, Any] = {"id": self.patient_id, "name": self.patient_name, "sex": "F"}
        if self.birth_date:
            patient["birth_date"] = self.birth_date
        return {
            "study_instance_uid": self.study_instance_uid,
            "accession_number": f"DEMO-{uuid.uuid5(NAMESPACE, self.key).hex[:8].upper()}",
            "modality": self.modality,
            "procedure": self.procedure,
            "priority": self.priority,
            "patient": patient,
            "images": [
                {
                    key: value
                    for key, value in {
                        "file": image.file_name,
                        "laterality": image.laterality,
                        "view": image.view,
                        "pixel_spacing_um": image.pixel_spacing_um,
                    }.items()
                    if value is not None
                }
                for image in images
            ],
        }
