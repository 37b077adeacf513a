"""The rule about repeated acceptances."""

from django.db import migrations, models


def make(apps, schema_editor):
    """One step down from the signed verdict is told."""
    rule = apps.get_model("quality", "AlertRule")
    rule.objects.get_or_create(measure="acceptance", defaults={"threshold": 1})


class Migration(migrations.Migration):

    dependencies = [
        ('quality', '0003_acceptance'),
    ]

    operations = [
        migrations.AlterField(
            model_name='alertrule',
            name='measure',
            field=models.CharField(choices=[('drift', 'Scores drift (PSI)'), ('device', "A device's images are unlike the model's own"), ('calibration', 'Probabilities do not fit what was found'), ('auc', 'The model tells cases apart worse (AUC)'), ('overrides', 'Readers contradict the model'), ('failures', 'Analyses fail'), ('refusals', 'Studies are refused'), ('unlike', 'Images get no verdict'), ('latency', 'Results come late'), ('known_case', 'A known case is answered otherwise'), ('acceptance', "A site's known cases are told apart worse than when they were signed")], max_length=16, unique=True),
        ),
        migrations.AlterField(
            model_name='alertruleevent',
            name='measure',
            field=models.CharField(choices=[('drift', 'Scores drift (PSI)'), ('device', "A device's images are unlike the model's own"), ('calibration', 'Probabilities do not fit what was found'), ('auc', 'The model tells cases apart worse (AUC)'), ('overrides', 'Readers contradict the model'), ('failures', 'Analyses fail'), ('refusals', 'Studies are refused'), ('unlike', 'Images get no verdict'), ('latency', 'Results come late'), ('known_case', 'A known case is answered otherwise'), ('acceptance', "A site's known cases are told apart worse than when they were signed")], max_length=16),
        ),
        migrations.RunPython(make, migrations.RunPython.noop),
    ]
