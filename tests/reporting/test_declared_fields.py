"""A report field is declared once: form, parsing, joining, messages and the document follow from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from django.db import models
from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils import translation

from cad_platform import modalities
from cad_platform.core.errors import Invalid
from cad_platform.reporting import content as contents
from cad_platform.reporting.document import sections_of
from cad_platform.reporting.editor import form_groups
from cad_platform.reporting.fields import (
    Choice,
    FactSection,
    FreeText,
    Group,
    Number,
    Row,
    Section,
    TextSection,
    declared,
)
from cad_platform.reporting.forms import content_of
from cad_platform.reporting.kinds.histopathology import HistopathologyContent
from cad_platform.reporting.kinds.imaging import ImagingContent
from cad_platform.reporting.merging import merge

#: Form and document of complete contents as version 2.2.0 (80a000d) made them, before fields were declared once.
BEFORE = json.loads(Path(__file__).with_name("form_and_document_2_2_0.json").read_text(encoding="utf-8"))


class Shape(models.TextChoices):
    ROUND = "round", "Round"
    OVAL = "oval", "Oval"


LOOK = Group("Look")
LOOK_PRINTED = FactSection("Look")
NOTES_PRINTED = TextSection("Notes")
EXTENT = Row(LOOK_PRINTED, "Extent")


class ToyContent(contents.ReportContent):
    FORM: ClassVar[tuple[Group, ...]] = (LOOK,)
    DOCUMENT: ClassVar[tuple[Section, ...]] = (NOTES_PRINTED, LOOK_PRINTED)

    kind: Literal["toy"] = "toy"
    shape: Annotated[
        Shape | Literal[""],
        Choice(label="Shape", group=LOOK, prints=EXTENT, required="Choose the shape."),
    ] = ""
    width_mm: Annotated[float | None, Number(label="Width", group=LOOK, prints=EXTENT, unit="mm")] = None
    notes: Annotated[contents.Text, FreeText(label="Notes", group=LOOK, prints=NOTES_PRINTED, rows=7)] = ""


@pytest.fixture
def toy() -> Iterator[type[ToyContent]]:
    yield contents.report_kind(ToyContent)
    del contents._KINDS["toy"]


@pytest.mark.parametrize("case", BEFORE, ids=[case["case"] for case in BEFORE])
def test_form_and_document_are_what_they_were(case: dict[str, Any]) -> None:
    with translation.override(case["language"]):
        content = contents.parse(case["content"])
        form = [
            [group.title, [[f.label, f.control, f.name, f.value, f.unit, f.wide] for f in group.fields]]
            for group in form_groups(content, case["modality"])
        ]
        document = json.loads(json.dumps(sections_of(content, case["modality"])))
    if (
        content.kind == "addendum"
    ):  # from 2.3 on it asks for a reason and may change more; the fields of before stay
        fields = [field for _, group in form for field in group]
        assert [field for _, group in case["form"] for field in group if field not in fields] == []
    else:
        assert form == case["form"]
    assert document == case["document"]


def test_a_declared_field_stands_in_the_form(toy: type[ToyContent]) -> None:
    (group,) = form_groups(toy(shape=Shape.OVAL, width_mm=2.5), "MG")
    shape, width, notes = group.fields
    assert group.title == "Look"
    assert (shape.control, shape.value, shape.choices[2]) == ("choice", "oval", ("oval", "Oval"))
    assert (width.control, width.value, width.unit) == ("number", "2.5", "mm")
    assert (notes.control, notes.rows, notes.max_length) == ("text", 7, contents.TEXT_LENGTH)
    drawn = "".join(render_to_string("reporting/field.html", {"field": field}) for field in group.fields)
    assert 'name="width_mm" type="number"' in drawn and '<option value="oval" selected>' in drawn


def test_a_declared_field_is_read_from_what_the_form_posts(toy: type[ToyContent]) -> None:
    posted = content_of(QueryDict("kind=toy&shape=round&width_mm=2,5&notes=7&revision=3"))
    assert posted == {"kind": "toy", "shape": "round", "width_mm": 2.5, "notes": "7"}
    assert contents.parse(posted) == toy(shape=Shape.ROUND, width_mm=2.5, notes="7")


def test_declared_texts_are_joined_and_codes_are_not(toy: type[ToyContent]) -> None:
    base = contents.dump(toy())
    theirs = base | {"notes": "Theirs.", "shape": "round", "width_mm": 1.0}
    joined = merge(toy, base, theirs, base | {"notes": "Mine.", "shape": "oval", "width_mm": 2.0})
    assert joined.content == theirs | {"notes": "Theirs.\n\nMine."}
    assert joined.chosen_theirs == ("shape", "width_mm")


def test_a_declared_field_is_printed_in_its_section_and_row(toy: type[ToyContent]) -> None:
    full = toy(shape=Shape.OVAL, width_mm=3, notes="Smooth.\n")
    assert sections_of(full, "MG") == [
        {"kind": "text", "title": "Notes", "text": "Smooth."},
        {"kind": "pairs", "title": "Look", "pairs": [["Extent", "Oval, 3 mm"]]},
    ]
    assert sections_of(toy(), "MG") == []


def test_a_declared_field_is_asked_for_by_its_name(toy: type[ToyContent]) -> None:
    (problem,) = contents.problems(toy(), "MG")
    assert (problem.field, problem.reason) == ("shape", "Choose the shape.")
    assert contents.field_label("toy", "shape") == "Shape"
    assert contents.field_label("imaging", "findings.0.text") == "Findings"


def test_the_same_field_is_called_as_its_own_form_calls_it() -> None:
    assert contents.field_label("imaging", "assessment") == "Whole exam"
    assert contents.field_label("addendum", "assessment") == "Changed BI-RADS assessment"


def test_a_field_without_a_declaration_is_no_report_field() -> None:
    class Forgotten(contents.ReportContent):
        FORM: ClassVar[tuple[Group, ...]] = ()
        DOCUMENT: ClassVar[tuple[Section, ...]] = ()
        kind: Literal["forgotten"] = "forgotten"
        note: str = ""

    with pytest.raises(TypeError, match=r"Forgotten\.note needs one declaration"):
        declared(Forgotten)


@pytest.mark.parametrize(("form", "document"), [((), (NOTES_PRINTED,)), ((LOOK,), ())])
def test_a_field_in_a_place_that_is_not_listed_is_refused(form: Any, document: Any) -> None:
    class Lost(contents.ReportContent):
        FORM: ClassVar[tuple[Group, ...]] = form
        DOCUMENT: ClassVar[tuple[Section, ...]] = document
        kind: Literal["lost"] = "lost"
        note: Annotated[str, FreeText(label="Note", group=LOOK, prints=NOTES_PRINTED)] = ""

    with pytest.raises(TypeError, match="does not list"):
        declared(Lost)


def test_two_kinds_may_not_share_a_name() -> None:
    class Other(contents.ReportContent):
        FORM: ClassVar[tuple[Group, ...]] = ()
        DOCUMENT: ClassVar[tuple[Section, ...]] = ()
        kind: Literal["imaging"] = "imaging"

    with pytest.raises(ValueError, match="imaging"):
        contents.report_kind(Other)
    assert contents.kinds()["imaging"] is ImagingContent


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(Invalid) as refusal:
        contents.parse({"kind": "unheard of"})
    assert [error.field for error in refusal.value.errors] == ["kind"]


def test_every_modality_has_a_registered_kind_of_report() -> None:
    assert {modality.report.kind for modality in modalities.registered()} <= set(contents.kinds())


def test_problems_come_in_the_order_of_the_form() -> None:
    empty = HistopathologyContent(diagnosis="invasive", specimen="excision")  # type: ignore[arg-type]
    form = [field.name for group in form_groups(empty, "SM") for field in group.fields]
    found = [problem.field for problem in contents.problems(empty, "SM")]
    assert found == sorted(found, key=form.index)
    assert "margins" in found


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize(
    ("content", "modality"),
    [
        (contents.empty("MG"), "MG"),
        (contents.empty("SM"), "SM"),
        (contents.parse({"kind": "addendum"}), "MG"),
        (contents.parse({"kind": "addendum"}), "SM"),
    ],
)
def test_a_field_that_is_called_as_its_group_is_named_once(
    content: contents.ReportContent, modality: str, language: str
) -> None:
    with translation.override(language):
        for group in form_groups(content, modality):
            fields = [
                render_to_string("reporting/field.html", {"field": field, "group": group})
                for field in group.fields
            ]
            labels = [words.strip() for html in fields for words in re.findall(r"<label[^>]*>([^<]*)", html)]
            assert str(group.title) not in labels
            # It keeps a name for those who hear the page.
            assert len(labels) + sum(f'aria-labelledby="{group.id}"' in html for html in fields) == len(
                fields
            )
