"""Which version counts for which studies is said by routes too: the triggers that note a change of them."""

from django.db import migrations

from cad_platform.reading import worklist_triggers

TABLES = ("registry_modelroute",)


class Migration(migrations.Migration):
    dependencies = [("reading", "0008_worklist_search"), ("registry", "0004_model_upload")]

    operations = [
        migrations.RunSQL(worklist_triggers.create(*TABLES), worklist_triggers.drop(*TABLES)),
    ]
