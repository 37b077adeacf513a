"""What a study's files say of the patient otherwise than the page shows, in words."""

from __future__ import annotations

from collections.abc import Callable

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cad_platform.patients.models import Sex
from cad_platform.patients.person_name import person_name
from cad_platform.studies import identity
from cad_platform.studies.models import Study

_FIELDS = {
    "patient.id": gettext_lazy("Patient ID"),
    "patient.issuer": gettext_lazy("Issuer of the patient ID"),
    "patient.name": gettext_lazy("Patient name"),
    "patient.birth_date": gettext_lazy("Date of birth"),
    "patient.sex": gettext_lazy("Sex"),
}
_WRITTEN: dict[str, Callable[[str], str]] = {
    "patient.name": person_name,
    "patient.sex": lambda code: str(Sex(code).label) if code in Sex.values else code,
}


def about_patient(study: Study) -> list[str]:
    """A sentence for each value that says who the patient is and is not used as a file has it; each once, however many
    files have it."""
    sentences: dict[str, None] = {}
    for each in identity.standing(study):
        field = _FIELDS.get(each["field"])
        if field is None or each["header"] == each["used"]:
            continue
        write = _WRITTEN.get(each["field"], str)
        sent, used = write(each["header"]) or each["header"], write(each["used"])
        if used:
            sentence = _("%(field)s: a file says “%(sent)s”, shown is “%(used)s”.")
        elif each["field"] == "patient.name" and "note" in each:
            sentence = _("The patient's name could not be read; its bytes are “%(sent)s”.")
        else:
            sentence = _("%(field)s is unknown: a file says “%(sent)s”.")
        sentences[sentence % {"field": field, "sent": sent, "used": used}] = None
    return list(sentences)
