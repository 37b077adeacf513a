"""The Chinese of the interface is that of a reading room: the field's own terms, and marks and spaces as Chinese is
printed. The terms stand in `docs/glossary-zh.md`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.translation import override

from cad_platform.accounts.models import User
from cad_platform.core.punctuation import clauses, facts, listed, named
from embedded import messages

CATALOGUE = settings.LOCALE_PATHS[0] / "zh_Hans" / "LC_MESSAGES" / "django.po"
GLOSSARY = Path(__file__).parents[2] / "docs" / "glossary-zh.md"

#: What no reader says.
REPLACED = ("满分", "整个检查", "可以阅片", "印象", "Nottingham", "IHC", "ISH")
#: Said of a finding, of what a reader decided: English word → what is not said for it.
NOT_FOR = {
    "finding": "发现",
    "accepted": "已接受",
    "rejected": "已拒绝",
    "impression": "印象",
    "whole exam": "整个",
}
_HAN = "\u4e00-\u9fff\u3000-\u303f\uff00-\uffef“”"
_HALF = re.compile(rf"(?<=[{_HAN}])[,.:;!](?!\w)|[,:;!?](?=[{_HAN}])|[{_HAN}] ?[()]|[()] ?[{_HAN}]")
_CROWDED = re.compile(r"[\u4e00-\u9fff](?=[A-Za-z0-9µ])|[A-Za-z0-9µ+](?=[\u4e00-\u9fff])")
_NUMBER, _WORDS = re.compile(r"%\(\w+\)(?:d|\.1f)"), re.compile(r"%\(\w+\)s|\{\w+\}|</?kbd>")
_PERCENT = re.compile(r"[\d)d]%%|\d%")


def translations() -> Iterator[tuple[str, str]]:
    for message in messages.read(CATALOGUE, "zh_Hans"):
        if message.id:
            strings = message.string if isinstance(message.string, tuple | list) else (message.string,)
            for string in strings:
                yield str(message.id), string


def half_width(string: str) -> bool:
    """Whether a mark of Latin script stands beside Chinese; a placeholder may be either."""
    return bool(_HALF.search(_WORDS.sub("汉", _NUMBER.sub("1", string.replace("（?）", "")))))


def crowded(string: str) -> bool:
    """Whether Chinese and a Latin word or number touch, or a number and its per cent sign: a space stands between."""
    return bool(_CROWDED.search(_WORDS.sub("", _NUMBER.sub("1", string))) or _PERCENT.search(string))


def test_no_mark_of_latin_script_stands_beside_chinese() -> None:
    assert [pair for pair in translations() if half_width(pair[1])] == []


def test_a_space_stands_between_chinese_and_a_number_or_a_latin_word() -> None:
    assert [pair for pair in translations() if crowded(pair[1])] == []


def test_words_that_were_replaced_do_not_come_back() -> None:
    assert [pair for pair in translations() if any(word in pair[1] for word in REPLACED)] == []


@pytest.mark.parametrize(
    "string", ["侧别未确认:左", "%(a)s: %(b)s", "中欧 (Latin 2)", "病灶,已决定", "无比例尺!"]
)
def test_a_half_width_mark_is_seen(string: str) -> None:
    assert half_width(string)


@pytest.mark.parametrize("string", ["第%(number)d 页", "AI结果", "共3 帧", "概率 %(percent)d%%"])
def test_a_missing_space_is_seen(string: str) -> None:
    assert crowded(string)


def test_words_are_joined_with_the_marks_of_the_language() -> None:
    assert [listed("ab"), clauses("ab"), facts("ab"), named("a", "b")] == ["a, b", "a; b", "a, b", "a: b"]
    with override("zh-hans"):
        assert [listed("ab"), clauses("ab"), facts("ab"), named("a", "b")] == ["a、b", "a；b", "a，b", "a：b"]


def terms() -> list[tuple[str, str, str]]:
    """English, context and Chinese of each row of the glossary."""
    rows = [
        [cell.strip() for cell in line.strip("| ").split(" |")]
        for line in GLOSSARY.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith("| English")
    ]
    return [(english, context, chinese) for english, context, chinese in rows]


def test_the_glossary_and_the_catalogue_say_the_same() -> None:
    catalogue = messages.read(CATALOGUE, "zh_Hans")
    assert len(terms()) > 80
    differing = []
    for english, context, chinese in terms():
        message = catalogue.get(english, context or None)
        if message is None or message.string != chinese:
            differing.append((english, context, chinese, message and message.string))
    assert differing == []


@pytest.mark.parametrize(
    ("first", "last", "printed"),
    [
        ("敏", "王", "王敏"),
        ("Ruth", "Adeyemi", "Ruth Adeyemi"),
        ("", "欧阳", "欧阳"),
        ("", "", "u1"),
        ("Li", "王", "Li 王"),
    ],
)
def test_a_colleagues_name_is_written_as_its_script_has_it(first: str, last: str, printed: str) -> None:
    assert User(username="u1", first_name=first, last_name=last).printed_name == printed
