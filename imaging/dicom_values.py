"""Single values of a DICOM header as plain, bounded text and numbers. Nothing here raises: a value that cannot be used
is None or empty."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]+")
#: What switches character sets within a text (PS3.5 6.1.2.5.3); pydicom leaves those of ISO 2022 IR 58 standing.
_ESCAPE = re.compile(r"\x1b(?:\$[()]?|[()-])[A-Z]")
TEXT_LIMIT = 256
_DECIMAL_COMMA = re.compile(r"[+-]?(0*,\d+|\d+,(\d{1,2}|\d{4,}))")


def text(dataset: Dataset, keyword: str, limit: int = TEXT_LIMIT) -> str | None:
    """The value as one line of text without control or direction characters, None where empty."""
    try:
        value = _value(dataset, keyword)
        if value is None or value == "":
            return None
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if not isinstance(value, str) and hasattr(value, "__iter__") and not hasattr(value, "components"):
            value = "\\".join(str(item) for item in value)
        cleaned = _CONTROL.sub(" ", _ESCAPE.sub("", str(value))).strip()
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return None
    return cleaned[:limit].strip() or None


def _value(dataset: Dataset, keyword: str) -> Any:
    """None where the header has no such element: most that are asked for are absent, and to see that costs a fourth of
    asking pydicom for them."""
    tag = _tag_of(keyword)
    return dataset[tag].value if tag in dataset.keys() else None  # noqa: SIM118  (`in dataset` is the slow way)


@cache
def _tag_of(keyword: str) -> BaseTag:
    return Tag(keyword)


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite number, else None."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """All values as finite numbers; empty where any is not."""
    found = each_number(dataset, keyword)
    return [value for value in found if value is not None] if None not in found else []


def each_number(dataset: Dataset, keyword: str) -> list[float | None]:
    """Every value in its place, as a finite number or None."""
    try:
        value = _value(dataset, keyword)
        if value is None or value == "":
            return []
        many = value if not isinstance(value, str) and hasattr(value, "__iter__") else [value]
        return [_finite(item) for item in many]
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return []


def _finite(value: Any) -> float | None:
    """A decimal comma is a point; what may be a thousand ("1,000") is no number."""
    if isinstance(value, str) and _DECIMAL_COMMA.fullmatch(value.strip()):
        value = value.replace(",", ".")
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def code_value(item: Dataset) -> str:
    """The code of an item of a coded sequence, whichever attribute holds it (PS3.3 8.8); empty where none does."""
    address = text(item, "URNCodeValue") or ""
    return text(item, "CodeValue") or text(item, "LongCodeValue") or re.split(r"[/:]", address)[-1]


def integer(dataset: Dataset, keyword: str) -> int | None:
    """The first value as an integer, else None."""
    found = number(dataset, keyword)
    return int(found) if found is not None and abs(found) < 2**31 else None


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence, empty where it is none."""
    try:
        value = _value(dataset, keyword)
        return [item for item in value or [] if isinstance(item, Dataset)]
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return []
