"""What a model said and what a reader decided, in words: on screen and in the PDF."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from cad_platform.analysis.models import AnalysisJob
from cad_platform.reading.models import FindingDecision
from cad_platform.reading.wording import class_words, flag, point_words


def job_statement(job: dict[str, Any]) -> dict[str, str]:
    """`title`, `statement` and `provenance` of one job of an AI summary."""
    return {
        "title": f"{job['title']} {job['version']}",
        "statement": _statement(job),
        "provenance": _provenance(job),
    }


def _statement(job: dict[str, Any]) -> str:
    if job["state"] != AnalysisJob.State.SUCCEEDED:
        state = str(AnalysisJob.State(job["state"]).label)
        return f"{state}: {job['reason']}" if job["reason"] else state
    said = _probabilities(job["probabilities"])
    for side, values in sorted(job["breasts"].items(), reverse=True):
        name = _("right breast") if side == "R" else _("left breast")
        said += f"; {name}: {_probabilities(values)}"
    if job["flags"]:
        flags = ", ".join(flag(code).name for code in job["flags"])
        said += ". " + _("Flags: %(flags)s") % {"flags": flags}
    return said


def _probabilities(values: dict[str, float]) -> str:
    """ "Malignant 0.87, Benign 0.10": the likeliest first."""
    ordered = sorted(values.items(), key=lambda item: -item[1])
    return ", ".join(f"{class_words(name)} {value:.2f}" for name, value in ordered)


def _provenance(job: dict[str, Any]) -> str:
    parts = [f"{job['model']} {job['version']}"]
    if job["weights_sha256"]:
        parts.append(_("weights %(hash)s") % {"hash": job["weights_sha256"][:12]})
    if job["preprocessing_sha256"]:
        parts.append(_("preprocessing %(hash)s") % {"hash": job["preprocessing_sha256"][:12]})
    if job["thresholds"]:
        thresholds = sorted(job["thresholds"].items())
        points = ", ".join(f"{point_words(name)} {value:g}" for name, value in thresholds)
        parts.append(_("operating points %(points)s") % {"points": points})
    if job["finished_at"]:
        parts.append(job["finished_at"][:19].replace("T", " ") + " UTC")
    return " · ".join(parts)


def decision_words(finding: dict[str, Any]) -> str:
    """ "Rejected by Dr A: skin fold"; for a reader's own finding who drew it."""
    decision = finding["decision"]
    if finding["source"] == "reader" and not decision:
        return _("Drawn by %(reader)s") % {"reader": finding["author"]}
    if not decision:
        return _("Not decided")
    verdict = str(FindingDecision.Verdict(decision["verdict"]).label)
    words = _("%(verdict)s by %(reader)s") % {"verdict": verdict, "reader": decision["reader"]}
    return f"{words}: {decision['reason']}" if decision["reason"] else words
