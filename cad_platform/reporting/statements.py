"""What a model said and what a reader decided, in words: on screen and in the PDF."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cad_platform.analysis.models import AnalysisJob
from cad_platform.analysis.reasons import reason_words
from cad_platform.core.punctuation import clauses, listed, named
from cad_platform.reading.models import FindingDecision
from cad_platform.reading.wording import (
    breast_words,
    class_words,
    flag,
    frames_words,
    percent_of,
    place_words,
    point_words,
    probability_of,
    reason_said,
    score,
)
from cad_platform.registry.manifest_words import manifest_words
from cad_platform.reporting.times import moment


def job_statement(job: dict[str, Any]) -> dict[str, str]:
    """`title`, `statement` and `provenance` of one job of an AI summary."""
    return {
        "title": f"{manifest_words(job['title'])} {job['version']}",
        "statement": _statement(job),
        "provenance": _provenance(job),
    }


def _statement(job: dict[str, Any]) -> str:
    if job["state"] != AnalysisJob.State.SUCCEEDED:
        state = str(AnalysisJob.State(job["state"]).label)
        if not job["reason"]:
            return state
        return _("%(state)s: %(reason)s") % {"state": state, "reason": reason_words(job["reason"])}
    lines = [_verdict_words(job)]
    if job.get("has_verdict", True):
        # Beside the number, never after everything else.
        codes = [*(["partial"] if job.get("is_partial") else []), *job["flags"]]
        if codes:
            lines[0] = _noted(lines[0], [flag(code).name for code in codes])
        lines += _sides(job)
    if read := _read(job):
        lines.append(read)
    return "\n".join(lines)


def _verdict_words(job: dict[str, Any]) -> str:
    """ "Suspicious: probability of malignancy 56 %"; a record of before 2.3 lists its classes."""
    if not job.get("has_verdict", True):
        unlike = flag("out_of_distribution")
        return _("%(words)s: %(number)s") % {"words": unlike.name, "number": unlike.explanation}
    value = job["probabilities"].get(job["positive_class"])
    if value is None:
        return clauses(
            number_words(class_words(name), value)
            for name, value in sorted(job["probabilities"].items(), key=lambda item: -item[1])
        )
    said = number_words(probability_of(job["positive_class"]), value)
    if modality := job.get("modality", ""):
        words = score(value, job["thresholds"], modality).words
        return _("%(words)s: %(number)s") % {"words": words, "number": said}
    return said


def _sides(job: dict[str, Any]) -> list[str]:
    said = []
    for side, values in sorted(job["breasts"].items(), reverse=True):
        value = values.get(job["positive_class"])
        if value is not None:
            name = breast_words(side, is_sure=not job.get("side_unconfirmed"))
            said.append(number_words(name, value))
    return [clauses(said)] if said else []


def _read(job: dict[str, Any]) -> str:
    """Which images and frames the model read, and which it did not, and why."""
    said, unread = [], []
    for image in job.get("images_read", []):
        words = place_words(image["name"])
        if why := image.get("not_read"):
            unread.append(_noted(words, [reason_words(why).rstrip(".。")]))
            continue
        notes = [frames_words(image["frames_read"], image["frames"])]
        if not image["is_judged"]:
            notes.append(_("no verdict"))
        said.append(_noted(words, [note for note in notes if note]))
    lines = [_("Images read: %(images)s") % {"images": listed(said)}] if said else []
    if unread:
        lines.append(_("Not read: %(images)s") % {"images": listed(unread)})
    return "\n".join(lines)


def _noted(words: str, notes: list[str]) -> str:
    """The words with what stands beside them, in brackets."""
    return _("%(words)s (%(notes)s)") % {"words": words, "notes": clauses(notes)} if notes else words


def number_words(name: str, probability: float) -> str:
    """ "probability of a mass 84 %"."""
    return _("%(name)s %(percent)d %%") % {"name": name, "percent": percent_of(probability)}


def mark_words(finding: dict[str, Any]) -> str:
    """The number of a mark, named; a dash for a reader's own."""
    if finding["score"] is None:
        return "—"
    return number_words(probability_of(finding.get("score_of") or finding["label"]), finding["score"])


def undecided_words(summary: dict[str, Any]) -> str:
    """How many marks nobody decided on, which are no findings then; empty where there were none."""
    numbers = summary.get("undecided", [])
    if not numbers:
        return ""
    return ngettext(
        "%(count)d mark of the models was not decided on and is no finding of this report.",
        "%(count)d marks of the models were not decided on and are no findings of this report.",
        len(numbers),
    ) % {"count": len(numbers)}


def rejected_words(summary: dict[str, Any]) -> list[str]:
    """ "Rejected by Dr A: skin fold (marks 2, 5)": what readers rejected, for each reader and reason."""
    numbers: dict[str, list[str]] = {}
    for finding in summary.get("findings", []):
        if (finding["decision"] or {}).get("verdict") == FindingDecision.Verdict.REJECTED:
            numbers.setdefault(decision_words(finding), []).append(str(finding["number"]))
    return [
        _("%(decision)s (%(marks)s)")
        % {
            "decision": words,
            "marks": ngettext("mark %(numbers)s", "marks %(numbers)s", len(found))
            % {"numbers": listed(found)},
        }
        for words, found in numbers.items()
    ]


def fainter_words(summary: dict[str, Any]) -> str:
    """How many marks were not shown, and by whose choice; empty where there were none."""
    count = summary.get("fainter_marks", 0)
    if not count:
        return ""
    return ngettext(
        "%(count)d fainter mark was not shown (this site bears %(rate)s false marks an exam on average).",
        "%(count)d fainter marks were not shown (this site bears %(rate)s false marks an exam on average).",
        count,
    ) % {"count": count, "rate": f"{summary['false_marks_per_exam']:g}"}


def _provenance(job: dict[str, Any]) -> str:
    parts = [f"{job['model']} {job['version']}"]
    if job["weights_sha256"]:
        parts.append(_("weights %(hash)s") % {"hash": job["weights_sha256"][:12]})
    if job["preprocessing_sha256"]:
        parts.append(_("preprocessing %(hash)s") % {"hash": job["preprocessing_sha256"][:12]})
    if job["thresholds"]:
        thresholds = sorted(job["thresholds"].items())
        points = listed(f"{point_words(name)} {value:g}" for name, value in thresholds)
        parts.append(_("cut-offs %(points)s") % {"points": points})
    if job["finished_at"]:
        parts.append(moment(datetime.fromisoformat(job["finished_at"])))
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
    return named(words, reason_said(decision["reason"])) if decision["reason"] else words
