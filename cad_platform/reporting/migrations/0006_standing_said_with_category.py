from django.db import migrations

#: What the newest signed report or addendum that gives an assessment says.
SAY_CATEGORY = """
UPDATE reading_reportstanding AS standing
SET category = coalesce((
        SELECT report.content ->> 'assessment'
        FROM reporting_report AS report
        JOIN reporting_signature AS signature ON signature.report_id = report.id
        WHERE report.study_id = standing.study_id AND report.content ->> 'assessment' <> ''
        ORDER BY signature.signed_at DESC
        LIMIT 1
    ), ''),
    is_amended = EXISTS (
        SELECT 1 FROM reporting_report AS report
        WHERE report.study_id = standing.study_id AND report.kind = 'addendum' AND report.state = 'signed'
    )
WHERE standing.signed_at IS NOT NULL
"""


class Migration(migrations.Migration):

    dependencies = [
        ('reading', '0005_standing_category'),
        ('reporting', '0005_printed_particulars'),
    ]

    operations = [
        migrations.RunSQL(SAY_CATEGORY, migrations.RunSQL.noop),
    ]
