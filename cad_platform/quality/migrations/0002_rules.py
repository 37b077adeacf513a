"""The rules that there are, each with the threshold that it begins with."""

from django.db import migrations

RULES = (
    ("drift", 0.25),  # PSI: a shift that needs looking at, by the usual reading
    ("device", 2),  # sets of images in a row
    ("calibration", 4),  # standard errors
    ("auc", 0.75),
    ("overrides", 0.3),
    ("failures", 0.05),
    ("refusals", 0.3),
    ("unlike", 0.2),
    ("latency", 300),  # seconds
    ("known_case", 0.02),  # of a probability
)


def make(apps, schema_editor):
    rule = apps.get_model("quality", "AlertRule")
    for measure, threshold in RULES:
        rule.objects.get_or_create(measure=measure, defaults={"threshold": threshold})


class Migration(migrations.Migration):
    dependencies = [("quality", "0001_initial")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
