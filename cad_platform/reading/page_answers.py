"""The JSON that the case page holds for its viewers and its panel: what there is to show, and their words."""

from __future__ import annotations

from typing import Literal

from django.utils.translation import gettext as _

from cad_platform.core.answers import Answer, Box
from cad_platform.reading.view_answers import KeptViews
from cad_platform.studies.addresses import ImageUrls

Role = Literal["hung", "scored", "kept_aside"]


class CaseRegion(Answer):
    """A part of an image with its own calibration (`imaging.description.Region`)."""

    box: Box
    spacing_um: tuple[float, float] | None
    """(x, y); none where lengths mean nothing."""


class CaseHeatmap(Answer):
    """The newest result's heat map of an image, and the frame that it is of: it is shown on no other."""

    url: str
    frame: int


class CaseImage(Answer):
    """One image for the viewer. Addresses name it by a random id, never a patient."""

    id: str
    name: str
    kind: Literal["dicom", "image", "slide"]
    is_photograph: bool
    """Whether its colours are read as they are: no window, no inversion, no left and right."""
    laterality: str
    view: str
    rows: int
    columns: int
    frames: int
    view_modifiers: list[str]
    roles: list[Role]
    kept_aside_reason: str
    """Why it does not hang, or is not read by the models: a sentence; empty else."""
    turn: Literal[0, 90, 180, 270]
    """Degrees clockwise by which the stored picture is turned, before `mirror`, to hang as views hang."""
    mirror: bool
    """Whether it is mirrored left to right after the turn; said on the image in every layout."""
    turned_by: Literal["", "header", "picture"]
    """Who says so: the header's orientation, or where it has none the chest wall in the picture, which is said too."""
    side_stop: str
    """Why the side is not sure, a sentence; empty where nothing contradicts."""
    pixel_spacing_um: float | None
    spacing_um: tuple[float, float] | None
    """(x, y) of the whole picture; none where the regions speak, or nobody knows."""
    scale_reason: str
    """A few words on why there is no scale; empty where there is one, or the file just says nothing."""
    scale_sentences: list[str]
    """What of the scale was refused or left open, and why."""
    pixel_aspect: float | None
    """The height of a pixel over its width, where only that is known."""
    regions: list[CaseRegion]
    """With a spacing of their own; of those that overlap the first counts."""
    frame_time_ms: float | None
    """How long a frame of a clip is shown; none where the file does not say."""
    urls: ImageUrls
    heatmap: CaseHeatmap | None


class CaseFinding(Answer):
    """A finding as the newest decision leaves it."""

    id: str
    number: int
    image: str
    frame: int | None
    """Of a clip, from 0: the mark belongs to this frame only."""
    shown: bool
    """Unasked: at or above the operating point that the site chose for marks, or decided on, or a reader's."""
    percent: int | None
    verdict: Literal["undecided", "accepted", "edited", "rejected"]
    by_reader: bool
    box: Box
    polygon: list[tuple[float, float]] | None


class CaseWords(Answer):
    """The words of viewers and panel, so that all translations live in one catalogue."""

    loading: str
    retry: str
    failed: str
    no_connection: str
    no_spacing: str
    not_calibrated: str
    no_scale: str
    scale_in_middle: str
    scale_at_pointer: str
    focal_plane: str
    optical_path: str
    window: str
    mirrored: str
    mirrored_by_picture: str
    turned: str
    """With `{degrees}`."""
    kept_aside: str
    settle_side: str
    more_images: str
    faint_marks: str
    """With `{count}`."""
    no_view: str
    """With `{view}`."""
    previous_image: str
    next_image: str
    frame: str
    speed_assumed: str
    slower_than: str
    """With `{speed}`."""
    cpu: str
    slide_error: str
    play: str
    pause: str
    edit_title: str
    edit_hint: str
    add_title: str
    add_hint: str
    label_unchanged: str
    label_choose: str
    nothing_changed: str
    sending: str
    """Of what was decided, the next with `{number}`."""
    accepted: str
    edited: str
    rejected: str
    undecided: str
    added: str
    """With `{label}`."""
    as_left: str
    """With `{what}`."""
    left_zoomed: str
    left_window: str
    left_inverted: str
    left_flipped: str
    left_sheet: str
    left_marks: str
    reset: str
    kept_view: str
    """With `{image}`, as the next two."""
    kept_drawing: str
    kept_report: str
    kept_stage: str
    note: str
    done: str
    not_kept: str


class CaseAddresses(Answer):
    """Where the viewers send what they keep; `{id}` is filled in by them."""

    stage_view: str
    image_view: str
    annotation: str
    annotation_report: str


class CaseDescription(Answer):
    """What the page shows as long as it is open; findings and heat maps change and stand beside it."""

    study: str
    hanging: str
    """The modality's hanging protocol (`viewer/hanging.ts`)."""
    images: list[CaseImage]
    kept: KeptViews | None
    """How the reader left it; none for who keeps no views."""
    may_annotate: bool
    """Whether lengths and arrows of this reader are kept."""
    addresses: CaseAddresses
    words: CaseWords


class CaseChanged(Answer):
    """A decision or a finding is stored."""

    live: str
    """What the page shows of the case now, as HTML."""


class FormSent(Answer):
    """A form of the page was taken."""

    location: str
    """The page that shows what came of it."""


def case_words() -> CaseWords:
    """In the reader's language."""
    return CaseWords(
        loading=_("Loading image"),
        retry=_("Try again"),
        failed=_("The image could not be shown."),
        no_connection=_("The server did not answer."),
        no_spacing=_("px (no pixel spacing known)"),
        not_calibrated=_("px (not calibrated here)"),
        no_scale=_("no scale"),
        scale_in_middle=_("in the middle"),
        scale_at_pointer=_("at the pointer"),
        focal_plane=_("Focal plane"),
        optical_path=_("Optical path"),
        window=_("Window"),
        mirrored=_("mirrored"),
        mirrored_by_picture=_("mirrored by what the picture shows"),
        turned=_("turned {degrees}°"),
        kept_aside=_("Kept aside"),
        settle_side=_("Confirm the side…"),
        more_images=_("More images than are shown"),
        faint_marks=_("{count} fainter"),
        no_view=_("no {view}"),
        previous_image=_("previous image of this view"),
        next_image=_("next image of this view"),
        frame=_("Frame"),
        speed_assumed=_("(assumed)"),
        slower_than=_("(should be {speed})"),
        cpu=_("This browser draws without WebGL: slower, the same pixels."),
        slide_error=_("The slide could not be opened."),
        play=_("Play"),
        pause=_("Pause"),
        edit_title=_("Edit finding"),
        edit_hint=_("Drag the box or its handles in the image, choose another label, or both."),
        add_title=_("New finding"),
        add_hint=_("Drag a box around it in the image, then choose a label."),
        label_unchanged=_("Unchanged"),
        label_choose=_("Choose a label"),
        nothing_changed=_("Nothing was changed: move the box or choose another label."),
        sending=_("kept here, not sent yet"),
        accepted=_("Accept finding {number}"),
        edited=_("Edit finding {number}"),
        rejected=_("Reject finding {number}"),
        undecided=_("Take back the decision on finding {number}"),
        added=_("New finding: {label}"),
        as_left=_("As you left it: {what}"),
        left_zoomed=_("zoomed, a part is out of sight"),
        left_window=_("window"),
        left_inverted=_("inverted"),
        left_flipped=_("flipped"),
        left_sheet=_("frame or plane"),
        left_marks=_("findings hidden, as you left it"),
        reset=_("Reset"),
        kept_view=_("View of {image}"),
        kept_drawing=_("Measurement in {image}"),
        kept_report=_("Measurement of {image} for the report"),
        kept_stage=_("Layout and tools"),
        note=_("Note"),
        done=_("Done"),
        not_kept=_("Measurements are not kept here: your role or the state of the study does not allow it."),
    )
