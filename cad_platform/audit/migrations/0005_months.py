"""The log by months (ADR 66). No row is copied: the table that is there becomes the first part of a new one. Taken back,
the months' rows are copied into it.

What it locks it takes in one go and gives back where others do not let it: it waits half a second at most, which is
shorter than PostgreSQL waits for a deadlock, so that nobody else's work is broken off.
"""

from django.db import migrations

_LOCK = """
SET LOCAL lock_timeout = '500ms';
DO $$
BEGIN
    FOR attempt IN 1..240 LOOP
        BEGIN
            -- People and sites, too: the foreign keys to them change hands, and with them triggers on both.
            LOCK TABLE accounts_user, accounts_site, audit_auditevent, audit_auditseal IN ACCESS EXCLUSIVE MODE;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.2 + random() / 4);
        END;
    END LOOP;
    RAISE EXCEPTION 'the audit log was in use for minutes: migrate again';
END $$;
"""

#: An event's id begins with the month in which the database gives it.
_IDS = """
CREATE SEQUENCE audit_auditevent_number AS bigint OWNED BY audit_auditevent.id;
SELECT setval('audit_auditevent_number', (SELECT coalesce(max(id) % 100000000000, 0) + 1 FROM audit_auditevent_before),
              false);
ALTER TABLE audit_auditevent
    ALTER id SET DEFAULT audit_first_id(clock_timestamp()) + nextval('audit_auditevent_number');
"""

#: The next months are made by `audit_make_months`, which the application may call and which does nothing else.
_MONTHS = """
CREATE FUNCTION audit_make_month(month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    part text := 'audit_auditevent_' || to_char(month, 'YYYYMM');
    first bigint := public.audit_first_id(date_trunc('month', month::timestamp) AT TIME ZONE 'UTC');
    following bigint := public.audit_first_id(
        (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC');
    granted record;
BEGIN
    IF to_regclass('public.' || part) IS NOT NULL
       -- What is there of the month stays where it is, and with it the rest of the month.
       OR first < (SELECT substring(pg_get_expr(relpartbound, oid) FROM 'TO \\(''(\\d+)''\\)')::bigint
                   FROM pg_class WHERE oid = 'public.audit_auditevent_before'::regclass)
       OR EXISTS (SELECT FROM public.audit_auditevent_default WHERE id >= first AND id < following) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.audit_auditevent)', part);
    FOR granted IN SELECT DISTINCT grantee::regrole AS who
                   FROM pg_class, aclexplode(relacl)
                   WHERE oid = ('public.' || part)::regclass AND grantee NOT IN (0, relowner) LOOP
        EXECUTE format('REVOKE ALL ON public.%I FROM %s', part, granted.who);
    END LOOP;
    EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC', part);
    -- pg_dump reads each part by its name; nobody writes so.
    FOR granted IN SELECT grantee::regrole AS who FROM pg_class, aclexplode(relacl)
                   WHERE oid = 'public.audit_auditevent'::regclass AND privilege_type = 'SELECT'
                     AND grantee NOT IN (0, relowner) LOOP
        EXECUTE format('GRANT SELECT ON public.%I TO %s', part, granted.who);
    END LOOP;
    EXECUTE format('CREATE TRIGGER pgtrigger_no_truncate_c220f BEFORE TRUNCATE ON public.%I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION public.pgtrigger_no_truncate_c220f()', part);
    EXECUTE format('ALTER TABLE public.audit_auditevent ATTACH PARTITION public.%I FOR VALUES FROM (%s) TO (%s)',
                   part, first, following);
    RETURN true;
END $$;

CREATE FUNCTION audit_make_months() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '500ms' AS $$
DECLARE
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(x'5EA1AD19'::int);
    FOR ahead IN 0..3 LOOP
        made := made + audit_make_month((today + make_interval(months => ahead))::date)::int;
    END LOOP;
    RETURN made;
END $$;
"""

_BELOW = """
ALTER TABLE audit_auditseal DROP CONSTRAINT audit_auditseal_event_id_691a5959_fk_audit_auditevent_id;
ALTER TABLE audit_auditevent RENAME TO audit_auditevent_before;
ALTER TABLE audit_auditevent_before ALTER id DROP IDENTITY;
DROP TRIGGER pgtrigger_append_only_00dfa ON audit_auditevent_before;
ALTER INDEX audit_auditevent_pkey RENAME TO audit_auditevent_before_pkey;
ALTER INDEX audit_action RENAME TO audit_auditevent_before_action;
ALTER INDEX audit_auditevent_actor_id_270bb4b7 RENAME TO audit_auditevent_before_actor;
ALTER INDEX audit_auditevent_at_f461ba89 RENAME TO audit_auditevent_before_at;
ALTER INDEX audit_auditevent_site_id_909e8107 RENAME TO audit_auditevent_before_site;
ALTER INDEX audit_object RENAME TO audit_auditevent_before_object;
ALTER INDEX audit_site_at RENAME TO audit_auditevent_before_site_at;
ALTER INDEX audit_study RENAME TO audit_auditevent_before_study;

CREATE TABLE audit_auditevent (LIKE audit_auditevent_before) PARTITION BY RANGE (id);
ALTER TABLE audit_auditevent ADD CONSTRAINT audit_auditevent_pkey PRIMARY KEY (id);
CREATE INDEX audit_action ON audit_auditevent (action, id DESC);
CREATE INDEX audit_auditevent_actor_id_270bb4b7 ON audit_auditevent (actor_id);
CREATE INDEX audit_auditevent_at_f461ba89 ON audit_auditevent (at);
CREATE INDEX audit_auditevent_site_id_909e8107 ON audit_auditevent (site_id);
CREATE INDEX audit_object ON audit_auditevent (object_type, object_id);
CREATE INDEX audit_site_at ON audit_auditevent (site_id, at DESC);
CREATE INDEX audit_study ON audit_auditevent ((detail ->> 'study'));
ALTER TABLE audit_auditevent ADD CONSTRAINT audit_auditevent_actor_id_270bb4b7_fk_accounts_user_id
    FOREIGN KEY (actor_id) REFERENCES accounts_user (id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE audit_auditevent ADD CONSTRAINT audit_auditevent_site_id_909e8107_fk_accounts_site_id
    FOREIGN KEY (site_id) REFERENCES accounts_site (id) DEFERRABLE INITIALLY DEFERRED;
CREATE TRIGGER pgtrigger_append_only_00dfa BEFORE DELETE OR UPDATE ON audit_auditevent
    FOR EACH ROW EXECUTE FUNCTION pgtrigger_append_only_00dfa();
COMMENT ON TRIGGER pgtrigger_append_only_00dfa ON audit_auditevent IS '0450288fcb55201b346da4e2d56d2293ba7aac03';
CREATE TRIGGER pgtrigger_no_truncate_c220f BEFORE TRUNCATE ON audit_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION pgtrigger_no_truncate_c220f();
COMMENT ON TRIGGER pgtrigger_no_truncate_c220f ON audit_auditevent IS '2cc430a48998a278c618e303d9418c397ded71e7';
"""
_BEGIN = """
CREATE TABLE audit_auditevent_default PARTITION OF audit_auditevent DEFAULT;
DO $$
DECLARE
    bound text := (SELECT substring(pg_get_constraintdef(oid) FROM '\\d+') FROM pg_constraint
                   WHERE conname = 'audit_before_months' AND convalidated);
    granted record;
BEGIN
    EXECUTE 'ALTER TABLE audit_auditevent ATTACH PARTITION audit_auditevent_before FOR VALUES FROM (MINVALUE) TO ('
            || bound || ')';
    -- The release before writes on while this one is put in: what it may do, it may do at once with the new table.
    FOR granted IN SELECT grantee::regrole AS who, string_agg(privilege_type, ', ') AS what
                   FROM pg_class, aclexplode(relacl)
                   WHERE oid = 'audit_auditevent_before'::regclass AND grantee NOT IN (0, relowner) GROUP BY 1 LOOP
        EXECUTE format('GRANT %s ON audit_auditevent TO %s', granted.what, granted.who);
        EXECUTE format('GRANT USAGE, SELECT ON SEQUENCE audit_auditevent_number TO %s', granted.who);
        EXECUTE format('REVOKE ALL ON audit_auditevent_before FROM %s', granted.who);
        EXECUTE format('GRANT SELECT ON audit_auditevent_before, audit_auditevent_default TO %s', granted.who);
    END LOOP;
END $$;
ALTER TABLE audit_auditevent_before DROP CONSTRAINT audit_before_months;
CREATE TRIGGER pgtrigger_no_truncate_c220f BEFORE TRUNCATE ON audit_auditevent_default
    FOR EACH STATEMENT EXECUTE FUNCTION pgtrigger_no_truncate_c220f();
ALTER TABLE audit_auditseal ADD CONSTRAINT audit_auditseal_event_id_691a5959_fk_audit_auditevent_id
    FOREIGN KEY (event_id) REFERENCES audit_auditevent (id) DEFERRABLE INITIALLY DEFERRED NOT VALID;
SELECT audit_make_months();
"""

_ONE_TABLE = """
ALTER TABLE audit_auditseal DROP CONSTRAINT audit_auditseal_event_id_691a5959_fk_audit_auditevent_id;
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN SELECT grantee::regrole AS who, string_agg(privilege_type, ', ') AS what
                   FROM pg_class, aclexplode(relacl)
                   WHERE oid = 'audit_auditevent'::regclass AND grantee NOT IN (0, relowner) GROUP BY 1 LOOP
        EXECUTE format('GRANT %s ON audit_auditevent_before TO %s', granted.what, granted.who);
    END LOOP;
END $$;
ALTER TABLE audit_auditevent DETACH PARTITION audit_auditevent_before;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE audit_auditevent_before ALTER id DROP DEFAULT;
INSERT INTO audit_auditevent_before SELECT * FROM audit_auditevent ORDER BY id;
DROP TABLE audit_auditevent;
DROP FUNCTION audit_make_months();
DROP FUNCTION audit_make_month(date);
ALTER TABLE audit_auditevent_before RENAME TO audit_auditevent;
ALTER INDEX audit_auditevent_before_pkey RENAME TO audit_auditevent_pkey;
ALTER INDEX audit_auditevent_before_action RENAME TO audit_action;
ALTER INDEX audit_auditevent_before_actor RENAME TO audit_auditevent_actor_id_270bb4b7;
ALTER INDEX audit_auditevent_before_at RENAME TO audit_auditevent_at_f461ba89;
ALTER INDEX audit_auditevent_before_site RENAME TO audit_auditevent_site_id_909e8107;
ALTER INDEX audit_auditevent_before_object RENAME TO audit_object;
ALTER INDEX audit_auditevent_before_site_at RENAME TO audit_site_at;
ALTER INDEX audit_auditevent_before_study RENAME TO audit_study;
ALTER TABLE audit_auditevent ALTER id ADD GENERATED BY DEFAULT AS IDENTITY;
SELECT setval(pg_get_serial_sequence('audit_auditevent', 'id'), coalesce(max(id), 0) + 1, false) FROM audit_auditevent;
CREATE TRIGGER pgtrigger_append_only_00dfa BEFORE DELETE OR UPDATE ON audit_auditevent
    FOR EACH ROW EXECUTE FUNCTION pgtrigger_append_only_00dfa();
COMMENT ON TRIGGER pgtrigger_append_only_00dfa ON audit_auditevent IS '0450288fcb55201b346da4e2d56d2293ba7aac03';
ALTER TABLE audit_auditseal ADD CONSTRAINT audit_auditseal_event_id_691a5959_fk_audit_auditevent_id
    FOREIGN KEY (event_id) REFERENCES audit_auditevent (id) DEFERRABLE INITIALLY DEFERRED;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_clinical_lead"), ("audit", "0004_before_months")]

    operations = [
        migrations.RunSQL(_LOCK, ""),
        migrations.RunSQL(_BELOW, _ONE_TABLE),
        migrations.RunSQL(_IDS, ""),
        migrations.RunSQL(_MONTHS, ""),
        migrations.RunSQL(_BEGIN, ""),
        migrations.RunSQL("", _LOCK),
    ]
