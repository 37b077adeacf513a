"""Turning a document into PDF/A-3a (tagged, PDF/UA-1) with Typst, in a child process with limits.

Everything that people wrote reaches Typst as data (JSON), never as markup, so it cannot be executed. The same
document and time give the same bytes. `python -m cad_platform.reporting.typesetting` is the child.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from cad_platform.core.errors import Unavailable, gettext_noop

#: What a template is called → how its PDF is made. A stamp is drawn upon pages of a report and no document of its own.
_TEMPLATES: dict[str, dict[str, Any]] = {
    "report.typ": {"pdf_standards": ["a-3a", "ua-1"]},
    "stamp.typ": {"pdf_tags": False},
}
_REPOSITORY = Path(__file__).resolve().parents[2]
#: Folder with the weights Regular and Bold of Noto Sans SC, whose glyphs cover English and Chinese; set-up puts them
#: there, in an image too.
FONTS = Path(os.environ.get("CAD_REPORT_FONTS") or _REPOSITORY / ".local-setup" / "fonts")
_WEIGHTS = ("*Regular.ttf", "*Bold.ttf")
TIME_LIMIT_S = 30
_MEMORY_LIMIT = 4 * 1024**3


class TypesettingFailed(Unavailable):
    code = "typesetting_failed"
    title = gettext_noop("The PDF could not be made")


def typeset(
    document: dict[str, Any],
    *,
    created: datetime,
    images: Mapping[str, bytes] | None = None,
    template: str = "report.typ",
    output: str = "pdf",
) -> bytes:
    """The document as a PDF.

    Parameters
    ----------
    document
        As `document.document_of` composes it.
    created
        The date that the file bears; the same document and date give the same bytes.
    images
        JPEG files by the names that the document gives them; they are put into the PDF as they are.
    template
        "report.typ", or "stamp.typ" for a page that holds nothing but the notices on top of it.
    output
        "pdf", or "png" for its first page at 144 pixels an inch (to look at).

    Raises
    ------
    TypesettingFailed
        Fonts are missing, it took too long, or Typst refused; the sentence says what to do about it.
    """
    if not all(any(FONTS.glob(weight)) for weight in _WEIGHTS):
        raise TypesettingFailed(
            _(
                "The fonts of the report are missing in %(folder)s: run the set-up, or name their folder in "
                "CAD_REPORT_FONTS."
            )
            % {"folder": FONTS.name}
        )
    order = {
        "document": document,
        "images": {name: base64.b64encode(data).decode() for name, data in (images or {}).items()},
        "template": template,
        "fonts": [str(FONTS)],
        "created": int(created.timestamp()),
        "output": output,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cad_platform.reporting.typesetting"],
            input=json.dumps(order).encode(),
            capture_output=True,
            timeout=TIME_LIMIT_S,
            cwd=_REPOSITORY,
            env={"PATH": os.defpath, "RAYON_NUM_THREADS": "1", "PYTHONPATH": str(_REPOSITORY)},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TypesettingFailed(
            _("Making the PDF took longer than %(seconds)d s.") % {"seconds": TIME_LIMIT_S}
        ) from error
    if done.returncode or not done.stdout:
        # Typst's message names lines of our template, not the patient's words.
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        raise TypesettingFailed(_("Making the PDF failed: %(reason)s") % {"reason": reason[0][:300]})
    return done.stdout


def main() -> int:
    """The child: an order on standard input, the document on standard output."""
    import typst

    resource.setrlimit(resource.RLIMIT_CPU, (TIME_LIMIT_S, TIME_LIMIT_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, _MEMORY_LIMIT))
    order = json.load(sys.stdin.buffer)
    options: dict[str, Any] = {"format": order["output"]}
    if order["output"] == "pdf":
        options |= _TEMPLATES[order["template"]]
    # Typst reads files below this folder and no others.
    with tempfile.TemporaryDirectory(prefix="report-") as folder:
        for name, data in order["images"].items():
            Path(folder, name).write_bytes(base64.b64decode(data))
        main_file = Path(folder, "main.typ")
        main_file.write_bytes(Path(__file__).with_name(order["template"]).read_bytes())
        try:
            made = typst.compile(
                main_file,
                root=main_file.parent,
                font_paths=order["fonts"],
                ignore_system_fonts=True,
                sys_inputs={"document": json.dumps(order["document"], ensure_ascii=False)},
                timestamp=order["created"],
                **options,
            )
        except typst.TypstError as error:
            print(error.message, file=sys.stderr)  # noqa: T201 (the parent reads it)
            return 1
    sys.stdout.buffer.write(made[0] if isinstance(made, list) else made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
