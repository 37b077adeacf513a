"""SOP classes of objects that are of no modality here: named, so that a computed tomogram posted as something else is
refused for what it is. A modality that is registered later and claims one of them has it."""

from __future__ import annotations

#: SOP class → DICOM modality (PS3.6 table A-1).
OTHER_SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
}
