"""Single values of a DICOM header as plain, bounded text and numbers. Nothing here raises: a value that cannot be used
is None or empty."""

from __future__ import annotations

import math
import re

from pydicom.dataset import Dataset

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]+")
#: What switches character sets within a text (PS3.5 6.1.2.5.3); pydicom leaves those of ISO 2022 IR 58 standing.
_ESCAPE = re.compile(r"\x1b(?:\$[()]?|[()-])[A-Z]")
TEXT_LIMIT = 256


def text(dataset: Dataset, keyword: str, limit: int = TEXT_LIMIT) -> str | None:
    """The value as one line of text without control or direction characters, None where empty."""
    try:
        value = dataset.get(keyword)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if not isinstance(value, str) and hasattr(value, "__iter__") and not hasattr(value, "components"):
            value = "\\".join(str(item) for item in value)
        cleaned = _CONTROL.sub(" ", _ESCAPE.sub("", str(value if value is not None else ""))).strip()
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return None
    return cleaned[:limit].strip() or None


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite number, else None."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """All values as finite numbers; empty where any is not."""
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            return []
        many = value if not isinstance(value, str) and hasattr(value, "__iter__") else [value]
        found = [float(item) for item in many]
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return []
    return found if all(math.isfinite(item) for item in found) else []


def integer(dataset: Dataset, keyword: str) -> int | None:
    """The first value as an integer, else None."""
    found = number(dataset, keyword)
    return int(found) if found is not None and abs(found) < 2**31 else None


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence, empty where it is none."""
    try:
        value = dataset.get(keyword)
        return [item for item in value or [] if isinstance(item, Dataset)]
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return []
