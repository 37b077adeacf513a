"""That each link has its event, checked while others write."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_months")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE audit_auditseal VALIDATE CONSTRAINT "
            "audit_auditseal_event_id_691a5959_fk_audit_auditevent_id",
            "",
        ),
    ]
