"""The triggers that note what changed, and a note for every study that is there already."""

from django.db import migrations

from cad_platform.reading import worklist_triggers

TABLES = (
    "studies_study",
    "analysis_analysisjob",
    "reading_reportstanding",
    "patients_patient",
    "accounts_site",
    "registry_modelversion",
)


class Migration(migrations.Migration):
    dependencies = [
        ("reading", "0006_worklist_projection"),
        ("accounts", "0006_session_rules"),
        ("analysis", "0011_bulk_actions"),
        ("patients", "0003_search_names"),
        ("registry", "0002_modality_codes_of_16_characters"),
        ("studies", "0007_described_by"),
    ]

    operations = [
        migrations.RunSQL(worklist_triggers.create(*TABLES), worklist_triggers.drop(*TABLES)),
        migrations.RunSQL(
            "INSERT INTO reading_worklistchange (site_id, study_id) SELECT site_id, id FROM studies_study",
            migrations.RunSQL.noop,
        ),
    ]
