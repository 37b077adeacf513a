import django.contrib.postgres.indexes
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations

import cad_platform.core.parts


class Migration(migrations.Migration):
    atomic = False  # patients are met while the index is made

    dependencies = [("core", "0006_parts_of_texts"), ("patients", "0005_erased")]

    operations = [
        AddIndexConcurrently(
            model_name="patient",
            index=django.contrib.postgres.indexes.GinIndex(
                cad_platform.core.parts.Parts("search_name"),
                gin_pending_list_limit=256,
                name="patient_name_parts",
            ),
        ),
    ]
