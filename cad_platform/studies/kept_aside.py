"""What is no image here, told by its SOP class (PS3.6 table A-1) or its modality, and what it is called."""

from __future__ import annotations

from cad_platform import modalities

#: SOP class, or the beginning of several, → what such an object is called. The longest that fits counts.
_OBJECTS = {
    "1.2.840.10008.1.3.10": "media directory",
    "1.2.840.10008.5.1.4.1.1.11.": "presentation state",
    "1.2.840.10008.5.1.4.1.1.30": "parametric map",
    "1.2.840.10008.5.1.4.1.1.66": "raw data",
    "1.2.840.10008.5.1.4.1.1.66.1": "spatial registration",
    "1.2.840.10008.5.1.4.1.1.66.2": "spatial fiducials",
    "1.2.840.10008.5.1.4.1.1.66.3": "deformable registration",
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.66.5": "surface segmentation",
    "1.2.840.10008.5.1.4.1.1.66.6": "tractography",
    "1.2.840.10008.5.1.4.1.1.67": "real world value mapping",
    "1.2.840.10008.5.1.4.1.1.68.": "surface scan",
    "1.2.840.10008.5.1.4.1.1.88.": "structured report",
    "1.2.840.10008.5.1.4.1.1.88.50": "mammography CAD report",
    "1.2.840.10008.5.1.4.1.1.88.59": "key object selection",
    "1.2.840.10008.5.1.4.1.1.88.67": "radiation dose report",
    "1.2.840.10008.5.1.4.1.1.88.76": "radiation dose report",
    "1.2.840.10008.5.1.4.1.1.9.": "waveform",
    "1.2.840.10008.5.1.4.1.1.104.": "document",
    "1.2.840.10008.5.1.4.1.1.104.1": "PDF document",
    "1.2.840.10008.5.1.4.1.1.200.": "stored display set",
    "1.2.840.10008.5.1.4.1.1.481.": "radiotherapy object",
    "1.2.840.10008.5.1.4.34.": "work list item",
    "1.2.840.10008.5.1.4.38.": "hanging protocol",
    "1.2.840.10008.5.1.4.39.": "colour palette",
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
#: Begin like objects above and are pictures.
_IMAGES = ("1.2.840.10008.5.1.4.1.1.481.1",)
_STORAGE = "1.2.840.10008.5.1.4.1.1."


def object_name(sop_class: str) -> str:
    """What an object of a class that never holds a picture for us is called; empty for every other class."""
    if sop_class in _IMAGES:
        return ""
    fitting = [
        known
        for known in _OBJECTS
        if sop_class == known or (known.endswith(".") and sop_class.startswith(known))
    ]
    return _OBJECTS[max(fitting, key=len)] if fitting else ""


def name_without_pixels(sop_class: str, *, has_matrix: bool) -> str:
    """What an object that brought no pixels is called; empty where it should have brought some, and is damaged."""
    if known := object_name(sop_class):
        return known
    if has_matrix or not sop_class:
        return ""
    if sop_class == _SECONDARY_CAPTURE or sop_class.startswith(_SECONDARY_CAPTURE + "."):
        return "secondary capture without a picture"
    return "" if sop_class.startswith(_STORAGE) else "private data"


def other_image(modality: str) -> str:
    """What an image of a modality that is not read here is called."""
    return f"image of the modality {modality}" if modality else "image of another modality"


def is_read_here(modality: str) -> bool:
    """Whether images of this modality are images for us."""
    return modalities.is_registered(modality)
