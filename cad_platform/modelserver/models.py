"""The fleet: the hosts that serve models, and what is known of each version on each of them."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import DatabaseRights


class ModelHost(models.Model):
    """One model server. What it needs to be asked stands here, so that hosts come and go without a restart; never a
    token itself, only where it lies."""

    database_rights = DatabaseRights.DELETABLE

    class Source(models.TextChoices):
        LISTED = "listed", _("In the settings")
        NAMED = "named", _("Behind a DNS name")
        ADDED = "added", _("Added by an administrator")

    class Protocol(models.TextChoices):
        TORCHSERVE = "torchserve", "TorchServe"
        OPEN_INFERENCE = "open_inference", _("Open Inference Protocol (KServe v2)")

    protocol = models.CharField(max_length=20, choices=Protocol, default=Protocol.TORCHSERVE)
    name = models.CharField(max_length=120, unique=True, help_text="what pages, probes and logs call it")
    url = models.CharField(max_length=300, unique=True, help_text="inference address")
    management_url = models.CharField(max_length=300, blank=True)
    metrics_url = models.CharField(max_length=300, blank=True, help_text="address of its counters")
    key_file = models.CharField(
        max_length=500, blank=True, help_text="token file or TorchServe's own key file, as processes see it"
    )
    ca_file = models.CharField(
        max_length=500, blank=True, help_text="whose certificates count, beside the system's"
    )
    server_name = models.CharField(
        max_length=255, blank=True, help_text="whom its certificate must name, where the address is a number"
    )
    device = models.CharField(max_length=40, blank=True, help_text="what its workers compute on, as it says")
    source = models.CharField(max_length=10, choices=Source)
    draining_since = models.DateTimeField(null=True, help_text="given no new work from then on")
    added_at = models.DateTimeField(default=timezone.now)
    requests_total = models.BigIntegerField(
        null=True, help_text="that it took, by its own counters; none: it cannot be asked"
    )
    pending = models.PositiveIntegerField(null=True, help_text="requests that wait in its queues")
    counted_at = models.DateTimeField(null=True, help_text="when it was asked for both")
    quiet_since = models.DateTimeField(
        null=True, help_text="took no request and had none waiting, each time that it was asked since"
    )
    memory_used_mb = models.PositiveIntegerField(
        null=True, help_text="of its device: the graphics cards', else the machine's"
    )
    memory_total_mb = models.PositiveIntegerField(null=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class HostedVersion(models.Model):
    """One version on one host, as traffic and known cases found it."""

    database_rights = DatabaseRights.DELETABLE

    host = models.ForeignKey(ModelHost, on_delete=models.CASCADE, related_name="versions")
    name = models.CharField(max_length=60)
    version = models.CharField(max_length=40)
    is_loaded = models.BooleanField(null=True, help_text="none: no host that answered was asked yet")
    is_resting = models.BooleanField(
        default=False, help_text="it failed and gets no work until it has answered"
    )
    changed_at = models.DateTimeField(
        null=True, help_text="when loaded, resting or right changed, by the database's clock"
    )
    succeeded_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    reason = models.CharField(
        max_length=300, blank=True, help_text="of the latest failure; empty after a success"
    )
    is_right = models.BooleanField(
        null=True,
        help_text="its answer to the version's known case; none: not compared since it came (back). "
        "Wrong: it gets no work",
    )
    compared_at = models.DateTimeField(null=True)
    is_default = models.BooleanField(null=True, help_text="whom the host asks where no version is named")
    min_workers = models.PositiveIntegerField(null=True)
    max_workers = models.PositiveIntegerField(null=True)
    workers = models.PositiveIntegerField(null=True)
    worker_details = models.JSONField(default=list, help_text="id, status, since, memory_mb, gpu of each")
    pending = models.PositiveIntegerField(null=True, help_text="requests that wait for a worker")
    restarted_at = models.DateTimeField(
        null=True, help_text="when its workers were last started again for it"
    )
    ready_workers = models.PositiveIntegerField(null=True)
    calls = models.BigIntegerField(default=0, help_text="since the host is known: that succeeded")
    failures = models.BigIntegerField(default=0)
    p99_ms = models.FloatField(
        null=True, help_text="of forward passes, as the process that wrote last measured"
    )

    class Meta:
        ordering = ["name", "version"]
        constraints = [
            models.UniqueConstraint(fields=["host", "name", "version"], name="version_once_on_host"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"
