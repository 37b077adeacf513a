from django.db import migrations, models

_HELP = "calibrated probability of the positive class; none where the result is no verdict"


def withhold(apps, schema_editor):
    """Results of images unlike those that the model has learnt from are no verdicts, those of earlier versions too."""
    jobs = apps.get_model("analysis", "AnalysisJob").objects
    jobs.filter(
        state="succeeded", score__isnull=False, result__flags__contains="out_of_distribution"
    ).update(score=None)


class Migration(migrations.Migration):
    dependencies = [
        ("analysis", "0005_finding_frame"),
    ]

    operations = [
        migrations.AlterField(
            model_name="analysisjob", name="score", field=models.FloatField(help_text=_HELP, null=True)
        ),
        migrations.AlterField(
            model_name="analysisjobevent", name="score", field=models.FloatField(help_text=_HELP, null=True)
        ),
        migrations.RunPython(withhold, migrations.RunPython.noop),
    ]
