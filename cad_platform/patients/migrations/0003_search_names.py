"""What a search by name looks through, for patients who were known before there was such a column."""

from django.db import migrations

from cad_platform.patients.person_name import groups_of, search_text


def fill(apps, schema_editor):
    Patient = apps.get_model("patients", "Patient")
    for patient in Patient.objects.exclude(name="").filter(search_name="").iterator():
        patient.search_name = search_text(groups_of(patient.name).joined())
        patient.save(update_fields=["search_name"])


class Migration(migrations.Migration):
    dependencies = [("patients", "0002_issuers_and_name_groups")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
