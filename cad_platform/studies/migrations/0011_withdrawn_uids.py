from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("studies", "0010_erased")]

    operations = [
        migrations.AddIndex(
            model_name="instance",
            index=models.Index(
                condition=models.Q(("active", False)),
                fields=["site", "sop_instance_uid"],
                name="instance_withdrawn_uid",
            ),
        ),
        migrations.AddIndex(
            model_name="study",
            index=models.Index(
                condition=models.Q(("withdrawn_at__isnull", False)),
                fields=["site", "study_instance_uid"],
                name="study_withdrawn_uid",
            ),
        ),
    ]
