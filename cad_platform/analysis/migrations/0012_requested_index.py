from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("analysis", "0011_bulk_actions")]

    operations = [
        migrations.AddIndex(
            model_name="analysisjob",
            index=models.Index(fields=["-requested_at", "id"], name="job_requested"),
        )
    ]
