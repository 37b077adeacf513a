"""The view of a mammogram and its modifiers: from codes, else from what people write into View Position.

The abbreviations are those of the ACR's quality manual as DICOM PS3.16 lists them (CID 4014 "View for Mammography", CID
4015 "View Modifier for Mammography"). What is not understood stays as it was sent: a view is never guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Side = Literal["L", "R", "B"]

# CID 4014 by code value: SNOMED CT, and SNOMED RT as older devices write it. Y-X1770 and Y-X1771 were never valid and
# are still in archives; "cranio-caudal exaggerated" was of the context group before it named the direction.
VIEW_CODES = {
    "399162004": "CC", "R-10242": "CC",
    "399368009": "MLO", "R-10226": "MLO",
    "399260004": "ML", "R-10224": "ML",
    "399352003": "LM", "R-10228": "LM",
    "399099002": "LMO", "R-10230": "LMO",
    "399196006": "FB", "R-10244": "FB",
    "399188001": "SIO", "R-102D0": "SIO",
    "441555000": "ISO", "R-40AAA": "ISO",
    "399265009": "XCC", "R-102CF": "XCC",
    "399192008": "XCCL", "R-1024A": "XCCL", "Y-X1770": "XCCL",
    "399101009": "XCCM", "R-1024B": "XCCM", "Y-X1771": "XCCM",
}  # fmt: skip
#: CID 4014's one entry that is no projection of a breast.
SPECIMEN_CODES = frozenset({"127457009", "G-8310"})
# CID 4015.
MODIFIER_CODES = {
    "399161006": "CV", "R-102D2": "CV",
    "399011000": "AT", "R-102D1": "AT",
    "399197002": "RL", "R-102D3": "RL",
    "399226006": "RM", "R-102D4": "RM",
    "414493004": "RI", "R-102CA": "RI",
    "415670009": "RS", "R-102C9": "RS",
    "399209000": "ID", "R-102D5": "ID",
    "399163009": "M", "R-102D6": "M",
    "399055006": "S", "R-102D7": "S",
    "399110001": "TAN", "R-102C2": "TAN",
    "442581004": "NP", "R-40AB3": "NP",
    "441752004": "AC", "P2-00161": "AC",
    "442593008": "IMF", "R-40ABE": "IMF",
    "442580003": "AX", "R-40AB2": "AX",
}  # fmt: skip

VIEWS = frozenset(VIEW_CODES.values())
#: In the order in which they are named: "L CC ID", "R MLO S M". MOSAIC is one of several tiles of a large breast.
MODIFIERS = ("ID", "S", "M", "RL", "RM", "RI", "RS", "TAN", "CV", "AT", "AX", "NP", "AC", "IMF", "MOSAIC")

_SIDES: dict[str, Side] = {
    "L": "L", "LT": "L", "LEFT": "L", "左": "L",
    "R": "R", "RT": "R", "RIGHT": "R", "右": "R",
    "BILATERAL": "B", "BOTH": "B",
    # German, French, Spanish, Portuguese, Italian
    "LINKS": "L", "GAUCHE": "L", "IZQUIERDA": "L", "IZQ": "L", "ESQUERDA": "L", "SINISTRA": "L", "SX": "L",
    "RECHTS": "R", "DROITE": "R", "DERECHA": "R", "DER": "R", "DIREITA": "R", "DESTRA": "R", "DX": "R",
    "LI": "L", "ESQ": "L", "RE": "R", "DROIT": "R", "DCHA": "R", "DIR": "R",
}  # fmt: skip
#: The sides' first letters in those languages: only behind a view, where nothing else is meant by them (MLOD, CC I).
#: Not the Italian S, which is spot compression.
_SIDES_BEHIND: dict[str, Side] = {"D": "R", "G": "L", "I": "L", "E": "L"}
#: Phrases that name a view, as their words in a row.
_VIEW_PHRASES = {
    ("CRANIO", "CAUDAL", "EXAGGERATED", "LATERALLY"): "XCCL",
    ("CRANIO", "CAUDAL", "EXAGGERATED", "LATERAL"): "XCCL",
    ("CRANIO", "CAUDAL", "EXAGGERATED", "MEDIALLY"): "XCCM",
    ("CRANIO", "CAUDAL", "EXAGGERATED", "MEDIAL"): "XCCM",
    ("EXAGGERATED", "CC", "LATERAL"): "XCCL",
    ("EXAGGERATED", "CC", "MEDIAL"): "XCCM",
    ("CRANIO", "CAUDAL", "EXAGGERATED"): "XCC",
    ("EXAGGERATED", "CC"): "XCC",
    ("CRANIO", "CAUDAL"): "CC",
    ("CRANIOCAUDAL",): "CC",
    ("CAUDO", "CRANIAL"): "FB",
    ("CAUDOCRANIAL",): "FB",
    ("FROM", "BELOW"): "FB",
    ("CRANEO", "CAUDAL"): "CC",
    ("CRANEOCAUDAL",): "CC",
    ("KRANIOKAUDAL",): "CC",
    ("ML", "OBLIQUE"): "MLO",
    ("MEDIO", "LATERAL", "OBLICUA"): "MLO",
    ("MEDIOLATERAL", "OBLICUA"): "MLO",
    ("OBLICUA", "MEDIO", "LATERAL"): "MLO",
    ("OBLICUA", "MEDIOLATERAL"): "MLO",
    ("OML",): "MLO",
    ("MEDIO", "LATERAL", "OBLIQUA"): "MLO",
    ("MEDIO", "LATERALE", "OBLIQUA"): "MLO",
    ("MEDIOLATERALE", "OBLIQUA"): "MLO",
    ("OBLIQUA", "MEDIOLATERALE"): "MLO",
    ("CRANIO", "CAUDALE"): "CC",
    ("CRANIOCAUDALE",): "CC",
    # French, where the standard views are those from the front and the outer oblique
    ("FACE",): "CC",
    ("OBLIQUE", "EXTERNE"): "MLO",
    ("OBLIQUE",): "MLO",
    ("LM", "OBLIQUE"): "LMO",
    ("MEDIO", "LATERAL", "OBLIQUE"): "MLO",
    ("MEDIOLATERAL", "OBLIQUE"): "MLO",
    ("MEDIO", "LATERAL"): "ML",
    ("MEDIAL", "LATERAL"): "ML",
    ("MEDIOLATERAL",): "ML",
    ("LATERO", "MEDIAL", "OBLIQUE"): "LMO",
    ("LATEROMEDIAL", "OBLIQUE"): "LMO",
    ("LATERO", "MEDIAL"): "LM",
    ("LATEROMEDIAL",): "LM",
    ("SUPEROLATERAL", "TO", "INFEROMEDIAL", "OBLIQUE"): "SIO",
    ("INFEROMEDIAL", "TO", "SUPEROLATERAL", "OBLIQUE"): "ISO",
    ("头尾位",): "CC",
    ("内外斜位",): "MLO",
    ("内外侧斜位",): "MLO",
    ("侧斜位",): "MLO",
    ("内外侧位",): "ML",
    ("外内侧位",): "LM",
}
#: Phrases that name modifiers, longer ones first where one begins like another.
_MODIFIER_PHRASES = {
    ("IMPLANT", "DISPLACED"): "ID",
    ("IMPLANT", "DISP"): "ID",
    ("EKLUND",): "ID",
    ("PUSHBACK",): "ID",
    ("PUSH", "BACK"): "ID",
    ("SPOT", "COMPRESSION"): "S",
    ("SPOT",): "S",
    ("MAGNIFICATION",): "M",
    ("MAGNIFIED",): "M",
    ("MAG",): "M",
    ("ROLLED", "LATERALLY"): "RL",
    ("ROLLED", "LATERAL"): "RL",
    ("ROLL", "LATERAL"): "RL",
    ("ROLLED", "MEDIALLY"): "RM",
    ("ROLLED", "MEDIAL"): "RM",
    ("ROLL", "MEDIAL"): "RM",
    ("ROLLED", "INFERIOR"): "RI",
    ("ROLL", "INFERIOR"): "RI",
    ("ROLLED", "SUPERIOR"): "RS",
    ("ROLL", "SUPERIOR"): "RS",
    ("TANGENTIAL",): "TAN",
    ("TANG",): "TAN",
    ("CLEAVAGE",): "CV",
    ("AXILLARY", "TAIL"): "AT",
    ("AXILLARY", "TISSUE"): "AX",
    ("AXILLA",): "AX",
    ("NIPPLE", "IN", "PROFILE"): "NP",
    ("NIPPLE", "PROFILE"): "NP",
    ("ANTERIOR", "COMPRESSION"): "AC",
    ("INFRA", "MAMMARY", "FOLD"): "IMF",
    ("INFRAMAMMARY", "FOLD"): "IMF",
    ("MOSAIC",): "MOSAIC",
    ("TILE",): "MOSAIC",
}
#: Words that say nothing of the view: which examination it was, how it was made.
_IDLE = frozenset(
    {
        "VIEW",
        "PROJECTION",
        "BREAST",
        "TISSUE",
        "FROM",
        "MAMMO",
        "MAMMOGRAM",
        "SCREENING",
        "DIAGNOSTIC",
        "STANDARD",
        "STD",
        "ROUTINE",
        "FFDM",
        "DBT",
        "TOMO",
        "TOMOSYNTHESIS",
        "CESM",
        "CEM",
        "LE",  # low energy: the picture that is like a mammogram without contrast
        "WITH",
        "W",
        "2D",
        "3D",
        "COMBO",
        "HD",
        "SYNTHETIC",
        "SYNTHESIZED",
        "CVIEW",
        "IMPLANT",
        "IMPLANTS",
        "REPEAT",
        "REPEATED",
        "位",
        "乳",
        "乳腺",
        "乳房",
        "侧",
    }
)
#: A number behind a word counts repeats (RCC2, MLO 2), or says by how much: MAG 1.8X.
_WORD = re.compile(r"[23]D|[A-Z]+|[0-9]+(?: ?X\b)?|[\u4e00-\u9fff]+")
_CHINESE_SIDE = re.compile(r"([左右])(侧)?(乳腺|乳房|乳)?")
#: "M" and "S" stand before a view and the others behind it: RMCC, LSMLO, RCCID, MLORL. Behind one they mean the same
#: where nothing else can be meant (`_spot_behind`).
_JOINED = re.compile(
    r"(?P<side>LEFT|LT|L|RIGHT|RT|R|)(?P<before>SM|MS|S|M|)"
    r"(?P<view>XCCL|XCCM|XCC|CC|MLO|ML|LMO|LM|FB|SIO|ISO)"
    r"(?P<after>(?:ID|RL|RM|RI|RS|TAN|CV|AT|AX|NP|AC|IMF)*)(?P<spot>SPOT|MAG|SM|MS|S|M|)(?:TOMO|DBT|FFDM|)"
    r"(?P<side_behind>LEFT|LT|L|RIGHT|RT|R|D|G|I|E|)"
)
#: No projection: RTAN, LCV. "LAT" is no axillary tail.
_SIDE_AND_MODIFIER = re.compile(r"(?P<side>L|R)(?P<modifier>TAN|CV)")


@dataclass(frozen=True)
class SpelledView:
    """What a free spelling says. `view` is empty where it names none that is known."""

    view: str = ""
    modifiers: tuple[str, ...] = ()
    side: Side | None = None
    specimen: bool = False


@dataclass
class _Reading:
    """What has been read of a text so far; two answers to one question are no answer."""

    views: set[str] = field(default_factory=set)
    modifiers: set[str] = field(default_factory=set)
    sides: set[Side] = field(default_factory=set)
    specimen: bool = False


def in_order(modifiers: set[str] | frozenset[str]) -> tuple[str, ...]:
    """Modifiers in the order in which they are named."""
    return tuple(name for name in MODIFIERS if name in modifiers)


def spelled(text: str) -> SpelledView | None:
    """What a View Position or a code's meaning says: "RCC", "MLO-R", "LEFT CC ID", "SPOT CC", "RMLO MAG".

    None where any part of it is not understood, or where it names two views or two sides: then nothing of it is used.
    """
    words = list(_words(_plain_letters(text)))
    read = _Reading()
    while words:
        taken = _phrase(words, read) or _word(words[0], read, alone=len(words) == 1)
        if not taken:
            return None
        del words[:taken]
    if len(read.views) > 1 or len(read.sides) > 1:
        return None
    if not (read.views or read.modifiers or read.sides or read.specimen):
        return None
    # "M" or "S" alone, or a side alone, may mean anything.
    if not read.views and not read.specimen and read.modifiers <= {"M", "S", "ID"} and len(text.strip()) <= 2:
        return None
    return SpelledView(
        view=next(iter(read.views), ""),
        modifiers=in_order(read.modifiers),
        side=next(iter(read.sides), None),
        specimen=read.specimen,
    )


def _plain_letters(text: str) -> str:
    """In capitals of plain width, without accents."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).upper()


def _words(text: str) -> Iterator[str]:
    """Its words; the Chinese words for a side stand apart from what follows them."""
    for word in _WORD.findall(text):
        side = _CHINESE_SIDE.match(word)
        if side:
            yield side[1]
            word = word[side.end() :]
        if word:
            yield word


def _phrase(words: list[str], read: _Reading) -> int:
    """How many words the longest phrase takes that they begin with; 0 where it is none."""
    for length in range(min(4, len(words)), 0, -1):
        start = tuple(words[:length])
        if start in _VIEW_PHRASES:
            read.views.add(_VIEW_PHRASES[start])
        elif start == ("C", "VIEW"):  # a vendor's name of a picture made from tomosynthesis
            pass
        elif start in _MODIFIER_PHRASES:
            read.modifiers.add(_MODIFIER_PHRASES[start])
        else:
            continue
        return length
    return 0


def _word(word: str, read: _Reading, *, alone: bool) -> int:
    """1 where the word is understood, else 0."""
    number = word.rstrip("X ")
    if word in _IDLE or (number.isdigit() and len(number) <= 2):
        return 1
    if word == "SPECIMEN":
        read.specimen = True
    elif word in _SIDES and not ("XCC" in read.views and word in ("L", "R")):
        read.sides.add(_SIDES[word])
    elif word in _SIDES_BEHIND and read.views:
        read.sides.add(_SIDES_BEHIND[word])
    elif word == "L" and read.sides and read.views == {"XCC"}:
        # "R XCC L": the side is said, so that this is the direction. "XCC L" may be either.
        read.views = {"XCCL"}
    elif word == "M" and read.views == {"XCC"}:
        read.views = {"XCCM"}
    elif word in MODIFIERS and not (
        alone and not read.views and word in ("RL", "RM", "RI", "RS", "AC", "AT")
    ):
        read.modifiers.add(word)
    elif found := _SIDE_AND_MODIFIER.fullmatch(word):
        read.sides.add(_SIDES[found["side"]])
        read.modifiers.add(found["modifier"])
    elif found := _JOINED.fullmatch(word):
        return _joined(found, read)
    else:
        return 0
    return 1


def _joined(found: re.Match[str], read: _Reading) -> int:
    """One word of side, modifiers and view."""
    spelt = _SIDES | _SIDES_BEHIND
    sides = {spelt[each] for each in (found["side"], found["side_behind"]) if each}
    if len(sides) > 1 or not _spot_behind(found):
        return 0
    read.views.add(found["view"])
    read.modifiers.update(found["before"], {"MAG": "M", "SPOT": "S"}.get(found["spot"], found["spot"]))
    read.modifiers.update(re.findall("ID|RL|RM|RI|RS|TAN|CV|AT|AX|NP|AC|IMF", found["after"]))
    read.sides |= sides
    return 1


def _spot_behind(found: re.Match[str]) -> bool:
    """Whether "S" or "M" at the end can only be spot compression or magnification: RMLOS, LCCSM.

    "CCS" may be the plural, "CCM" the exaggeration to the middle, "MLM" two views: not read.
    """
    spot = found["spot"]
    if not spot or len(spot) > 2:
        return True
    certain = bool(found["side"]) and not found["side_behind"] and not found["before"]
    return certain and (found["view"] in ("MLO", "LMO") or (found["view"] == "CC" and "S" in spot))
