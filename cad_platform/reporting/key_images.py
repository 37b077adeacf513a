"""Key images of a report: what each of its findings looks like, cut out of its image as that hangs, beside the whole
view.

They are drawn before anything is locked; what is to be drawn (`wanted`) is told again under the lock, so that a finding
that was moved meanwhile is noticed. The report's particulars hold their hashes and the PDF the same JPEG bytes, so the
signature binds them. Marks and scale bars are drawn over the pixels, never into them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cad_platform.core.errors import PlatformError
from cad_platform.reporting.ai_summary import is_reported
from cad_platform.studies import pixels
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.selectors import sorted_images
from cad_platform.studies.sides import Turned

#: So many are drawn; whoever has more finds them in the images.
MOST = 24
#: Pixels along the longer side of a picture.
_LONGEST = 480
#: How much larger than its finding a cut-out is, and how small it may be beside its image.
_AROUND = 2.2
_LEAST_OF_IMAGE = 0.16
#: Of a slide, in pixels of its finest level.
_LEAST_OF_SLIDE = 800.0

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Wanted:
    """A key image to be drawn: of which file, and which part. Boxes are in stored pixels."""

    finding: str
    number: int
    instance: Instance
    file: str
    frame: int
    box: Box
    part: Box
    turned: Turned
    um_per_pixel: float | None
    """Along the line of the hung picture, where one scale holds for all of the part."""


@dataclass(frozen=True)
class Drawn:
    """JPEGs of the part and of the whole view; or why there are none, as a code."""

    part: bytes = b""
    whole: bytes = b""
    problem: str = ""


def wanted(summary: Mapping[str, Any], study: Study) -> list[Wanted]:
    """The key images of the findings that the report of a summary has, the first `MOST` of them."""
    images = {image.instance.sop_instance_uid: image for image in sorted_images(study)}
    found: list[Wanted] = []
    for finding in summary["findings"]:
        image = images.get(finding["image"]["sop_instance_uid"])
        if image is None or not is_reported(finding) or len(found) == MOST:
            continue
        box = _box((finding["decision"] or {}).get("box") or finding["box"])
        part = _around(box, image.instance)
        spacing = image.instance.spacing_in(part)
        lies_down = image.turned.turn in (90, 270)
        found.append(
            Wanted(
                finding=finding["id"],
                number=finding["number"],
                instance=image.instance,
                file=image.instance.file_id,
                frame=finding["frame"] or 0,
                box=box,
                part=part,
                turned=image.turned,
                um_per_pixel=spacing[1 if lies_down else 0] if spacing else None,
            )
        )
    return found


def drawn(all_wanted: Iterable[Wanted]) -> dict[Wanted, Drawn]:
    """Each key image, or why it cannot be drawn: that fails no signature. Every frame is decoded once."""
    by_frame: dict[tuple[str, int], list[Wanted]] = {}
    for each in all_wanted:
        by_frame.setdefault((each.file, each.frame), []).append(each)
    made: dict[Wanted, Drawn] = {}
    for group in by_frame.values():
        first = group[0]
        whole = (0.0, 0.0, float(first.instance.columns), float(first.instance.rows))
        try:
            view, *parts = pixels.crops(
                first.instance,
                [whole, *(each.part for each in group)],
                frame=first.frame,
                longest=_LONGEST,
                turned=first.turned,
            )
        except PlatformError as error:
            made |= {each: Drawn(problem=error.code) for each in group}
            continue
        made |= {each: Drawn(part, view) for each, part in zip(group, parts, strict=True)}
    return made


def as_particulars(all_wanted: Sequence[Wanted], made: Mapping[Wanted, Drawn]) -> list[dict[str, Any]]:
    """What the signed record holds of the key images, as plain JSON."""
    return [_particulars(each, made.get(each, Drawn(problem="changed"))) for each in all_wanted]


def files_of(made: Mapping[Wanted, Drawn]) -> dict[str, bytes]:
    """The JPEG files by the names that `as_cell` gives them."""
    pictures = [data for each in made.values() for data in (each.part, each.whole) if data]
    return {_name(hashlib.sha256(data).hexdigest()): data for data in pictures}


def as_cell(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One key image as it is printed: its files, and where mark and scale bar lie, in parts of its width and height."""
    if entry["problem"]:
        return {"number": str(entry["number"]), "problem": entry["problem"]}
    columns, rows = entry["size"]
    view, part = (0.0, 0.0, columns, rows), _box(entry["part"])
    return {
        "number": str(entry["number"]),
        "problem": "",
        "part": _picture(entry["part_sha256"], part, entry) | {"scale": _scale(entry, part)},
        "whole": _picture(entry["whole_sha256"], view, entry) | {"scale": None},
    }


def _particulars(each: Wanted, made: Drawn) -> dict[str, Any]:
    return {
        "finding": each.finding,
        "number": each.number,
        "sop_instance_uid": each.instance.sop_instance_uid,
        "frame": each.frame,
        "size": [each.instance.columns, each.instance.rows],
        "box": list(each.box),
        "part": list(each.part),
        "turn": each.turned.turn,
        "mirror": bool(each.turned.mirror),
        "um_per_pixel": each.um_per_pixel,
        "part_sha256": hashlib.sha256(made.part).hexdigest() if made.part else "",
        "whole_sha256": hashlib.sha256(made.whole).hexdigest() if made.whole else "",
        "problem": made.problem,
    }


def _picture(sha256: str, region: Box, entry: Mapping[str, Any]) -> dict[str, Any]:
    width, height = region[2] - region[0], region[3] - region[1]
    if entry["turn"] in (90, 270):
        width, height = height, width
    return {
        "file": _name(sha256),
        "aspect": width / height,
        "mark": _within(_box(entry["box"]), region, entry),
    }


def _within(box: Box, region: Box, entry: Mapping[str, Any]) -> list[float]:
    """A box in parts of a region as it hangs."""
    width, height = region[2] - region[0], region[3] - region[1]
    corners = [
        _hung((x - region[0]) / width, (y - region[1]) / height, entry["turn"], entry["mirror"])
        for x, y in ((box[0], box[1]), (box[2], box[3]))
    ]
    (x0, x1), (y0, y1) = sorted(each[0] for each in corners), sorted(each[1] for each in corners)
    return [max(0.0, x0), max(0.0, y0), min(1.0, x1), min(1.0, y1)]


def _hung(x: float, y: float, turn: int, mirror: bool) -> tuple[float, float]:
    for _ in range(turn // 90):
        x, y = 1 - y, x
    return (1 - x if mirror else x), y


def _scale(entry: Mapping[str, Any], part: Box) -> dict[str, Any] | None:
    """The longest round length that takes at most two fifths of the width; None without a scale."""
    if entry["um_per_pixel"] is None:
        return None
    across = part[3] - part[1] if entry["turn"] in (90, 270) else part[2] - part[0]
    width_um = across * float(entry["um_per_pixel"])
    lengths = [digit * 10**power for power in range(6) for digit in (1, 2, 5)]
    length = max((each for each in lengths if each <= 0.4 * width_um), default=None)
    if length is None:
        return None
    words = f"{length} µm" if length < 1000 else f"{length // 1000} mm"
    return {"part": length / width_um, "words": words}


def _around(box: Box, instance: Instance) -> Box:
    """A square with the finding in its middle, as far as the image reaches."""
    is_slide = instance.kind == Instance.Kind.SLIDE
    least = _LEAST_OF_SLIDE if is_slide else _LEAST_OF_IMAGE * max(instance.columns, instance.rows)
    side = max(_AROUND * max(box[2] - box[0], box[3] - box[1]), least)
    x0, x1 = _interval((box[0] + box[2]) / 2, side, instance.columns)
    y0, y1 = _interval((box[1] + box[3]) / 2, side, instance.rows)
    return x0, y0, x1, y1


def _interval(middle: float, length: float, end: float) -> tuple[float, float]:
    length = min(length, end)
    start = min(max(0.0, middle - length / 2), end - length)
    return float(round(start)), float(round(start + length))


def _box(values: Sequence[float]) -> Box:
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1


def _name(sha256: str) -> str:
    return f"{sha256}.jpg"
