"""Facts without a clinical meaning: events to publish and proofs that a component works."""

from __future__ import annotations

import pghistory.models
import pgtrigger
from django.db import models
from django.utils import timezone

from cad_platform.core import request_ids
from cad_platform.core.declarations import DatabaseRights


class Event(pghistory.models.Event):
    """A row of history: what a tracked row was, and from when. The history of every tracked model derives from it."""

    database_rights = DatabaseRights.APPEND_ONLY

    class Meta:
        abstract = True


class OutboxEvent(models.Model):
    """Something that happened and must reach the broker. Written in the transaction that made it true; the
    relay publishes it, at least once, when the broker is there."""

    database_rights = DatabaseRights.DELETABLE

    request_id = models.CharField(
        max_length=request_ids.LONGEST, blank=True, default=request_ids.current, db_default="",
        help_text="of the request in which it happened",
    )  # fmt: skip
    topic = models.CharField(max_length=100)
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    published_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(
                fields=["id"], condition=models.Q(published_at__isnull=True), name="outbox_unpublished"
            ),
        ]
        triggers = [
            # Wakes the relay at commit, so that a study need not wait for a poll.
            pgtrigger.Trigger(
                name="notify_relay",
                operation=pgtrigger.Insert,
                when=pgtrigger.After,
                level=pgtrigger.Statement,
                func="PERFORM pg_notify('cad_outbox', ''); RETURN NULL;",
            )
        ]


class ComponentProbe(models.Model):
    """The latest proof by traffic that a component works, or how it failed."""

    database_rights = DatabaseRights.DELETABLE

    component = models.CharField(max_length=120, primary_key=True)
    succeeded_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    code = models.CharField(
        max_length=40, blank=True, db_default="", help_text="What kind of failure the latest one was"
    )
    latency_ms = models.FloatField(null=True)
    required = models.BooleanField(
        default=False, db_default=False, help_text="The platform is only ready while it works"
    )
    redundant = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Others do its work while it fails: the platform is degraded",
    )


class DoneRequest(models.Model):
    """A form that was done, under the name that its sender, key, address and fields make, with the page that followed:
    what a browser sends twice, since an answer got lost, is not done twice (`request_keys.done_once`)."""

    database_rights = DatabaseRights.DELETABLE

    name = models.CharField(max_length=64, primary_key=True, help_text="SHA-256; says nothing of the fields")
    location = models.TextField(
        blank=True, help_text="the page that followed; empty where the form's own did"
    )
    done_at = models.DateTimeField(default=timezone.now, db_index=True)
