"""Who and which, from a DICOM header: the patient's id, name and birth date, the accession number, the UIDs.

Used as sent, or not at all; where a value is not used, used otherwise or not written as the standard asks, what was
sent is kept beside it (`as_sent`).
"""

from __future__ import annotations

from datetime import date

from pydicom.dataset import Dataset

from imaging import character_sets, identity
from imaging.character_sets import REPLACED
from imaging.description import AsSent
from imaging.dicom_values import TEXT_LIMIT, items, text


class Identity:
    """The identifying values of one header, with what there is to say of them. Made before anybody else has asked the
    header for text.

    Attributes
    ----------
    as_sent
        The values with which something is wrong.
    remarks
        The same, and what is missing, as sentences.
    """

    def __init__(self, dataset: Dataset, charset: str | None) -> None:
        self._dataset = dataset
        self._name_bytes = character_sets.raw_value(dataset, "PatientName")
        self._bytes = {
            keyword: character_sets.raw_value(dataset, keyword)
            for keyword in ("PatientID", "IssuerOfPatientID", "AccessionNumber")
        }
        self.as_sent: list[AsSent] = []
        self.remarks: list[str] = []
        self._about_text = character_sets.settle(dataset, charset)
        if self._about_text:
            self.remarks.append(self._about_text)

    def uid(self, keyword: str, field: str) -> str | None:
        """A UID as it was sent, leading zeros and all; None where no object can be known by it."""
        sent = identity.without_padding(text(self._dataset, keyword) or "")
        if not sent:
            self.remarks.append(f"{keyword} is missing.")
            return None
        if not identity.is_uid(sent):
            self._note(field, sent, None, f"{keyword} is not a valid UID.")
            return None
        if not identity.is_standard_uid(sent):
            self._note(
                field, sent, sent, f"{keyword} is not written as the standard asks; it is kept as it is."
            )
        return sent

    def identifier(self, keyword: str, field: str) -> str | None:
        """What tells one patient or study from another. Bytes that cannot be read are escaped: two that differ must
        not become one."""
        found = text(self._dataset, keyword)
        if found is None or REPLACED not in found:
            return found
        escaped = _escaped(self._bytes[keyword]) or found
        self._note(field, escaped, escaped, f"{keyword} could not be read. {self._about_text or ''}".strip())
        return escaped

    def issuer(self) -> str | None:
        """Who gave the patient id (PS3.3 C.2.2): Issuer of Patient ID, else the universal entity id of its
        qualifiers."""
        named = self.identifier("IssuerOfPatientID", "patient.issuer")
        for qualifiers in items(self._dataset, "IssuerOfPatientIDQualifiersSequence")[:1]:
            named = named or text(qualifiers, "UniversalEntityID")
        return named

    def person_name(self) -> str | None:
        """All component groups, each without trailing empty components; None where the name cannot be read."""
        name = text(self._dataset, "PatientName", 3 * TEXT_LIMIT)
        if name is None:
            return None
        sent = _escaped(self._name_bytes)
        if REPLACED in name or (self._about_text and character_sets.is_no_name(name)):
            about = self._about_text or "Its bytes do not fit the header's character set."
            self._note("patient.name", sent or name, None, f"The patient's name could not be read. {about}")
            return None
        groups = [group.rstrip("^ ").strip()[:TEXT_LIMIT] for group in name.split("=")[:3]]
        whole = "=".join(groups).rstrip("=")
        if self._about_text and sent != whole:
            self._note("patient.name", sent, whole, self._about_text)
        return whole or None

    def birth_date(self) -> str | None:
        """ISO; None for half a date, no date, or one on which nobody examined today was born."""
        found, sent = self._date("PatientBirthDate")
        if found is not None and identity.is_birth_date(found):
            return found.isoformat()
        if sent:
            self._note("patient.birth_date", sent, None, "PatientBirthDate is not a date of birth.")
        return None

    def study_date(self) -> str | None:
        """ISO; None for half a date or no date."""
        found, sent = self._date("StudyDate")
        if found is not None and found.year >= 1895:  # Röntgen's
            return found.isoformat()
        if sent:
            self._note("study_date", sent, None, "StudyDate is not a date.")
        return None

    def _date(self, keyword: str) -> tuple[date | None, str]:
        sent = text(self._dataset, keyword) or ""
        return identity.date_of(sent), sent

    def _note(self, field: str, sent: str, used: str | None, note: str) -> None:
        self.as_sent.append(AsSent(field=field, sent=sent[:TEXT_LIMIT], used=used, note=note))
        self.remarks.append(note)


def _escaped(raw: bytes) -> str:
    """Bytes as printable ASCII, those that are none as `\\xcd`."""
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in raw)
