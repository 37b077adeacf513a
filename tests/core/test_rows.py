"""New rows of several tables go to the database in one message, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from cad_platform.audit.models import AuditEvent
from cad_platform.audit.services import record
from cad_platform.core import outbox, rows
from cad_platform.core.actor import Actor
from cad_platform.core.models import OutboxEvent
from cad_platform.studies.models import Series
from tests import factories

pytestmark = pytest.mark.django_db
ACTOR = Actor.system("test")


def test_rows_of_several_tables_are_one_statement(django_assert_num_queries: Any) -> None:
    with transaction.atomic(), django_assert_num_queries(1), rows.together():
        record(ACTOR, "study.receive", object_id="1", images=2)
        record(ACTOR, "study.add", object_id="1", note="it's 100 %; and more")
        outbox.publish("study.complete", study_id="1")
        record(ACTOR, "patient.create")

    first, second, third = AuditEvent.objects.order_by("id")
    assert (first.action, second.action, third.action) == ("study.receive", "study.add", "patient.create")
    assert (first.detail, second.detail["note"]) == ({"images": 2}, "it's 100 %; and more")
    assert OutboxEvent.objects.get().payload == {"study_id": "1"}


def test_outside_of_a_block_a_row_is_inserted_at_once() -> None:
    event = record(ACTOR, "study.receive")

    assert AuditEvent.objects.get() == event


def test_nothing_goes_where_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic(), rows.together():
        record(ACTOR, "study.receive")
        1 / 0  # noqa: B018

    record(ACTOR, "study.add")
    assert AuditEvent.objects.get().action == "study.add"


@pytest.mark.django_db(transaction=True)
def test_one_row_that_cannot_be_takes_all_with_it() -> None:
    taken = factories.instance(factories.study(factories.site()))

    with pytest.raises(IntegrityError), transaction.atomic(), rows.together():
        record(ACTOR, "study.receive")
        rows.insert(
            Series(pk=taken.series_id, study=taken.series.study, series_instance_uid="1.2", modality="US")
        )

    assert not AuditEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_rows_that_go_together_need_a_transaction() -> None:
    with pytest.raises(RuntimeError, match="transaction"), rows.together():
        pass


def test_number_for_a_row_is_nobody_elses() -> None:
    study = factories.study(factories.site())
    mine = Series(pk=rows.next_key(Series), study=study, series_instance_uid="1.2.3", modality="US")
    theirs = Series.objects.create(study=study, series_instance_uid="1.2.4", modality="US")
    with transaction.atomic(), rows.together():
        rows.insert(mine)

    assert mine.pk != theirs.pk
    assert Series.objects.get(pk=mine.pk).series_instance_uid == "1.2.3"
