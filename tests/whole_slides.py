"""DICOM whole slides as scanners write them, for tests: levels, labels, planes, paths, concatenations."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TILE = 128

Rgb = NDArray[np.uint8]


def section(rows: int = 384, columns: int = 512, seed: int = 1) -> Rgb:
    """Something like a stained section: pink with violet grains on white glass. H×W×3."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns]
    out = np.full((rows, columns, 3), 243, np.uint8)
    tissue = ((y - rows / 2) / (rows * 0.42)) ** 2 + ((x - columns / 2) / (columns * 0.44)) ** 2 < 1
    grain = np.kron(rng.random((rows // 8 + 1, columns // 8 + 1)), np.ones((8, 8)))[:rows, :columns]
    out[tissue] = (214, 150, 190)
    out[tissue & (grain > 0.85)] = (95, 60, 140)
    return out


def smaller(pixels: Rgb, factor: int) -> Rgb:
    size = (pixels.shape[1] // factor, pixels.shape[0] // factor)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def uid() -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid())


@dataclass
class WholeSlide:
    """One glass slide: its files share a study, a series and a container."""

    patient_id: str = "SLIDE-1"
    study: str = field(default_factory=uid)
    series: str = field(default_factory=uid)
    container: str = "S26-1-A1"

    def file(
        self,
        sheets: Any,
        um_per_px: float | None = 1.0,
        kind: str = "VOLUME",
        *,
        planes_um: tuple[float, ...] = (0.0,),
        paths: tuple[str, ...] = (),
        sparse: bool = False,
        leave_out: frozenset[int] = frozenset(),
        **tags: Any,
    ) -> bytes:
        """One instance. `sheets` is H×W×3, or a list of them: paths slowest, planes within. Uncompressed RGB."""
        sheets = [sheets] if isinstance(sheets, np.ndarray) else list(sheets)
        header, frames = self._header(sheets[0].shape, um_per_px, kind, tags), []
        planes, names = list(planes_um), list(paths or ("",))
        groups = []
        for path in range(len(names)):
            for plane in range(len(planes)):
                for number, (row, column, tile) in enumerate(tiles_of(sheets[path * len(planes) + plane])):
                    if number in leave_out:
                        continue
                    frames.append(tile.tobytes())
                    groups.append(_group(row, column, planes[plane], names[path] if paths else None))
        if sparse:
            header.PerFrameFunctionalGroupsSequence = groups
            header.DimensionOrganizationType = "TILED_SPARSE"
        elif planes != [0.0]:
            header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = (
                (planes[1] - planes[0]) / 1000 if len(planes) > 1 else None
            )
            header.SharedFunctionalGroupsSequence[0].PlanePositionSlideSequence = [_place(0, 0, planes[0])]
            header.TotalPixelMatrixFocalPlanes = len(planes)
        if paths:
            header.OpticalPathSequence = [_path(name) for name in paths]
            header.NumberOfOpticalPaths = len(paths)
        for keyword, value in tags.items():
            setattr(header, keyword, value)
        return _written(header, frames)

    def concatenation(
        self, pixels: Rgb, parts: int, um_per_px: float = 1.0, *, say_offset: bool = True
    ) -> list[bytes]:
        """One level cut into files of nearly the same number of frames."""
        every = [tile.tobytes() for _, _, tile in tiles_of(pixels)]
        edges = [round(len(every) * number / parts) for number in range(parts + 1)]
        concatenation, made = uid(), []
        for number in range(parts):
            header = self._header(pixels.shape, um_per_px, "VOLUME", {})
            header.ConcatenationUID, header.InConcatenationNumber = concatenation, number + 1
            header.InConcatenationTotalNumber = parts
            if say_offset:
                header.ConcatenationFrameOffsetNumber = edges[number]
            made.append(_written(header, every[edges[number] : edges[number + 1]]))
        return made

    def _header(
        self, shape: tuple[int, ...], um_per_px: float | None, kind: str, tags: dict[str, Any]
    ) -> Any:
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian

        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.6", uid()
        header.StudyInstanceUID, header.SeriesInstanceUID = self.study, self.series
        header.PatientID, header.PatientName, header.Modality = self.patient_id, "Slide^Test", "SM"
        header.ImageType = ["ORIGINAL", "PRIMARY", kind, "NONE"]
        header.ContainerIdentifier = self.container
        header.Rows, header.Columns, header.SamplesPerPixel = TILE, TILE, 3
        header.PhotometricInterpretation, header.PlanarConfiguration = "RGB", 0
        header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
        header.TotalPixelMatrixRows, header.TotalPixelMatrixColumns = shape[:2]
        header.DimensionOrganizationType = "TILED_FULL"
        measures, group = Dataset(), Dataset()
        if um_per_px is not None:
            measures.PixelSpacing = [um_per_px / 1000] * 2
        group.PixelMeasuresSequence = [measures]
        header.SharedFunctionalGroupsSequence = [group]
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        return header


def tiles_of(pixels: Rgb) -> list[tuple[int, int, Rgb]]:
    """(row, column, tile) of every tile, row by row; the edge is filled with white."""
    rows, columns = (-(-side // TILE) for side in pixels.shape[:2])
    padded = np.full((rows * TILE, columns * TILE, *pixels.shape[2:]), 255, pixels.dtype)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    return [
        (
            row,
            column,
            np.ascontiguousarray(padded[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]),
        )
        for row in range(rows)
        for column in range(columns)
    ]


def _place(row: int, column: int, height: float) -> Any:
    from pydicom.dataset import Dataset

    place = Dataset()
    place.ColumnPositionInTotalImagePixelMatrix = column * TILE + 1
    place.RowPositionInTotalImagePixelMatrix = row * TILE + 1
    place.ZOffsetInSlideCoordinateSystem = height
    return place


def _group(row: int, column: int, height: float, path: str | None) -> Any:
    from pydicom.dataset import Dataset

    group = Dataset()
    group.PlanePositionSlideSequence = [_place(row, column, height)]
    if path is not None:
        identified = Dataset()
        identified.OpticalPathIdentifier = path
        group.OpticalPathIdentificationSequence = [identified]
    return group


def _path(name: str) -> Any:
    from pydicom.dataset import Dataset

    path = Dataset()
    path.OpticalPathIdentifier = name
    path.ObjectiveLensPower = "20"
    return path


def _written(header: Any, frames: list[bytes]) -> bytes:
    import pydicom

    header.NumberOfFrames = len(frames)
    header.PixelData = b"".join(frames)
    header["PixelData"].VR = "OB" if header.BitsAllocated == 8 else "OW"
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    out = io.BytesIO()
    pydicom.dcmwrite(out, header, enforce_file_format=True)
    return out.getvalue()
