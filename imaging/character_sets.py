"""The character set of a DICOM header's text (PS3.3 C.12.1.1.2), where the header names none or a wrong one.

Most of what is sent without Specific Character Set is ASCII and needs none. Other bytes mean nothing by themselves:
they are read in the set that the site says its devices use, or not at all. What comes of guessing is another name.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

from pydicom import charset
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import TEXT_VR_DELIMS

REPLACED = "\ufffd"
"""Stands where bytes could not be read."""

#: The header's text that people read or that tells one patient or study from another.
_TEXTS = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyDescription"),
    *("SeriesDescription", "InstitutionName"),
)
#: The default repertoire (PS3.5 6.1.1) has no byte above 127: naming it is naming none.
_ASCII_ONLY = {"", "ISO_IR 6", "ISO 2022 IR 6"}
#: What announces a set within the text itself (PS3.5 6.1.2.5.3): these say by themselves how they are read.
_ESCAPES = {
    b"\x1b$)A": "ISO 2022 IR 58",
    b"\x1b$)C": "ISO 2022 IR 149",
    b"\x1b$B": "ISO 2022 IR 87",
    b"\x1b$(D": "ISO 2022 IR 159",
}
#: The defined terms by their letters and digits alone, which is where senders differ (`ISO_IR_192`, `ISO2022 IR 58`).
_BY_LETTERS = {
    re.sub("[^A-Z0-9]", "", term): term for term in charset.python_encoding if term not in _ASCII_ONLY
}
#: What stands in nobody's name, and is what Chinese bytes look like in a set of one byte a character.
_IN_NO_NAME = re.compile("[\x80-\x9f¡¢£¤¥¦§©«¬®¯°±²³µ¶¸¹»¼½¾¿×÷]")
_LATIN_BESIDE_HAN = re.compile("[A-Za-z][\u3400-\u9fff]|[\u3400-\u9fff][A-Za-z]")


def defined_term(term: str) -> str | None:
    """The defined term, or the name of an encoding known elsewhere, that a sender means by `term`; None where text
    cannot be read by it."""
    if term in _ASCII_ONLY:
        return None
    if term in charset.python_encoding:
        return term
    found = _BY_LETTERS.get(re.sub("[^A-Z0-9]", "", term.upper()))
    if found:
        return found
    try:
        return term if codecs.lookup(term).encode("a")[0] == b"a" else None
    except (LookupError, UnicodeError, TypeError, ValueError):
        return None


def settle(dataset: Dataset, default: str | None) -> str | None:
    """See to it that the header's text is read in the right character set, or not at all.

    Parameters
    ----------
    dataset
        A header none of whose text has been asked for yet.
    default
        The character set of the site's devices, as a defined term (`GB18030`); None where nobody has said.

    Returns
    -------
    str | None
        A sentence about what was done, None where the header's own character set serves. Afterwards text that cannot
        be read holds U+FFFD.
    """
    values = {keyword: raw for keyword in _TEXTS if (raw := raw_value(dataset, keyword))}
    odd = {keyword: raw for keyword, raw in values.items() if _is_odd(raw)}
    if not odd:
        return None
    stated = [str(term).strip() for term in _terms(dataset)]
    meant = [defined_term(term) or "" for term in stated]
    names_one = any(meant)
    unannounced = names_one and not meant[0] and any(_is_unannounced(raw) for raw in odd.values())
    if unannounced and (named := _one_that_fits(odd, meant[1:])):
        _read_in(dataset, named)
        return f"The header's text does not announce its character set; it was read as {named}, which the header names."
    if names_one and not unannounced and not _is_torn(odd, meant):
        if meant != stated:
            _read_in(dataset, meant)
        return None
    found = _set_of(odd.get("PatientName") or b" ".join(odd.values()), default)
    if found is None and names_one:
        if unannounced:
            _read_in(dataset, "ascii")
        return "The header's text is not in the character set that it names."
    _read_in(dataset, found or "ascii")
    if found is None:
        return "The header's text is not ASCII and names no character set."
    said = (
        f"is not in the character set that it names ({next(filter(None, meant))})"
        if names_one
        else "names no character set"
    )
    how = "its own escapes" if isinstance(found, list) else "what the site's devices use"
    return f"The header's text {said}; it was read as {_named(found)}, by {how}."


def _read_in(dataset: Dataset, terms: str | list[str]) -> None:
    is_implicit, is_little = dataset.original_encoding
    dataset.set_original_encoding(is_implicit, is_little, charset.convert_encodings(terms))


def is_no_name(text: str) -> bool:
    """Whether it holds what stands in nobody's name: signs and control characters."""
    return _IN_NO_NAME.search(text) is not None


def raw_value(dataset: Dataset, keyword: str) -> bytes:
    """The bytes of a value that nobody has asked for yet; empty where there are none."""
    element = dataset.get_item(keyword) if keyword in dataset else None
    if isinstance(element, RawDataElement) and isinstance(element.value, bytes):
        return element.value.rstrip(b"\0 ")
    return b""


def _terms(dataset: Dataset) -> Sequence[str]:
    declared = dataset.get("SpecificCharacterSet") or []
    return [declared] if isinstance(declared, str) else list(declared)


def _is_odd(raw: bytes) -> bool:
    return not raw.isascii() or b"\x1b" in raw


def _is_torn(odd: dict[str, bytes], terms: list[str]) -> bool:
    """Whether bytes do not fit the character set that the header names: they are none of its characters, or make a name
    that nobody has. Many devices name Latin 1, whatever they write."""
    encodings = charset.convert_encodings(terms)
    name = odd.get("PatientName", b"")
    is_single_byte = terms[0].startswith("ISO_IR 1") and terms[0] != "ISO_IR 192"
    if is_single_byte and is_no_name(charset.decode_bytes(name, encodings, TEXT_VR_DELIMS)):
        return True
    return any(REPLACED in charset.decode_bytes(raw, encodings, TEXT_VR_DELIMS) for raw in odd.values())


def _is_unannounced(raw: bytes) -> bool:
    """Whether it leaves the default repertoire before an escape says for what."""
    return not raw.split(b"\x1b")[0].isascii()


def _one_that_fits(odd: dict[str, bytes], named: list[str]) -> str | None:
    """The one of the sets that the header names in which all of these bytes are characters."""
    for term in filter(None, named):
        encoding = charset.convert_encodings(term)[0]
        texts = {keyword: _strictly(raw, encoding) for keyword, raw in odd.items()}
        if is_no_name(texts.get("PatientName") or ""):
            continue
        if all(text is not None and _is_plausible(text) for text in texts.values()):
            return term
    return None


def _set_of(raw: bytes, default: str | None) -> str | list[str] | None:
    """The defined terms by which these bytes can be read; None where that would be a guess."""
    for escape, term in _ESCAPES.items():
        if escape in raw:
            return ["", term]
    default = defined_term(default or "")
    if default is None:
        return None
    local, unicode = _strictly(raw, charset.convert_encodings(default)[0]), _strictly(raw, "utf-8")
    if unicode is not None and (local is None or not _is_multibyte(default) or _is_east_asian(unicode)):
        # Bytes that happen to be valid UTF-8 of three and more bytes a character are hardly anything else.
        return "ISO_IR 192"
    if local is not None and _is_plausible(local):
        return default
    return "ISO_IR 192" if unicode is not None and _is_plausible(unicode) else None


def _strictly(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _is_multibyte(term: str) -> bool:
    return term in {"GB18030", "GBK", "ISO 2022 GBK", "ISO_IR 192"} or "2022" in term


def _is_east_asian(text: str) -> bool:
    return any(character >= "\u0800" for character in text)


def _is_plausible(text: str) -> bool:
    """Whether people write so: no control characters, no private ones, no Latin letter joined to a Han one, which is
    what a European name looks like in GB 18030."""
    return not any(
        "\x7f" <= character <= "\x9f" or "\ue000" <= character <= "\uf8ff" for character in text
    ) and (_LATIN_BESIDE_HAN.search(text) is None)


def _named(found: str | list[str]) -> str:
    return found[-1] if isinstance(found, list) else found
