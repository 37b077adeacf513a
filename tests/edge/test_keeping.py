"""What a box keeps, and what it is after it was killed anywhere."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge.inbox import ASIDE, Inbox
from edge.keeping import Box
from edge.settings import Settings, SettingsError, read
from edge.taking import Intake, Later, NotTaken
from tests.posted_files import dicom, uid


def image(patient: str) -> bytes:
    return dicom(Modality="US", PatientID=patient, StudyInstanceUID=uid())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=tmp_path / "box", inbox=tmp_path / "inbox", reserve_bytes=1)


@pytest.fixture
def box(settings: Settings) -> Box:
    return Box(settings.state)


def test_the_same_bytes_are_kept_once(box: Box, settings: Settings) -> None:
    intake, data = Intake(box, settings), image("P-1")
    first, second = intake.take([data[:100], data[100:]]), intake.take([data])
    assert (first.is_new, second.is_new) == (True, False)
    assert box.path(first.file.sha256).read_bytes() == data
    assert [(f.patient_id, f.modality, f.is_image, f.outcome) for f in box.waiting()] == [
        ("P-1", "US", True, "waiting")
    ]
    assert not list((settings.state / "arriving").iterdir())


def test_killed_between_file_and_row_it_is_kept_at_the_next_start(
    box: Box, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCut(BaseException):
        pass

    def cut(*_: object) -> None:
        raise PowerCut

    data = image("P-1")
    with monkeypatch.context() as cutting:
        cutting.setattr(Box, "_connected", _after(Box._connected, 2, cut))
        with pytest.raises(PowerCut):
            Intake(box, settings).take([data])
    assert box.waiting() == [] and len(list(settings.state.glob("files/*/*.dcm"))) == 1
    (settings.state / "arriving" / "half").write_bytes(data[:50])

    again = Box(settings.state)
    assert Intake(again, settings).recover() == 1
    assert len(again.waiting()) == 1 and not list((settings.state / "arriving").iterdir())


def _after(real: object, calls: int, then: object) -> object:
    """The method, and after so many calls something else."""
    made = 0

    def call(self: Box) -> object:
        nonlocal made
        made += 1
        return real(self) if made <= calls else then(self)  # type: ignore[operator]

    return call


def test_what_the_hospital_has_goes_and_is_known_when_it_comes_again(box: Box, settings: Settings) -> None:
    intake = Intake(box, settings)
    sent = image("P-1")
    kept, waiting = (intake.take([data]).file for data in (sent, image("P-2")))
    box.settle([(kept.sha256, "stored", "")])
    assert box.remove_delivered(time.time() + 1) == 1
    assert not box.path(kept.sha256).exists() and box.path(waiting.sha256).exists()
    assert not intake.take([sent]).is_new
    assert [file.sha256 for file in box.waiting()] == [waiting.sha256]


def test_what_the_hospital_declined_stays_until_a_person_offers_it_again(
    box: Box, settings: Settings
) -> None:
    file = Intake(box, settings).take([image("P-1")]).file
    box.settle([(file.sha256, "quarantined", "stored with other bytes")])
    assert box.waiting() == [] and box.remove_delivered(time.time() + 1) == 0
    assert box.offer_again() == 1
    assert [each.reason for each in box.waiting()] == [""]


class TestRefusals:
    def test_a_full_disk_is_said_and_leaves_nothing(self, box: Box, settings: Settings) -> None:
        intake = Intake(box, replace(settings, reserve_bytes=1 << 62))
        with pytest.raises(Later, match="disk of this box is full"):
            intake.take([image("P-1")])
        assert not list((settings.state / "arriving").iterdir()) and box.waiting() == []

    @pytest.mark.parametrize("data", [b"", b"no picture at all\n" * 99])
    def test_what_is_no_dicom_is_not_taken(self, box: Box, settings: Settings, data: bytes) -> None:
        with pytest.raises(NotTaken):
            Intake(box, settings).take([data])

    def test_more_than_the_largest_is_not_read_to_its_end(self, box: Box, settings: Settings) -> None:
        def endless() -> object:
            while True:
                yield b"x" * 1000

        with pytest.raises(NotTaken, match="more than 0 MB"):
            Intake(box, replace(settings, largest_bytes=5000)).take(endless())  # type: ignore[arg-type]


class TestInbox:
    def test_a_file_is_taken_when_it_is_complete_and_goes(self, box: Box, settings: Settings) -> None:
        inbox, data = Inbox(settings.inbox, Intake(box, settings)), image("P-1")
        growing = settings.inbox / "exam" / "1.dcm"
        growing.parent.mkdir()
        growing.write_bytes(data[:200])
        assert inbox.look() == 0
        growing.write_bytes(data)
        os.utime(growing, ns=(1, 1))
        assert inbox.look() == 0  # it has changed
        assert inbox.look() == 1 and not growing.exists()
        assert len(box.waiting()) == 1

    def test_what_is_no_image_is_put_aside_with_a_sentence(self, box: Box, settings: Settings) -> None:
        inbox = Inbox(settings.inbox, Intake(box, settings))
        for _ in range(2):
            (settings.inbox / "notes.txt").write_text("not a picture")
            inbox.look()
            inbox.look()
        aside = sorted(path.name for path in (settings.inbox / ASIDE).iterdir())
        assert aside == ["1-notes.txt", "1-notes.txt.txt", "notes.txt", "notes.txt.txt"]
        assert (settings.inbox / ASIDE / "notes.txt.txt").read_text().strip()

    def test_on_a_full_disk_it_stays_where_it_is(self, box: Box, settings: Settings) -> None:
        inbox = Inbox(settings.inbox, Intake(box, replace(settings, reserve_bytes=1 << 62)))
        (settings.inbox / "1.dcm").write_bytes(image("P-1"))
        assert inbox.look() == inbox.look() == 0
        assert (settings.inbox / "1.dcm").exists()


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"CAD_EDGE_PLATFORM": "http://cad.hospital.example", "CAD_EDGE_TOKEN_FILE": "t"}, "use https"),
        ({"CAD_EDGE_PLATFORM": "https://cad.hospital.example"}, "asks for a token"),
        ({"CAD_EDGE_PLATFORM": "hospital", "CAD_EDGE_TOKEN_FILE": "t"}, "an address such as"),
        ({"CAD_EDGE_ADDRESS": "0.0.0.0"}, "CAD_EDGE_CERTIFICATE"),
        ({"CAD_EDGE_RESERVE_MB": "much"}, "CAD_EDGE_RESERVE_MB"),
    ],
)
def test_settings_that_would_harm_are_refused(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        read(environment)
