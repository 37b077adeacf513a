"""The database's part in the worklist's projection: in the transaction that changes what a study shows, note that it
did. No rule stands here: what a state is says `reading.selectors`, once (ADR 55).

Each trigger inserts a row and locks nothing that another writer wants. A table that the derivation reads and that has
no trigger fails `tests/reading/test_projection.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_CHANGED = "OLD.* IS DISTINCT FROM NEW.*"
#: Not the lease, which a worker renews every few seconds.
_OF_JOBS = (
    "state",
    "score",
    "reason",
    "result",
    "requested_at",
    "content_hash",
    "model_version_id",
    "study_id",
)
_OF_VERSIONS = ("is_default", "name", "modality")


@dataclass(frozen=True)
class Watched:
    """A table, what is done when a row of it is inserted, changed or, where `deleted` is given, taken away, and which
    of these count."""

    table: str
    action: str
    inserted: str = "TRUE"
    changed: str = _CHANGED
    deleted: str = ""


def _differ(columns: Iterable[str]) -> str:
    return " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in columns)


_OF_STUDY = (
    "INSERT INTO reading_worklistchange (site_id, study_id) "
    "SELECT site_id, id FROM studies_study WHERE id = NEW.study_id;"
)

WATCHED = (
    Watched(
        "studies_study",
        "INSERT INTO reading_worklistchange (site_id, study_id) VALUES (NEW.site_id, NEW.id);",
    ),
    Watched("analysis_analysisjob", _OF_STUDY, changed=_differ(_OF_JOBS)),
    Watched("reading_reportstanding", _OF_STUDY),
    # A new patient has no study yet; one that is merged, or no longer is, changes what the other is found by.
    Watched(
        "patients_patient",
        "INSERT INTO reading_worklistchange (site_id, study_id) "
        "SELECT site_id, id FROM studies_study "
        "WHERE patient_id IN (NEW.id, NEW.merged_into_id, OLD.merged_into_id);",
        inserted="FALSE",
    ),
    Watched(
        "accounts_site",
        "INSERT INTO reading_worklistchange (site_id, study_id) VALUES (NEW.id, NULL);",
        inserted="FALSE",
    ),
    # A version that is not in use yet changes nothing.
    Watched(
        "registry_modelversion",
        "INSERT INTO reading_worklistrouting DEFAULT VALUES;",
        inserted="NEW.is_default",
        changed=_differ(_OF_VERSIONS),
    ),
    # What runs in shadow counts nowhere.
    Watched(
        "registry_modelroute",
        "INSERT INTO reading_worklistrouting DEFAULT VALUES;",
        inserted="NEW.kind <> 'shadow'",
        changed="OLD.kind <> 'shadow' OR NEW.kind <> 'shadow'",
        deleted="OLD.kind <> 'shadow'",
    ),
)


def create(*tables: str) -> str:
    """The SQL that puts the triggers of some tables there, for a migration."""
    return "\n".join(_create(each) for each in WATCHED if each.table in tables)


def drop(*tables: str) -> str:
    """The SQL that takes them away."""
    return "\n".join(
        "\n".join(f"DROP TRIGGER worklist_{kind} ON {each.table};" for kind in statements(each))
        + f"\nDROP FUNCTION worklist_note_{each.table}();"
        for each in WATCHED
        if each.table in tables
    )


def statements(each: Watched) -> dict[str, tuple[str, str]]:
    """Trigger → the statement that sets it off, and which rows count."""
    of = {"inserted": ("INSERT", each.inserted), "changed": ("UPDATE", each.changed)}
    return of | ({"deleted": ("DELETE", each.deleted)} if each.deleted else {})


def _create(each: Watched) -> str:
    function = f"worklist_note_{each.table}()"
    triggers = "\n".join(
        f"CREATE TRIGGER worklist_{kind} AFTER {statement} ON {each.table}\n"
        f"    FOR EACH ROW WHEN ({counts}) EXECUTE FUNCTION {function};"
        for kind, (statement, counts) in statements(each).items()
    )
    return f"""
CREATE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {each.action}
    RETURN NULL;
END $$;
{triggers}
"""
