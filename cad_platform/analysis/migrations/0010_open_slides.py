from django.db import migrations


def find_slides(apps, schema_editor):
    """What waits or runs over the update goes into its queue."""
    jobs = apps.get_model("analysis", "AnalysisJob").objects.filter(state__in=["requested", "running"])
    slides = apps.get_model("studies", "Instance").objects.filter(kind="slide").values("series__study")
    jobs.filter(study__in=slides).update(queue="slide")


class Migration(migrations.Migration):
    dependencies = [("analysis", "0009_queues")]

    operations = [migrations.RunPython(find_slides, migrations.RunPython.noop)]
