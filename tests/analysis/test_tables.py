"""Tables of known studies as spreadsheets write them, by the one reader of pages, API and the laboratory's command."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import translation

from cad_platform.accounts.models import Role
from cad_platform.analysis import known_studies, tables
from cad_platform.analysis.models import KnownTruth
from cad_platform.core.errors import Invalid
from tests import factories

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_any_of_three_delimiters(delimiter: str) -> None:
    text = "\ufeffStudy;Label;医院\r\n 1.2 ;Benign;北京\r\n;;\r\n1.3;malignant;\r\n".replace(";", delimiter)
    assert tables.read_rows(tables.decoded(text.encode()), "study", "label") == [
        (2, {"study": "1.2", "label": "Benign", "医院": "北京"}),
        (4, {"study": "1.3", "label": "malignant", "医院": ""}),
    ]


@pytest.mark.parametrize(("encoding", "line"), [("gbk", 2), ("utf-16", 1)])
def test_another_encoding_is_refused_with_its_line_and_not_guessed(encoding: str, line: int) -> None:
    """The heading's GBK happens to be UTF-8 of other letters; the next line is not."""
    text = "study,label,医院\n1.2,benign,北京\n"
    with pytest.raises(tables.TableRefused) as refused:
        tables.decoded(text.encode(encoding))
    assert refused.value.reasons == (f"line {line}: not UTF-8; save the table as CSV UTF-8",)


@pytest.mark.parametrize(
    "text",
    [
        *("study\n1", "study,label,\n1,2,3", "study,label,label\n1,2,3", "study,label\n1,2,3"),
        *('study,label\n"1,2', 'study,label\n"1"2,3'),
    ],
)  # fmt: skip
def test_each_mistake_is_said_in_chinese_too(text: str) -> None:
    said = {}
    for language in ("en", "zh-hans"):
        with translation.override(language), pytest.raises(tables.TableRefused) as refused:
            tables.read_rows(text, "study", "label")
        said[language] = refused.value.reasons
    assert said["en"] and all(one != other for one, other in zip(said["en"], said["zh-hans"], strict=True))


def test_no_second_reader() -> None:
    """Who reads a person's table asks the laboratory's reader. (The demo reads the collections' own lists.)"""
    sources = [*(ROOT / "cad_platform").rglob("*.py"), *(ROOT / "inference" / "evaluation").glob("[ct]a*.py")]
    found = {
        path.name
        for path in sources
        if "demo" not in path.parts
        and any(word in path.read_text() for word in ("csv.reader(", "csv.DictReader("))
    }
    assert found == {"table.py"}


@pytest.mark.django_db
def test_a_file_of_known_studies_is_taken_or_refused_whole() -> None:
    administrator, study = factories.actor(Role.ADMINISTRATOR), factories.study(factories.site(), "US")
    text = f"study;positive;医院\n{study.study_instance_uid};yes;北京\n"
    for content, why in (
        (text.encode("gbk"), "line 2: not UTF-8"),
        (text.encode() + b"\n" * known_studies.LONGEST_TABLE, "larger than 2 MB"),
        (text.replace("positive", "known").encode(), "there is no column positive"),
    ):
        with pytest.raises(Invalid) as refused:
            known_studies.record_file(administrator, SimpleUploadedFile("known.csv", content))
        assert why in refused.value.errors[0].reason
    assert not KnownTruth.objects.exists()
    assert known_studies.record_file(administrator, SimpleUploadedFile("known.csv", text.encode())) == 1
