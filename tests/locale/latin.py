"""English that a Chinese reader would meet: words in Latin letters that are neither a code of the field nor a unit."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Codes, abbreviations and names that Chinese reports and DICOM viewers write in Latin letters.
_KNOWN = (
    "AI ASCII AT AX BI-RADS CAD CC CID CMYK CSV CT CV DICOM ER FB GB GBK HER2 HTTP HTTPS ID IMF IOD "
    "IP IR ISO ISO_IR JIS JPEG KB Ki-67 L LM LMO M MB MG MIRAX ML MLO MPEG MR MRXS MiB NL NT OME PACS "
    "PDF PGM PNG PR R RGB S SCP SCU SHA-256 SIO SM SR SVS TAN TIFF TLS TXT UID URL US UTC UTF-8 WebGL "
    "X XCC XCCL XCCM cm d h kV mAs mGy min mm mrxs ms px s um µm"
)
KNOWN = frozenset(_KNOWN.split(" "))
_WORD = re.compile(r"[A-Za-z\u00b5][A-Za-z\u00b5_]*(?:-[A-Za-z0-9]+)*\d*")
#: A key, behind the name of what it does.
_KEY = re.compile(r"（[^（）]{1,12}）$")
_QUIET = re.compile(
    r"\{\w+\}|\b(?:Ki-67|[A-Z]+(?:_[A-Z]+)+|[0-9a-f]{8,}|[A-Z]{2,}[a-z]?\d*|[A-Za-z]*\d[\w.-]*|[\w-]+\.[a-z_]{2,}|[a-z]+_[\w]+)\b"
)


def english_words(text: str, also: Iterable[str] = ()) -> list[str]:
    """The words of Latin letters in a text that have no reason to be there; `also` are allowed this time."""
    allowed = KNOWN | set(also)
    text = _KEY.sub("", text)
    bare = _QUIET.sub(lambda code: code[0] if code[0] in allowed else " ", text)
    return [word for word in _WORD.findall(bare) if word not in allowed]
