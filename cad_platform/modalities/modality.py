"""What a modality says of itself: everything by which one kind of study differs from another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from django.utils.functional import Promise

#: A sentence or word, translated where it is shown (`gettext_lazy`).
Words = str | Promise
#: How `imaging` reads a file: a DICOM object of pixels, a plain picture, or a whole slide (DICOM or not).
FileKind = Literal["dicom", "image", "slide"]

#: DICOM's code string (PS3.5 6.2, CS), without its leading and trailing spaces.
_CODE = re.compile(r"[A-Z0-9_]([A-Z0-9_ ]{0,14}[A-Z0-9_])?")


@dataclass(frozen=True)
class BandWords:
    """What a calibrated probability is called by the operating points that it reaches.

    `below` never reassures of what the network was not looking for: it says what it did look for.
    """

    unknown: Words
    below: Words
    low: Words
    middle: Words
    high: Words


@dataclass(frozen=True)
class ReportProfile:
    """What the report of a study must and may say.

    Attributes
    ----------
    kind
        The form that is filled in, by the name under which `reporting` registers its class (`reporting/kinds/`).
    title
        Of the printed document.
    has_density
        Whether it says the breast's density, and must.
    has_assessment
        Whether it gives a BI-RADS assessment, which an addendum may change.
    """

    kind: str
    title: Words
    has_density: bool = False
    has_assessment: bool = True


@dataclass(frozen=True)
class ImageRules:
    """How the images of a study are sorted (`studies.sorting`).

    Attributes
    ----------
    views
        In the order in which they hang; images of others come after them, in the order of acquisition.
    unread_modifiers
        View modifiers (DICOM PS3.16 CID 4015, ACR abbreviations) of exposures that the models were not taught.
    has_chest_wall
        Whether a picture shows one breast, cut at the chest wall: its orientation and its side tell of each other.
    """

    views: tuple[str, ...] = ()
    unread_modifiers: frozenset[str] = frozenset()
    has_chest_wall: bool = False


@dataclass(frozen=True, kw_only=True)
class Modality:
    """One kind of study.

    Attributes
    ----------
    code
        DICOM Modality (0008,0060): at most 16 characters A–Z, 0–9, `_` and inner spaces.
    name
        As people call it.
    position
        Where it stands in lists: lower first.
    sop_classes
        What an object of these SOP classes shows is not a matter of opinion (DICOM PS3.6 table A-1). Others, such as
        Secondary Capture, are what the header or the sender says.
    file_kinds
        The kinds of file that a study may hold. A kind that only one modality takes tells the modality of its file.
    signers, drafters
        Roles (`accounts.models.Role`) that may sign a report; that may draft one and decide on findings.
    labels
        What a reader may call a finding, with its words, in the order of the list.
    reject_reasons
        Why a reader rejects a finding of a model.
    bands
        How scores are worded.
    report
        The report of a study.
    images
        How the images of a study are sorted into those that hang, are read by the models, and are kept aside.
    hanging
        The hanging protocol that the viewer carries out (`frontend/src/viewer/hanging.ts`).
    photographs
        Whether its pictures are photographs: read in their own colours, without a window.
    champion
        The model of the store that the platform brings for it; empty where it brings none, and a study then waits for
        no result.
    phantoms
        The families of synthetic cases that the demo posts (`demo/synthetic.py`).

    Raises
    ------
    ValueError
        The code is not one of DICOM's form, or nobody could sign what is drafted.
    """

    code: str
    name: Words
    position: int = 100
    sop_classes: frozenset[str] = frozenset()
    file_kinds: frozenset[FileKind] = frozenset({"dicom", "image"})
    signers: frozenset[str]
    drafters: frozenset[str]
    labels: Mapping[str, Words]
    reject_reasons: tuple[Words, ...]
    bands: BandWords
    report: ReportProfile
    images: ImageRules = ImageRules()
    hanging: str = "single"
    photographs: bool = False
    champion: str = ""
    phantoms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if _CODE.fullmatch(self.code) is None:
            raise ValueError(f"{self.code!r} is no DICOM code: at most 16 of A-Z, 0-9, _ and inner spaces")
        if not self.signers or not self.signers <= self.drafters:
            raise ValueError(f"{self.code}: somebody must sign, and whoever signs also drafts")
