"""The box's one page: plain HTML without a script, readable from a distance."""

from __future__ import annotations

import time
from html import escape
from typing import Any

from edge.words import said

_NOTE = "This page looks again every ten seconds. It has the patient's number and no name."
_STYLE = """
:root { color-scheme: dark; }
body { background: #14181d; color: #dfe5ec; font: 1.05rem/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 75rem;
  padding: 1.5rem; }
h1 { font-size: 1.3rem; font-weight: 600; } h2 { font-size: 1.1rem; font-weight: 600; margin-top: 2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.5rem; } dt { color: #a9b4c0; }
dd { margin: 0; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .55rem .8rem .55rem 0;
  border-bottom: 1px solid #333c46; vertical-align: top; } th { color: #a9b4c0; font-weight: 500; }
a { color: #9cc4ff; } a:focus-visible { outline: 3px solid #9cc4ff; outline-offset: 2px; }
.say { border-left: 4px solid #d9b45b; padding-left: .8rem; } p.note { color: #a9b4c0; font-size: .92rem; }
"""


def page(state: dict[str, Any], language: str) -> str:
    """The page in a language; `state` as `edge.state.State.whole` says it."""

    def words(sentence: str, **values: object) -> str:
        return escape(said(language, sentence, **values))

    model = state["model"]
    rows = [
        ("Model", escape(f"{model['name']} {model['version']}")),
        ("Line to the hospital", _line(state, words)),
        ("Waiting for the hospital", str(state["waiting"])),
        ("Files with the hospital", str(state["delivered"])),
        ("Declined by the hospital", str(state["declined"])),
        ("Room on the disk", f"{state['free_mb'] / 1024:.1f} GB"),
    ]
    facts = "".join(f"<dt>{words(name)}</dt><dd>{value}</dd>" for name, value in rows)
    full = (
        ""
        if state["has_room"]
        else (f'<p class="say" role="status">{words("The disk is full: nothing more is taken in.")}</p>')
    )
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta http-equiv="refresh" content="10"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{words('Edge box')}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{words('Edge box')}</h1>{full}<dl>{facts}</dl><h2>{words('Studies')}</h2>{_studies(state, words)}"
        f'<p class="note">{words(_NOTE)} '
        f"{words('Research software, not a medical device.')}</p></main></body></html>"
    )


def _line(state: dict[str, Any], words: Any) -> str:
    hospital = state["hospital"]
    if not hospital["is_set"]:
        return str(words("No hospital is set: everything stays here."))
    if hospital["trouble"]:
        # The reason stands as it is in the log: whoever mends the line looks for it there.
        parts = [
            escape(hospital["trouble"]),
            words("Next try in {seconds} s.", seconds=hospital["next_try_seconds"]),
        ]
    elif state["waiting"]:
        parts = [words("Handing over.")]
    else:
        parts = [words("Everything has been handed over.")]
    if hospital["reached_at"]:
        parts.append(words("Last answer: {time}.", time=_time(hospital["reached_at"])))
    return " ".join(parts)


def _studies(state: dict[str, Any], words: Any) -> str:
    if not state["studies"]:
        return f"<p>{words('No study has come yet.')}</p>"
    names = ("Came at", "Patient ID", "Accession number", "Images", "Answer", "With the hospital")
    head = "".join(f'<th scope="col">{words(name)}</th>' for name in names)
    rows = "".join(f"<tr>{_row(study, state, words)}</tr>" for study in state["studies"])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(study: dict[str, Any], state: dict[str, Any], words: Any) -> str:
    handed = [words("{done} of {all}", done=study["delivered"], all=study["files"])]
    handed += [words("declined: {reason}", reason=reason) for reason in study["declined"]]
    cells = [
        _time(study["received_at"]), escape(study["patient_id"]), escape(study["accession_number"]),
        str(study["images_read"]), _answer(study, state, words), "<br>".join(handed),
    ]  # fmt: skip
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _answer(study: dict[str, Any], state: dict[str, Any], words: Any) -> str:
    result = study["result"]
    if not study["images_read"]:
        return str(words("Not read by this box's model."))
    if result is None:
        return str(words("Being read."))
    if result["error"]:
        return escape(result["error"])
    uid = escape(study["study_instance_uid"], quote=True)
    if result["score"] is None:
        parts = [
            words("No verdict: the images are unlike what {model} has learnt from.", model=result["model"])
        ]
    else:
        parts = [
            "<strong>"
            + words(
                "{words}: {class} {score} by {model}",
                **{
                    "words": words(result["level"]), "class": words(state["model"]["positive_class"]),
                    "score": f"{result['score']:.2f}", "model": result["model"],
                },
            )
            + "</strong>"
        ]  # fmt: skip
        if result["is_partial"]:
            parts.append(words("Without the images that are unlike what the model has learnt from."))
    links = [f'<a href="/results/{uid}">{words("The whole answer")}</a>']
    links += [
        f'<a href="/pictures/{result["content"]}/{escape(name, quote=True)}">'
        f"{words('Heat map of image {number}', number=number)}</a>"
        for number, name in enumerate(result["heatmaps"], 1)
    ]
    return "<br>".join([*parts, " · ".join(links)])


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
