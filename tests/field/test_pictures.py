"""How stored values become grey levels, whoever wrote the file: against the standard's formulas, through the API.

The right picture is computed here, by PS3.3 C.11 word by word and slowly; `tests/imaging` compares with DCMTK.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from tests.field.files import TOMOSYNTHESIS, breast, dicom_file, item, table, view
from tests.posted_files import Hospital

pytestmark = pytest.mark.django_db

Grey = NDArray[np.float64]


def linear(x: Any, centre: float, width: float) -> Grey:
    return 255 * np.clip((np.asarray(x, float) - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def linear_exact(x: Any, centre: float, width: float) -> Grey:
    return 255 * np.clip((np.asarray(x, float) - centre) / width + 0.5, 0, 1)


def sigmoid(x: Any, centre: float, width: float) -> Grey:
    return 255 / (1 + np.exp(-4 * (np.asarray(x, float) - centre) / width))


def looked_up(x: Any, first: int, entries: Any, bits: int) -> Grey:
    index = np.clip(np.rint(np.asarray(x, float)).astype(int) - first, 0, len(entries) - 1)
    return 255 * np.asarray(entries, float)[index] / (2**bits - 1)


V = breast()
ROOT = np.rint(4095 * np.sqrt(np.arange(4096) / 4095)).astype(int)
DIM = np.rint(65535 * 0.5 * np.sqrt(np.arange(4096) / 4095)).astype(int)
LOG = np.rint(1000 + 2000 * np.log1p(np.arange(4096)) / np.log(4096)).astype(int)
NO_WINDOW: dict[str, Any] = {"WindowCenter": None, "WindowWidth": None}


def padded(value: int) -> NDArray[np.int64]:
    values = breast()
    values[:, 60:] = value
    return values


def from_percentiles(values: Any, background: Any) -> Grey:
    low, high = np.percentile(np.asarray(values)[~background], [0.1, 99.9])
    return np.where(background, 0, linear(values, (low + high + 1) / 2, high - low + 1))


CASES: dict[str, Callable[[], tuple[bytes, Any]]] = {
    "linear": lambda: (view("L", "CC"), linear(V, 2000, 2400)),
    "linear exact": lambda: (view("L", "CC", VOILUTFunction="LINEAR_EXACT"), linear_exact(V, 2000, 2400)),
    "sigmoid": lambda: (view("L", "CC", WindowWidth=1400, VOILUTFunction="SIGMOID"), sigmoid(V, 2000, 1400)),
    "two windows: the first": lambda: (
        view("L", "CC", WindowCenter=[1500, 2600], WindowWidth=[1000, 800]),
        linear(V, 1500, 1000),
    ),
    "VOI table that ends at half": lambda: (
        view("L", "CC", VOILUTSequence=[table(0, DIM, 16, "NORMAL")], **NO_WINDOW),
        looked_up(V, 0, DIM, 16),
    ),
    "VOI table of 12 bits": lambda: (
        view("L", "CC", VOILUTSequence=[table(0, ROOT, 12)], **NO_WINDOW),
        looked_up(V, 0, ROOT, 12),
    ),
    "VOI table that begins later": lambda: (
        view("L", "CC", VOILUTSequence=[table(700, ROOT[:3000], 12)], **NO_WINDOW),
        looked_up(V, 700, ROOT[:3000], 12),
    ),
    "VOI table after a rescale": lambda: (
        view(
            "L", "CC", RescaleSlope=2, RescaleIntercept=-100, VOILUTSequence=[table(-100, ROOT, 12)], **NO_WINDOW
        ),
        looked_up(2 * V - 100, -100, ROOT, 12),
    ),
    "modality table and a window": lambda: (
        view(
            "L", "CC", WindowCenter=2600, WindowWidth=700, ModalityLUTSequence=[table(0, LOG, 16)], RescaleType="US"
        ),
        linear(LOG[V], 2600, 700),
    ),
    "rescale": lambda: (
        view("L", "CC", RescaleSlope=0.5, RescaleIntercept=300, WindowCenter=1300, WindowWidth=1200),
        linear(V * 0.5 + 300, 1300, 1200),
    ),
    "falling rescale": lambda: (
        view("L", "CC", RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=2095, WindowWidth=2400),
        linear(4095 - V, 2095, 2400),
    ),
    "MONOCHROME1": lambda: (
        view("L", "CC", PhotometricInterpretation="MONOCHROME1"),
        255 - linear(V, 2000, 2400),
    ),
    "signed": lambda: (
        view("L", "CC", values=V - 2048, signed=True, stored=12, WindowCenter=-48, WindowWidth=2400),
        linear(V - 2048, -48, 2400),
    ),
    "inverse presentation table": lambda: (
        view("L", "CC", PresentationLUTShape="INVERSE"),
        255 - linear(V, 2000, 2400),
    ),
    "padding without a window": lambda: (
        view("L", "CC", values=padded(4095), PixelPaddingValue=4095, **NO_WINDOW),
        from_percentiles(padded(4095), padded(4095) == 4095),
    ),
    "padding with a window": lambda: (
        view("L", "CC", values=padded(4095), PixelPaddingValue=4095),
        np.where(padded(4095) == 4095, 0, linear(V, 2000, 2400)),
    ),
    "a range of padding": lambda: (
        view("L", "CC", values=padded(4000), PixelPaddingValue=3990, PixelPaddingRangeLimit=4095, **NO_WINDOW),
        from_percentiles(padded(4000), padded(4000) >= 3990),
    ),
    "padding in MONOCHROME1": lambda: (
        view(
            "L", "CC", values=padded(0), PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1",
            ),
        np.where(padded(0) == 0, 0, 255 - linear(padded(0), 2000, 2400)),
    ),
    "big endian, 16 of 16 bits": lambda: (
        view(
            "L", "CC", values=breast(top=65535), syntax=ExplicitVRBigEndian, stored=16,
            WindowCenter=32768, WindowWidth=40000,
        ),
        linear(breast(top=65535), 32768, 40000),
    ),
    "big endian, signed 16": lambda: (
        view(
            "L", "CC", values=breast(top=65535) - 32768, syntax=ExplicitVRBigEndian, stored=16, signed=True,
            WindowCenter=0, WindowWidth=40000,
        ),
        linear(breast(top=65535) - 32768, 0, 40000),
    ),
    "implicit, 10 of 16 bits": lambda: (
        view(
            "L", "CC", values=breast(top=1023), syntax=ImplicitVRLittleEndian, stored=10,
            WindowCenter=500, WindowWidth=600,
        ),
        linear(breast(top=1023), 500, 600),
    ),
    "left-justified: the high bit is the word's": lambda: (
        view("L", "CC", stored=12, high=15),
        linear(V, 2000, 2400),
    ),
}  # fmt: skip


def shown(hospital: Hospital, data: bytes, frame: int = 0) -> tuple[Grey, Grey]:
    """What the API renders of a frame, and what its table makes of the stored values."""
    answer = hospital.post(None, {"a.dcm": data})
    assert answer.status_code in {200, 201}, answer.content
    (image,) = hospital.client.get(answer.json()["url"]).json()["images"]
    urls, query = image["urls"], {"frame": frame}

    def bytes_of(address: str) -> bytes:
        found = hospital.client.get(address, query)
        assert found.status_code == 200, found.content
        return b"".join(found.streaming_content) if found.streaming else found.content

    rendered = np.asarray(Image.open(io.BytesIO(bytes_of(urls["rendered"]))), float)
    facts = hospital.client.get(urls["metadata"], query).json()
    kind = f"<{'i' if facts['signed'] else 'u'}{facts['bits_allocated'] // 8}"
    stored = np.frombuffer(bytes_of(urls["pixels"]), kind).reshape(facts["rows"], facts["columns"])
    greys = np.frombuffer(base64.b64decode(facts["display"]["table"]), np.uint8)
    index = np.clip(stored.astype(int) - facts["display"]["first"], 0, len(greys) - 1)
    return rendered, greys[index].astype(float)


@pytest.mark.parametrize("name", CASES)
def test_a_picture_is_what_the_standard_says(name: str) -> None:
    data, right = CASES[name]()
    rendered, drawn = shown(Hospital(), data)
    assert np.abs(rendered - right).mean() <= 1, f"off by {np.abs(rendered - right).mean():.1f} grey levels"
    np.testing.assert_array_equal(rendered, drawn)


def slices() -> NDArray[np.int64]:
    return np.stack([breast("L", 1023, seed) * (3 if seed == 4 else 2) // 3 for seed in range(1, 6)])


@pytest.mark.parametrize("shared", [True, False])
def test_a_tomosynthesis_is_shown_as_its_functional_groups_say(shared: bool) -> None:
    values = slices()
    groups = item(
        PixelValueTransformationSequence=[item(RescaleSlope=2, RescaleIntercept=2000, RescaleType="US")],
        FrameVOILUTSequence=[item(WindowCenter=3000, WindowWidth=1400)],
    )
    if shared:
        tags = {
            "SharedFunctionalGroupsSequence": [groups],
            "PerFrameFunctionalGroupsSequence": [item() for _ in values],
        }
    else:
        tags = {"PerFrameFunctionalGroupsSequence": [groups for _ in values]}
    data = dicom_file(values, SOPClassUID=TOMOSYNTHESIS, stored=10, **tags)
    hospital = Hospital()
    for frame in (0, 3):
        rendered, drawn = shown(hospital, data, frame)
        assert np.abs(rendered - linear(values[frame] * 2 + 2000, 3000, 1400)).mean() <= 1
        np.testing.assert_array_equal(rendered, drawn)


def test_each_frame_has_its_own_window() -> None:
    values = slices()
    windows = [(300 + 60 * number, 500 + 50 * number) for number in range(len(values))]
    groups = [
        item(FrameVOILUTSequence=[item(WindowCenter=centre, WindowWidth=width)]) for centre, width in windows
    ]
    data = dicom_file(values, SOPClassUID=TOMOSYNTHESIS, stored=10, PerFrameFunctionalGroupsSequence=groups)
    hospital = Hospital()
    for frame, (centre, width) in enumerate(windows):
        rendered, _ = shown(hospital, data, frame)
        assert np.abs(rendered - linear(values[frame], centre, width)).mean() <= 1
