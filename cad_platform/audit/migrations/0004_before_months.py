"""A bound that every event there is keeps to, checked while others write, so that the table can be put below another one
in a moment (0005). Safe to begin anew where it was cut."""

from django.db import migrations

_BOUND = """
CREATE OR REPLACE FUNCTION audit_first_id(moment timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN ((extract(year FROM moment AT TIME ZONE 'UTC')::bigint - 2000) * 100
            + extract(month FROM moment AT TIME ZONE 'UTC')::bigint) * 100000000000;
COMMENT ON FUNCTION audit_first_id IS 'below every id of an audit event of that month: YYMM, then eleven digits';

ALTER TABLE audit_auditevent DROP CONSTRAINT IF EXISTS audit_before_months;
DO $$
DECLARE
    highest bigint := (SELECT coalesce(max(id), 0) FROM audit_auditevent);
    bound bigint := 100000000000;
BEGIN
    IF highest >= bound THEN  -- it was in months before and was taken back: all up to the end of its last month
        bound := audit_first_id(make_date(2000 + (highest / 10000000000000)::int,
                                          (highest / 100000000000 % 100)::int, 1) + interval '1 month');
    END IF;
    EXECUTE format(
        'ALTER TABLE audit_auditevent ADD CONSTRAINT audit_before_months CHECK (id < %s) NOT VALID', bound);
END $$;
"""
_NO_BOUND = """
ALTER TABLE audit_auditevent DROP CONSTRAINT IF EXISTS audit_before_months;
DROP FUNCTION audit_first_id(timestamptz);
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("audit", "0003_closed_months")]

    operations = [
        migrations.RunSQL(_BOUND, _NO_BOUND),
        migrations.RunSQL("ALTER TABLE audit_auditevent VALIDATE CONSTRAINT audit_before_months", ""),
    ]
