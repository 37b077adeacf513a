from django.db import migrations, models


def of_reports(apps, schema_editor):
    """Studies of signed reports were nested before there was a choice."""
    apps.get_model('quality', 'ReaderStudy').objects.filter(source__isnull=False).update(is_nested=True)


class Migration(migrations.Migration):

    dependencies = [
        ('quality', '0007_readings_of_reports'),
    ]

    operations = [
        migrations.AddField(
            model_name='readerstudy',
            name='is_nested',
            field=models.BooleanField(db_default=False, help_text='each case has one reader; otherwise every reader has read every case'),
        ),
        migrations.RunPython(of_reports, migrations.RunPython.noop),
    ]
