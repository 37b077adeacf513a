"""What the viewer shows at opening is what the API renders, grey for grey, and the reader's window comes and goes.

Images are of flat patches, so that a patch has one grey on the screen at any magnification.
"""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

from tests.e2e.reading_room import HospitalSystem, ReadingRoom
from tests.imaging.grayscale_cases import curve, file_of, lut
from tests.live_platform import LivePlatform

pytestmark = pytest.mark.timeout(600)

PATCH, ACROSS, DOWN = 40, 6, 5


def patches(top: int, frames: int = 1) -> NDArray[np.int64]:
    """F×200×240, flat patches of 40 × 40, from 0 to `top` and every frame a little darker."""
    steps = np.linspace(0, top, ACROSS * DOWN).reshape(DOWN, ACROSS)
    stack = np.stack([steps * (1 - 0.08 * frame) for frame in range(frames)])
    return np.rint(np.kron(stack, np.ones((1, PATCH, PATCH)))).astype(np.int64)


def tomosynthesis() -> bytes:
    """A shared rescale, and a window of its own for every frame."""

    def macro(**elements: str) -> Sequence:
        item = Dataset()
        for keyword, value in elements.items():
            setattr(item, keyword, value)
        return Sequence([item])

    shared = Dataset()
    shared.PixelValueTransformationSequence = macro(
        RescaleSlope="2", RescaleIntercept="2000", RescaleType="US"
    )
    own = []
    for frame in range(6):
        group = Dataset()
        group.FrameVOILUTSequence = macro(WindowCenter=str(2600 + 150 * frame), WindowWidth="1400")
        own.append(group)
    return file_of(
        patches(1023, 6), stored=10, SOPClassUID=UltrasoundMultiFrameImageStorage,
        SharedFunctionalGroupsSequence=Sequence([shared]), PerFrameFunctionalGroupsSequence=Sequence(own),
    )  # fmt: skip


def padded() -> bytes:
    values = patches(3000)
    values[:, :, -PATCH:] = 4095
    return ultrasound(values, photometric="MONOCHROME1", PixelPaddingValue=4095)


def ultrasound(values: NDArray[np.int64], **elements: Any) -> bytes:
    return file_of(values, SOPClassUID=UltrasoundImageStorage, **elements)


@dataclass(frozen=True)
class Shown:
    data: bytes
    frame: int
    text: str
    """What the toolbar says of it."""


def exams() -> dict[str, Shown]:
    window: dict[str, Any] = {"WindowCenter": "2000", "WindowWidth": "1400"}
    dim = Sequence([lut(0, curve(4096, 16, 0.5), 16, name="DIM")])
    table = lut(0, curve(4096, 16), 16)
    table.ModalityLUTType = "US"
    return {
        "linear": Shown(ultrasound(patches(4095), **window), 0, "W 1400"),
        "sigmoid": Shown(ultrasound(patches(4095), VOILUTFunction="SIGMOID", **window), 0, "SIGMOID"),
        "voi table": Shown(ultrasound(patches(4095), VOILUTSequence=dim), 0, "LUT DIM"),
        "modality table": Shown(
            ultrasound(
                patches(4095), ModalityLUTSequence=Sequence([table]),
                WindowCenter="40000", WindowWidth="30000",
            ),
            0, "W 30000",
        ),
        "padding, low is bright": Shown(padded(), 0, "W "),
        "big endian": Shown(
            ultrasound(
                patches(65535), stored=16, syntax="big-endian", WindowCenter="32768", WindowWidth="40000"
            ),
            0, "W 40000",
        ),
        "first frame": Shown(tomosynthesis(), 0, "L 2600"),
        "fifth frame": Shown(tomosynthesis(), 4, "L 3200"),
    }  # fmt: skip


def screen(page: Page) -> NDArray[np.int64]:
    """The grey in the middle of each patch on the screen."""
    view = page.locator(".pane__view").first
    with Image.open(io.BytesIO(view.screenshot(animations="disabled"))) as shot:
        pixels = np.asarray(shot.convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    scale = min(width / (ACROSS * PATCH), height / (DOWN * PATCH))
    x = width / 2 + (np.arange(ACROSS) + 0.5 - ACROSS / 2) * PATCH * scale
    y = height / 2 + (np.arange(DOWN) + 0.5 - DOWN / 2) * PATCH * scale
    middles = pixels[np.ix_(y.astype(int), x.astype(int))]
    assert np.ptp(middles, axis=2).max() == 0, "grey is grey"
    return np.asarray(middles[..., 0])


def rendered(hospital: HospitalSystem, urls: dict[str, str], frame: int) -> NDArray[np.int64]:
    response = hospital.client.get(urls["rendered"], params={"frame": frame})
    response.raise_for_status()
    with Image.open(io.BytesIO(response.content)) as picture:
        return np.asarray(picture).astype(int)[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH]


def table_of_metadata(hospital: HospitalSystem, urls: dict[str, str], frame: int) -> NDArray[np.int64]:
    """The picture that the metadata and the pixels of a frame give."""
    facts = hospital.client.get(urls["metadata"], params={"frame": frame}).json()
    dtype = "|u1" if facts["bits_allocated"] == 8 else "<i2" if facts["signed"] else "<u2"
    stored = np.frombuffer(hospital.client.get(urls["pixels"], params={"frame": frame}).content, dtype)
    table = np.frombuffer(base64.b64decode(facts["display"]["table"]), np.uint8)
    index = np.clip(stored.astype(int) - facts["display"]["first"], 0, len(table) - 1)
    picture = table[index].reshape(facts["rows"], facts["columns"]).astype(int)
    return np.asarray(picture[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH])


HIDE_WHAT_LIES_OVER_IT = """
document.querySelectorAll('.pane > :not(.pane__view), .cine')
  .forEach((element) => { element.style.visibility = 'hidden'; })
"""
WITHOUT_WEBGL = """
for (const canvas of [HTMLCanvasElement, OffscreenCanvas]) {
  const { getContext } = canvas.prototype;
  canvas.prototype.getContext = function (kind, ...more) {
    return /webgl/.test(kind) ? null : getContext.call(this, kind, ...more);
  };
}
"""


#: The others are looked at by `bin/test --long`.
ALWAYS = ("sigmoid",)


@pytest.mark.parametrize("drawing", ["webgl", pytest.param("cpu", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ALWAYS else pytest.mark.long) for name in exams()]
)
def test_the_canvas_is_what_the_api_renders(
    name: str, drawing: str, live_platform: LivePlatform, page: Page, tmp_path: Path
) -> None:
    shown = exams()[name]
    path = tmp_path / "grey.dcm"
    path.write_bytes(shown.data)
    if drawing == "cpu":
        page.add_init_script(WITHOUT_WEBGL)
    hospital = HospitalSystem(live_platform)
    patient = f"GREY-{uuid4().hex[:8]}"
    study = {
        "modality": "US", "accession_number": patient, "patient": {"id": patient, "name": "Grey^Scale"}
    }  # fmt: skip
    uid = hospital.post(study, [path])
    urls = hospital.answer(uid)["images"][0]["urls"]
    right = rendered(hospital, urls, shown.frame)
    assert (table_of_metadata(hospital, urls, shown.frame) == right).all()
    ReadingRoom(page, live_platform.user("radiologist")).sign_in()
    page.goto(f"/studies/{uid}/")
    expect(page.locator('.pane[data-ready="true"]')).to_have_count(1, timeout=90_000)
    note = page.locator(".pane__status--note")
    expect(note).to_have_text(re.compile("without WebGL" if drawing == "cpu" else "^$"))
    # What lies over the picture is not the picture.
    page.evaluate(HIDE_WHAT_LIES_OVER_IT)
    if shown.frame:
        page.locator(".cine input").evaluate(
            "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')) }",
            str(shown.frame + 1),
        )
    state = page.locator("#view-state")
    expect(state).to_contain_text(shown.text)
    assert np.abs(screen(page) - right).max() <= 1
    assert np.ptp(right) > 100
    page.mouse.move(700, 500)
    page.mouse.down()
    page.mouse.move(760, 420, steps=4)
    page.mouse.up()
    expect(state).not_to_contain_text("SIGMOID")
    expect(state).to_have_text(re.compile(r"^W \d+"))
    assert np.abs(screen(page) - right).max() > 3
    page.locator('[data-command="reset"]').click()
    expect(state).to_contain_text(shown.text)
    assert np.abs(screen(page) - right).max() <= 1
