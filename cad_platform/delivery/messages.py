"""What is said of an event, to a program and to a person. Nothing of a patient; of an alert nothing of a study."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from cad_platform.delivery.models import Delivery


def as_json(delivery: Delivery) -> bytes:
    """For a webhook: what happened to which study or model and when, and where to read more."""
    said: dict[str, Any] = {
        "id": str(delivery.pk),
        "event": delivery.event,
        "occurred_at": delivery.occurred_at.isoformat(),
    }
    if delivery.alert is not None:
        alert = delivery.alert
        said["alert"] = {
            "measure": alert.rule.measure,
            "site": alert.site.code if alert.site else None,
            "model": alert.model_version.name,
            "version": alert.model_version.version,
            "device": alert.device or None,
            "value": alert.value,
            "threshold": alert.threshold,
        }
        said["url"] = _address(reverse("alert", args=[alert.pk]))
    else:
        assert delivery.study is not None  # the row's constraint
        uid = delivery.study.study_instance_uid
        said |= {"study_instance_uid": uid, "url": _address(reverse("api-study", args=[uid]))}
    return json.dumps(said).encode()


def as_mail(delivery: Delivery) -> tuple[str, str]:
    """Subject and text of an alert, in the language of the installation."""
    alert = delivery.alert
    assert alert is not None  # nothing else goes by e-mail (`services.add_webhook`)
    with translation.override(settings.LANGUAGE_CODE):
        what = str(alert.rule.get_measure_display())
        subject = _("Alert: %(what)s (%(model)s)") % {"what": what, "model": str(alert.model_version)}
        lines = [
            what,
            _("Model: %(model)s") % {"model": str(alert.model_version)},
            _("Site: %(site)s") % {"site": alert.site.name if alert.site else _("every site")},
        ]
        if alert.device:
            lines.append(_("Device: %(device)s") % {"device": alert.device})
        lines.append(
            _("Measured: %(value)s, threshold: %(threshold)s")
            % {"value": f"{alert.value:g}", "threshold": f"{alert.threshold:g}"}
        )
        if alert.rule.owner is not None:
            lines.append(_("In charge: %(person)s") % {"person": alert.rule.owner.printed_name})
        lines += ["", _address(reverse("alert", args=[alert.pk]))]
    return subject, "\n".join(lines)


def _address(path: str) -> str:
    return settings.PUBLIC_URL.rstrip("/") + path
