"""`python -m embedded.messages`: bring the translations' catalogues up to date with the code and list what is
untranslated, without GNU gettext on the machine.

Python is read by Babel; a template is first turned into Python by Django, as `makemessages` does it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from embedded.state import REPOSITORY

KEYWORDS: dict[str, Any] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
PLACES = ("cad_platform",)
_HEADER = """\
# Messages of the interface; brought up to date by `python -m embedded.messages`.
msgid ""
msgstr ""
"Language: {language}\\n"
"Plural-Forms: {plurals}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""
#: A message, or its singular and plural; and its context.
Found = tuple[str | tuple[str, ...], str | None]
_STRING = r"""u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_LITERAL = re.compile(_STRING)
_CALL = re.compile(rf"\b(?P<name>n?p?gettext)\((?P<arguments>{_STRING}(?:,\s*{_STRING})*)")
_PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]|\{(\w+)\}")


def collect(repository: Path) -> Catalog:
    """Every message of the platform with the files that it stands in; line numbers would change too often."""
    catalogue = Catalog(project="Breast-imaging CAD platform", fuzzy=False)
    for path in _sources(repository):
        text = path.read_text(encoding="utf-8")
        found = _in_template(text, str(path)) if path.suffix == ".html" else _in_python(text)
        for message, context in found:
            place: Any = (str(path.relative_to(repository)), None)
            catalogue.add(message, locations=[place], context=context)
    return catalogue


def _in_python(text: str) -> Iterator[Found]:
    source = BytesIO(text.encode())
    for _line, message, _comments, context in extract(
        "python", source, keywords=KEYWORDS, options={"encoding": "utf-8"}
    ):
        yield message, context


def _in_template(text: str, origin: str) -> Iterator[Found]:
    """`templatize` leaves calls such as ` ngettext(u'one', u'many', count) ` between crossed-out markup."""
    for call in _CALL.finditer(templatize(text, origin=origin)):
        literals = [ast.literal_eval(match.group()) for match in _LITERAL.finditer(call.group("arguments"))]
        context = literals.pop(0) if "p" in call.group("name")[:2] else None
        yield (tuple(literals[:2]) if call.group("name").startswith("n") else literals[0]), context


def _sources(repository: Path) -> Iterator[Path]:
    for place in PLACES:
        for pattern in ("*.py", "*.html"):
            for path in sorted((repository / place).rglob(pattern)):
                if "migrations" not in path.parts:
                    yield path


def read(path: Path, language: str) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def update(path: Path, language: str, template: Catalog) -> Catalog:
    """Bring a translation up to date: new messages come in empty, messages no longer used go."""
    catalogue = read(path, language) if path.is_file() else Catalog(locale=language, fuzzy=False)
    catalogue.project, catalogue.version = template.project, "1"
    catalogue.fuzzy = False
    catalogue.update(template, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_as_po(catalogue, language))
    return catalogue


def _as_po(catalogue: Catalog, language: str) -> bytes:
    """The catalogue as a file that changes only when a message does: no dates, no line numbers."""
    buffer = BytesIO()
    write_po(buffer, catalogue, width=110, sort_output=True, include_lineno=False, omit_header=True)
    header = _HEADER.format(language=language, plurals=catalogue.plural_forms)
    return header.encode() + buffer.getvalue()


def faults(catalogue: Catalog, template: Catalog) -> list[str]:
    """What is wrong with a translation: messages missing, empty or fuzzy, placeholders that differ."""
    found = []
    for message in template:
        if not message.id:
            continue
        translated = catalogue.get(message.id, message.context)
        singular = message.id[0] if isinstance(message.id, tuple | list) else message.id
        if translated is None:
            found.append(f"missing: {singular}")
            continue
        strings = translated.string if isinstance(translated.string, tuple | list) else (translated.string,)
        if translated.fuzzy or not all(strings):
            found.append(f"not translated: {singular}")
        for string in strings:
            if string and not _placeholders(string) <= _placeholders(_whole(message.id)):
                found.append(f"placeholders differ: {singular}")
            if string and isinstance(message.id, str) and _placeholders(string) != _placeholders(message.id):
                found.append(f"placeholders differ: {singular}")
    return sorted(set(found))


def _whole(message_id: object) -> str:
    return " ".join(message_id) if isinstance(message_id, tuple | list) else str(message_id)


def _placeholders(text: str) -> set[str]:
    return {named or braced for named, braced in _PLACEHOLDER.findall(text)}


def main() -> int:
    """Update each language that has a catalogue; a new one begins with an empty file in its folder."""
    template = collect(REPOSITORY)
    for path in sorted((REPOSITORY / "cad_platform" / "locale").glob("*/LC_MESSAGES/django.po")):
        language = path.parents[1].name
        catalogue = update(path, language, template)
        for fault in faults(catalogue, template):
            print(f"{language}: {fault}")
        print(f"{language}: {len(catalogue)} messages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
