"""Files that show no picture, described by their headers: reports, presentation states, raw data, documents."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID

from imaging import dicom_header, dicom_values
from imaging.description import ObjectDescription
from imaging.errors import DamagedFile, NotAnImage, only_imaging_errors
from imaging.formats import MEDIA_TYPES, sniff
from imaging.limits import MAX_HEADER_BYTES

#: What a header may hold of one value; longer ones are left on the disk unread.
_LONGEST_VALUE = 64 * 1024
_UNDEFINED = 0xFFFFFFFF


def describe(path: Path, charset: str | None = None) -> ObjectDescription:
    """Say whose a file is and what it is, without a look at pixels. `charset` as in `imaging.reader.describe`.

    Raises
    ------
    NotAnImage
        It is neither DICOM nor PDF.
    DamagedFile
        It ends early, or does not say what it is.
    """
    with only_imaging_errors():
        with path.open("rb") as stream:
            if stream.read(5) == b"%PDF-":
                return ObjectDescription(media_type="application/pdf")
        if sniff(path) != "dicom":
            raise NotAnImage("The file is neither DICOM nor PDF.")
        is_small = path.stat().st_size < MAX_HEADER_BYTES
        if is_small:
            dataset = dcmread(path, force=True)
            _check_lengths(dataset)
        else:
            dataset = dcmread(path, force=True, stop_before_pixels=True, defer_size=_LONGEST_VALUE)
        syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or "").strip("\0 "))
        # First, while no text has been read in a wrong character set.
        header, _ = dicom_header.header_of(dataset, syntax, charset)
        if is_small:
            # Its sequences too: a report that was cut off is damaged, not kept.
            for element in dataset:
                _ = element.value
        if not (header.sop_class_uid and header.sop_instance_uid):
            raise DamagedFile("The DICOM file does not say what it is.")
        return ObjectDescription(
            media_type=MEDIA_TYPES["dicom"],
            header=header,
            has_matrix=bool(dicom_values.integer(dataset, "Rows")),
        )


def _check_lengths(dataset: Dataset) -> None:
    """Raises `DamagedFile` where a value is shorter than the header says: the file ends in its middle."""
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        value = element.value if isinstance(element, RawDataElement) else None
        if value is not None and len(value) < element.length != _UNDEFINED:
            raise DamagedFile("The file is cut off.")
