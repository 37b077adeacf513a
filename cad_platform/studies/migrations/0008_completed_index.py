from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("studies", "0007_described_by")]

    operations = [
        migrations.AddIndex(
            model_name="study",
            index=models.Index(
                condition=models.Q(("state", "complete"), ("withdrawn_at__isnull", True)),
                fields=["completed_at"],
                name="study_completed",
            ),
        )
    ]
