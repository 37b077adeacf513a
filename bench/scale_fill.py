"""A hospital's years in a database within minutes: patients, studies, images, jobs, findings, signed reports and a
sealed audit log, as set-based inserts by the superuser with the triggers off. Nothing of it has a file.

98.5 % of the studies are signed; the latest ones are open, at least as many as fill a page of the worklist.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from embedded.postgres import OWNER

OPEN_SHARE, LEAST_OPEN = 0.015, 40
IMAGES = 3
_FAMILY = (
    *(
        "Adeyemi",
        "Müller",
        "Lindqvist",
        "Okafor",
        "Søndergaard",
        "Novák",
        "García",
        "Kowalski",
        "Haddad",
        "Ivanova",
    ),
    *("王", "李", "张", "欧阳", "陈", "Nguyễn", "Tanaka", "O'Brien", "Ferrari", "Yılmaz"),
)
_GIVEN = (
    "Ruth",
    "Sara",
    "Maja",
    "Jörg",
    "Zoë",
    "Amara",
    "Ingrid",
    "小明",
    "美丽",
    "芳",
    "Chiara",
    "Ayşe",
    "Łucja",
)
_STEMS = (
    "ber",
    "dal",
    "gren",
    "holm",
    "kar",
    "lan",
    "mir",
    "nes",
    "ost",
    "pra",
    "ros",
    "sten",
    "tor",
    "vik",
    "win",
)


@dataclass(frozen=True)
class Place:
    """Where the rows belong."""

    site: int
    actor: int
    versions: Mapping[str, int]


def fill(url: str, place: Place, begin: int, end: int, events: int, of: int) -> None:
    """Studies `begin` to `end`, of which the last ones of all stay open; an earlier call's open ones are signed.
    `events`: in the audit log, a study, one every twenty minutes up to the last one of all, number `of`."""
    from cad_platform.studies.models import Instance, Series, StoredFile, Study

    open_from = end - max(LEAST_OPEN, int(end * OPEN_SHARE))
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        _patients(connection, place.site, begin, end)
        numbers = sql.SQL("generate_series({}, {}) AS i").format(begin, end - 1)
        received = f"now() - make_interval(mins => ({end} - i) * 20 + i % 17)"
        insert = _Insert(connection)
        insert(
            Study,
            numbers,
            id="md5('study' || i)::uuid",
            site_id=str(place.site),
            patient_id="md5('patient' || i * 7 / 10)::uuid",
            study_instance_uid="'2.25.1' || lpad(i::text, 12, '0')",
            accession_number="'A' || lpad(i::text, 9, '0')",
            modality="(ARRAY['MG','MG','MG','US'])[1 + i % 4]",
            modalities="jsonb_build_array((ARRAY['MG','MG','MG','US'])[1 + i % 4])",
            procedure="'Screening of both breasts'",
            priority="CASE WHEN i % 50 = 0 THEN 'stat' WHEN i % 12 = 0 THEN 'urgent' ELSE 'routine' END",
            study_date=f"({received})::date",
            state="'complete'",
            content_hash="repeat(md5('content' || i), 2)",
            received_at=received,
            completed_at=f"{received} + interval '30 seconds'",
        )
        insert(
            Series,
            numbers,
            study_id="md5('study' || i)::uuid",
            series_instance_uid="'2.25.2' || lpad(i::text, 12, '0')",
            modality="(ARRAY['MG','MG','MG','US'])[1 + i % 4]",
            number="1",
        )
        images = sql.SQL("generate_series({}, {}) AS i, generate_series(1, {}) AS k").format(
            begin, end - 1, IMAGES
        )
        insert(
            StoredFile,
            images,
            sha256="repeat(md5('file' || i || '/' || k), 2)",
            size="17000000",
            media_type="'application/dicom'",
        )
        insert(
            Instance,
            sql.SQL(
                "studies_series s JOIN (SELECT i, k, md5('study' || i)::uuid AS study FROM {}) n "
                "ON s.study_id = n.study"
            ).format(images),
            id="md5('image' || i || '/' || k)::uuid",
            site_id=str(place.site),
            series_id="s.id",
            sop_instance_uid="'2.25.3' || lpad(i::text, 12, '0') || k",
            number="k",
            kind="'dicom'",
            file_id="repeat(md5('file' || i || '/' || k), 2)",
            file_name="'image' || k || '.dcm'",
            laterality="CASE WHEN k % 2 = 0 THEN 'L' ELSE 'R' END",
            rows="2294",
            columns="1914",
        )
        _results(insert, numbers, place, open_from)
        _standings(insert, connection, begin, end, open_from)
        _audit(connection, place, range(begin, end), events, of)


def settle(url: str) -> None:
    """What a database that has run for years has behind it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def _patients(connection: psycopg.Connection[Any], site: int, begin: int, end: int) -> None:
    from cad_platform.patients.models import Patient

    first, last = -(-begin * 7 // 10), (end - 1) * 7 // 10
    columns = [field.column for field in Patient._meta.concrete_fields]
    statement = sql.SQL("COPY patients_patient ({}) FROM STDIN").format(
        sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor().copy(statement) as copy:
        for number in range(first, last + 1):
            key = uuid.UUID(_md5(f"patient{number}"))
            made = Patient(id=key, site_id=site, patient_id=f"HN-{number:08d}", name=_name(number), sex="F")
            made.birth_date = datetime(1940 + number % 50, 1 + number % 12, 1 + number % 28).date()
            made.search_name = made.searchable()
            copy.write_row([getattr(made, field.attname) for field in Patient._meta.concrete_fields])


def _name(number: int) -> str:
    drawn = random.Random(number)  # noqa: S311 (names, not secrets)
    family, given = drawn.choice(_FAMILY), drawn.choice(_GIVEN)
    if family.isascii() and given.isascii():
        family += drawn.choice(_STEMS) + drawn.choice(_STEMS)
    return f"{family}^{given}"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class _Insert:
    """`INSERT … SELECT`, with the model's own defaults in the columns that are not given."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def __call__(self, model: Any, source: sql.Composed | sql.SQL, **given: str) -> None:
        columns, values = [], []
        for field in model._meta.concrete_fields:
            if field.column in given:
                values.append(sql.SQL(given[field.column]))
            elif field.primary_key or field.has_db_default():
                continue
            else:
                default = field.get_default()
                values.append(sql.Literal(Jsonb(default) if isinstance(default, dict | list) else default))
            columns.append(sql.Identifier(field.column))
        self.connection.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(
                sql.Identifier(model._meta.db_table),
                sql.SQL(", ").join(columns),
                sql.SQL(", ").join(values),
                source,
            )
        )


def _results(insert: _Insert, numbers: sql.Composed, place: Place, open_from: int) -> None:
    from cad_platform.analysis.models import AnalysisJob, Finding

    version = f"CASE WHEN i % 4 = 3 THEN {place.versions['US']} ELSE {place.versions['MG']} END"
    running = f"i >= {open_from} AND i % 9 = 0"
    result = "jsonb_build_object('contract_version', '1.0', 'flags', '[]'::jsonb, 'images', '[]'::jsonb)"
    requested = "now() - make_interval(mins => i % 1000000)"
    job = {
        "study_id": "md5('study' || i)::uuid",
        "content_hash": "repeat(md5('content' || i), 2)",
        "requested_at": requested,
        "finished_at": f"CASE WHEN {running} THEN NULL ELSE {requested} END",
    }
    insert(
        AnalysisJob,
        numbers,
        id="md5('job' || i)::uuid",
        model_version_id=version,
        state=f"CASE WHEN {running} THEN 'running' ELSE 'succeeded' END",
        result=f"CASE WHEN {running} THEN NULL ELSE {result} END",
        score=f"CASE WHEN {running} THEN NULL ELSE (i * 7919 % 1000) / 1000.0 END",
        **job,
    )
    # One in twenty was looked at by the version before as well.
    insert(
        AnalysisJob,
        sql.SQL("{} WHERE i % 20 = 0").format(numbers),
        id="md5('earlier' || i)::uuid",
        model_version_id=str(place.versions["before"]),
        state="'succeeded'",
        result=result,
        score="0.5",
        **job,
    )
    insert(
        Finding,
        sql.SQL("{} WHERE i % 2 = 0").format(numbers),
        id="md5('finding' || i)::uuid",
        study_id="md5('study' || i)::uuid",
        instance_id="md5('image' || i || '/1')::uuid",
        job_id="md5('job' || i)::uuid",
        number="1",
        label="'mass'",
        score="0.8",
        box="'[100, 200, 220, 290]'::jsonb",
    )


def _standings(
    insert: _Insert, connection: psycopg.Connection[Any], begin: int, end: int, open_from: int
) -> None:
    from cad_platform.reading.models import ReportStanding

    connection.execute(
        "UPDATE reading_reportstanding SET has_draft = false, signed_at = now(), signed_jobs = '{}'"
    )
    # What was open before is signed, as if the years had gone on.
    insert(
        ReportStanding,
        sql.SQL(
            "generate_series(0, {}) AS i WHERE NOT EXISTS (SELECT 1 FROM reading_reportstanding r "
            "WHERE r.study_id = md5('study' || i)::uuid)"
        ).format(open_from - 1),
        study_id="md5('study' || i)::uuid",
        has_draft="false",
        signed_at="now() - interval '1 minute'",
        signed_jobs="'{}'::jsonb",
        category="'2'",
    )
    insert(
        ReportStanding,
        sql.SQL("generate_series({}, {}) AS i WHERE i % 10 = 0").format(open_from, end - 1),
        study_id="md5('study' || i)::uuid",
        has_draft="true",
    )
    connection.execute(
        "UPDATE analysis_analysisjob SET state = 'succeeded', result = '{}', score = 0.3, "
        "finished_at = now() WHERE state = 'running' AND study_id IN "
        "(SELECT study_id FROM reading_reportstanding WHERE signed_at IS NOT NULL)"
    )


def _audit(connection: psycopg.Connection[Any], place: Place, studies: range, events: int, of: int) -> None:
    """Sealed: the chain is a real one, and each event in its month."""
    from cad_platform.audit.chain import GENESIS, link
    from cad_platform.audit.models import AuditEvent, AuditSeal
    from cad_platform.audit.months import first_id

    row = connection.execute(
        "SELECT sequence, hash FROM audit_auditseal ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    sequence, previous = row or (0, GENESIS)
    made = _events(place, studies, events, of)
    first = next(made)
    # A month belongs to whom the others do.
    connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER)))
    connection.execute(
        "SELECT audit_make_month(month::date) FROM generate_series(date_trunc('month', %s), now(), '1 month') month",
        [first.at],
    )
    connection.execute("RESET ROLE")
    seals: list[tuple[Any, ...]] = []
    fields = AuditEvent._meta.concrete_fields
    with connection.cursor().copy(_copy(AuditEvent)) as copy:
        for event in itertools.chain([first], made):
            sequence += 1
            event.pk = first_id(event.at) + sequence
            digest = link(sequence, previous, event)
            seals.append((sequence, event.pk, previous, digest, event.at))
            previous = digest
            values = [getattr(event, field.attname) for field in fields]
            copy.write_row([Jsonb(value) if isinstance(value, dict) else value for value in values])
    with connection.cursor().copy(_copy(AuditSeal)) as copy:
        for seal in seals:
            copy.write_row(seal)
    connection.execute("SELECT setval('audit_auditevent_number', %s)", [sequence])


def _copy(model: Any) -> sql.Composed:
    columns = [sql.Identifier(field.column) for field in model._meta.concrete_fields]
    return sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(model._meta.db_table), sql.SQL(", ").join(columns)
    )


def _events(place: Place, studies: range, each: int, of: int) -> Iterator[Any]:
    from cad_platform.audit.models import AuditEvent

    actions = (
        *("study.receive", "analysis.request", "analysis.end", "study.list", "study.view", "image.view"),
        *("finding.decide", "report.draft", "report.sign", "study.view"),
    )
    now = datetime.now(UTC)
    for number in studies:
        study = str(uuid.UUID(_md5(f"study{number}")))
        at = now - timedelta(minutes=(of - number) * 20)
        for order in range(each):
            yield AuditEvent(
                at=at + timedelta(seconds=order),
                actor_id=place.actor,
                actor_label="reader",
                site_id=place.site,
                action=actions[order % len(actions)],
                object_type="study",
                object_id=study,
                address="127.0.0.1",
                detail={"study": study},
            )
