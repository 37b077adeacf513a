"""What reading asked of reports by their relation's name, it is told from now on: here for the reports that exist."""

import django.db.models.deletion
from django.db import migrations, models

SAY_STANDING = """
INSERT INTO reading_reportstanding (study_id, has_draft, signed_at, signed_jobs)
SELECT
    study.id,
    EXISTS (SELECT FROM reporting_report WHERE study_id = study.id AND state = 'draft'),
    latest.signed_at,
    latest.signed_jobs
FROM (SELECT DISTINCT study_id AS id FROM reporting_report) AS study
LEFT JOIN LATERAL (
    SELECT
        signature.signed_at,
        (
            SELECT coalesce(jsonb_object_agg(job ->> 'id', job ->> 'state'), '{}')
            FROM jsonb_array_elements(coalesce(report.ai_summary -> 'jobs', '[]')) AS job
        ) AS signed_jobs
    FROM reporting_report AS report
    JOIN reporting_signature AS signature ON signature.report_id = report.id
    WHERE report.study_id = study.id AND report.state = 'signed'
    ORDER BY signature.signed_at DESC
    LIMIT 1
) AS latest ON true
ON CONFLICT (study_id) DO NOTHING
"""


class Migration(migrations.Migration):

    dependencies = [
        ('reading', '0002_report_standing'),
        ('reporting', '0002_initial'),
        ('studies', '0002_modality_codes_of_16_characters'),
    ]

    operations = [
        migrations.RunSQL(SAY_STANDING, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name='report',
            name='study',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='studies.study'),
        ),
    ]
